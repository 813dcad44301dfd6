import { readPlainSync } from "../../input/limited.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { formatHex } from "../../../bytes/text.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey, type PrivateKey } from "../../../crypto/keys/keys.ts";
import type { BulkDevice } from "../../../batch/list/devices.ts";
import { kindOf, type WantedKey, wantedKey } from "../../../key_modes/requirements.ts";
import { keyName } from "../../../crypto/keys/encoding.ts";
import { namesakesOf } from "../../../batch/files.ts";
import { type BulkShard, isInShard, planError } from "../../../batch/list/list.ts";
import { deviceKeyMode, keyProblem } from "../../../batch/list/settings.ts";
import type { KeySource } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { unnamed } from "../../input/secret_files.ts";
import { explain, joinPath } from "../../io.ts";
import type { DatabaseSync } from "../deps.ts";
import { transaction } from "../journal/rows.ts";
import { type Namesake, namesakeFinder } from "../journal/journal.ts";

/** What {@linkcode readyKeys} works with. */
export interface ReadyKeyOptions {
  readonly database: DatabaseSync;
  readonly profile: BulkProfile;
  /** Opens keys that have a password. */
  readonly password?: string;
  /**
   * The part that is made here, which takes its share of the keys that are named after no device: of n
   * shards each takes every nth, so that no two take the same.
   */
  readonly shard?: BulkShard;
  /** Called for each file that is not a key. */
  readonly note: (line: string) => void;
}

interface ReadyKey {
  readonly name: string;
  readonly key: PrivateKey;
  /** Of the public key, which is the same in every encoding. */
  readonly digest: string;
}

type Taken = Uint8Array | { problem: string } | undefined;
/** A key that a device is to get, or why there is none. */
type Found = { key: ReadyKey } | { problem: string };

/** Keys of a folder. */
export interface ReadyKeys extends KeySource {
  /**
   * Finds out which files are named after devices, once the list was read.
   *
   * @throws {SecureCertError} `ERR_PLAN` with each device that has two keys.
   */
  assign(): Promise<void>;
}

/**
 * The private keys in a folder. One that is named after a device, as `ID.pem` or as the files of a batch
 * are, is that device's and no other's; all others go to the devices without one, in the order of their
 * names. A key is reserved in the journal before it is used, and stays its device's; what is not a key, or
 * not of the kind that a device gets, is skipped.
 */
export function readyKeys(folder: string, options: ReadyKeyOptions): ReadyKeys {
  const { database, profile } = options;
  const reserved = database.prepare("SELECT name FROM keys WHERE n = ?");
  const userOf = database.prepare(
    "SELECT id FROM devices WHERE n = (SELECT n FROM keys WHERE name = ? OR sha256 = ?)",
  );
  const reserve = database.prepare("INSERT INTO keys (name, sha256, n) VALUES (?, ?, ?)");
  /** Devices that get keys which the journal does not have yet, by the digest. */
  const taken = new Map<string, string>();
  const userNow = ({ name, digest }: ReadyKey) =>
    taken.get(digest) ?? userOf.get(name, digest)?.id as string | undefined;
  let named: ReadonlyMap<number, string> = new Map();
  let find: KeyFinder | undefined;
  const reservedName = (index: number) => reserved.get(index)?.name as string | undefined;

  const takeOwn = async (name: string, { id }: BulkDevice, wanted: WantedKey): Promise<Found> => {
    const path = joinPath(folder, name);
    const found = await readKey(folder, name, options);
    if ("problem" in found) return { problem: `its key ${path}: ${found.problem}` };
    const problem = keyProblem(found.key, wanted);
    if (problem !== undefined) return { problem: `${path}: ${problem}` };
    const user = userNow(found);
    if (user !== undefined) return { problem: `its key ${path} is that of ${user} already` };
    taken.set(found.digest, id);
    return { key: found };
  };

  const takeOne = async (device: BulkDevice): Promise<Found | undefined> => {
    if (device.fields.privateKey) return undefined;
    const { id, index } = device;
    const kept = reservedName(index);
    if (kept !== undefined) {
      const key = await readKey(folder, kept, options);
      return "problem" in key
        ? { problem: `its key ${joinPath(folder, kept)}: ${key.problem}` }
        : { key };
    }
    const wanted = wantedKey(deviceKeyMode(profile, device), profile.key);
    const own = named.get(index);
    if (own !== undefined) return await takeOwn(own, device, wanted);
    const kind = keyName(kindOf(wanted));
    const key = await find?.(kind);
    if (key === undefined) return { problem: `no ${kind} key is left in ${folder}` };
    taken.set(key.digest, id);
    return { key };
  };

  const takeAll = async (devices: readonly BulkDevice[]): Promise<Taken[]> => {
    const results: Awaited<ReturnType<typeof takeOne>>[] = [];
    for (const device of devices) results.push(await takeOne(device));
    transaction(database, () => {
      results.forEach((found, at) => {
        if (found === undefined || "problem" in found) return;
        const { key: { name, digest } } = found;
        const { index } = devices[at]!;
        if (reservedName(index) === undefined) reserve.run(name, digest, index);
      });
    });
    return results.map((found) =>
      found === undefined || "problem" in found ? found : found.key.key.pkcs8
    );
  };

  // One call after the other, because the folder is read along the way.
  let last: Promise<unknown> = Promise.resolve();
  return {
    name: `ready keys of ${folder}`,
    assign: async () => {
      const files = assignFiles(folder, database);
      const isOpen = ({ isPending, index }: NamedFiles) =>
        isPending && reservedName(index) === undefined;
      named = await ownFiles(files.named.filter(isOpen), folder, options);
      const isFree = (key: ReadyKey) => userNow(key) === undefined;
      find = keyFinder(folder, files.others, options, isFree);
    },
    take: (devices) => {
      const result = last.then(() => takeAll(devices));
      last = result.catch(() => {});
      return result;
    },
  };
}

