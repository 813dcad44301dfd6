import { readPlainSync } from "../../input/limited.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { formatHex } from "../../../bytes/text.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey, type PrivateKey } from "../../../crypto/keys/keys.ts";
import type { BulkDevice } from "../../../batch/list/devices.ts";
import { kindOf, wantedKey } from "../../../key_modes/wanted_key.ts";
import { keyName } from "../../../crypto/keys/encoding.ts";
import { deviceKeyMode } from "../../../batch/list/settings.ts";
import { type BulkShard, isInShard } from "../../../batch/list/shard.ts";
import type { KeySource } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { unnamed } from "../../input/secret_files.ts";
import { explain, joinPath } from "../../io.ts";
import type { DatabaseSync } from "../deps.ts";
import { transaction } from "../journal/meta.ts";

/** What {@linkcode readyKeys} works with. */
export interface ReadyKeyOptions {
  readonly database: DatabaseSync;
  readonly profile: BulkProfile;
  /** Opens keys that have a password. */
  readonly password?: string;
  /**
   * The part that is made here, which takes its share of the keys: of n shards each takes every nth, so
   * that no two take the same.
   */
  readonly shard?: BulkShard;
  /** Called once for each file that is not a key. */
  readonly note: (line: string) => void;
}

interface ReadyKey {
  readonly name: string;
  readonly key: PrivateKey;
  /** Of the public key, which is the same in every encoding. */
  readonly digest: string;
}

type Taken = Uint8Array | { problem: string };

/**
 * The private keys in a folder, in the order of their names. A key is reserved in the journal before it
 * is used, and stays its device's; what is not a key, or not of the kind that a device gets, is skipped.
 */
export function readyKeys(folder: string, options: ReadyKeyOptions): KeySource {
  const { database, profile } = options;
  const reserved = database.prepare("SELECT name FROM keys WHERE n = ?");
  const isUsed = database.prepare("SELECT 1 FROM keys WHERE name = ? OR sha256 = ?");
  const reserve = database.prepare("INSERT INTO keys (name, sha256, n) VALUES (?, ?, ?)");
  const taken = new Set<string>();
  const find = keyFinder(
    folder,
    options,
    ({ name, digest }) => !taken.has(digest) && isUsed.get(name, digest) === undefined,
  );

  const takeOne = async (device: BulkDevice): Promise<{ key?: ReadyKey; problem: string }> => {
    const own = reserved.get(device.index)?.name;
    if (own !== undefined) {
      const key = await readKey(folder, String(own), options);
      return { ...key && { key }, problem: `its key ${joinPath(folder, String(own))} is gone` };
    }
    const kind = keyName(kindOf(wantedKey(deviceKeyMode(profile, device), profile.key)));
    const key = await find(kind);
    if (key !== undefined) taken.add(key.digest);
    return { ...key && { key }, problem: `no ${kind} key is left in ${folder}` };
  };

  const takeAll = async (devices: readonly BulkDevice[]): Promise<Taken[]> => {
    const results: Awaited<ReturnType<typeof takeOne>>[] = [];
    for (const device of devices) results.push(await takeOne(device));
    transaction(database, () => {
      results.forEach(({ key }, at) => {
        const { index } = devices[at]!;
        if (key !== undefined && reserved.get(index) === undefined) {
          reserve.run(key.name, key.digest, index);
        }
      });
    });
    return results.map(({ key, problem }) => key?.key.pkcs8 ?? { problem });
  };

  // One call after the other, because the folder is read along the way.
  let last: Promise<unknown> = Promise.resolve();
  return {
    name: `ready keys of ${folder}`,
    take: (devices) => {
      const result = last.then(() => takeAll(devices));
      last = result.catch(() => {});
      return result;
    },
  };
}

/**
 * Finds the next free key of a kind; those of other kinds that it passes are kept in mind for devices
 * that get such.
 */
function keyFinder(
  folder: string,
  options: ReadyKeyOptions,
  isFree: (key: ReadyKey) => boolean,
): (kind: string) => Promise<ReadyKey | undefined> {
  const names = namesIn(folder).filter((_, index) => isInShard({ index }, options.shard));
  const passed = new Map<string, string[]>();
  let at = 0;
  return async (kind) => {
    for (let name; (name = passed.get(kind)?.shift()) !== undefined;) {
      const found = await readKey(folder, name, options);
      if (found !== undefined && isFree(found)) return found;
    }
    while (at < names.length) {
      const found = await readKey(folder, names[at++]!, options);
      if (found === undefined || !isFree(found)) continue;
      const own = keyName(found.key);
      if (own === kind) return found;
      passed.set(own, [...passed.get(own) ?? [], found.name]);
    }
    return undefined;
  };
}

/** A key; undefined, and a note, when the file holds none or is gone. */
async function readKey(
  folder: string,
  name: string,
  { password, note }: ReadyKeyOptions,
): Promise<ReadyKey | undefined> {
  const path = joinPath(folder, name);
  try {
    const bytes = readPlainSync(path);
    const key = await importPrivateKey(bytes, { password });
    return { name, key, digest: formatHex(sha256(key.publicKey)) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) note(`${path} is gone`);
    else if (error instanceof SecureCertError) note(`skipped ${path}: ${error.message}`);
    else throw explain("read", path, error);
    return undefined;
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