/** A device of this batch, and the files that are named after it. */
interface NamedFiles extends Namesake {
  readonly index: number;
  readonly names: string[];
}

interface AssignedFiles {
  readonly named: readonly NamedFiles[];
  /** Files that are not named after a device of the list, including those of other shards. */
  readonly others: readonly string[];
}

/** Which files of a folder are named after devices. */
function assignFiles(folder: string, database: DatabaseSync): AssignedFiles {
  const find = namesakeFinder(database);
  const named = new Map<number, NamedFiles>();
  const others: string[] = [];
  for (const name of namesIn(folder)) {
    let device: Namesake | undefined;
    for (const namesake of namesakesOf(name)) device ??= find(namesake);
    if (device === undefined) others.push(name);
    else if (device.index !== undefined) {
      const { index } = device;
      named.set(index, { ...device, index, names: [...named.get(index)?.names ?? [], name] });
    }
  }
  return { named: [...named.values()], others };
}

/**
 * The file with each device's own key. Of several, such as a key and its certificate, it is the only one
 * that is a key.
 *
 * @throws {SecureCertError} `ERR_PLAN` with each device that has two keys.
 */
async function ownFiles(
  devices: readonly NamedFiles[],
  folder: string,
  options: ReadyKeyOptions,
): Promise<Map<number, string>> {
  const own = new Map<number, string>();
  const problems: string[] = [];
  for (const { id, index, names } of devices) {
    const keys: string[] = [];
    if (names.length > 1) {
      for (const name of names) {
        if (!("problem" in await readKey(folder, name, options))) keys.push(name);
      }
    }
    own.set(index, keys[0] ?? names[0]!);
    if (keys.length < 2) continue;
    const paths = keys.map((name) => joinPath(folder, name)).join(" and ");
    problems.push(`${id}: ${paths} are both its key; keep one`);
  }
  if (problems.length > 0) throw planError(problems);
  return own;
}

type KeyFinder = (kind: string) => Promise<ReadyKey | undefined>;

/**
 * Finds the next free key of a kind; those of other kinds that it passes are remembered for the devices
 * that get them.
 */
function keyFinder(
  folder: string,
  all: readonly string[],
  options: ReadyKeyOptions,
  isFree: (key: ReadyKey) => boolean,
): KeyFinder {
  const names = all.filter((_, index) => isInShard({ index }, options.shard));
  const passed = new Map<string, string[]>();
  let at = 0;
  const read = async (name: string): Promise<ReadyKey | undefined> => {
    const found = await readKey(folder, name, options);
    if (!("problem" in found)) return isFree(found) ? found : undefined;
    options.note(`skipped ${joinPath(folder, name)}: ${found.problem}`);
    return undefined;
  };
  return async (kind) => {
    for (let name; (name = passed.get(kind)?.shift()) !== undefined;) {
      const found = await read(name);
      if (found !== undefined) return found;
    }
    while (at < names.length) {
      const found = await read(names[at++]!);
      if (found === undefined) continue;
      const own = keyName(found.key);
      if (own === kind) return found;
      passed.set(own, [...passed.get(own) ?? [], found.name]);
    }
    return undefined;
  };
}

/** A key, or why the file has none. */
async function readKey(
  folder: string,
  name: string,
  { password }: ReadyKeyOptions,
): Promise<ReadyKey | { problem: string }> {
  const path = joinPath(folder, name);
  try {
    const bytes = readPlainSync(path);
    const key = await importPrivateKey(bytes, { password });
    return { name, key, digest: formatHex(sha256(key.publicKey)) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { problem: "it is gone" };
    if (error instanceof SecureCertError) return { problem: error.message };
    throw explain("read", path, error);
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].filter(({ isFile, name }) => isFile && name[0] !== ".")
      .map(({ name }) => name).sort();
  } catch (error) {
    throw unnamed(explain("read", folder, error), folder, "keys");
  }
}
