import { isPem, parsePem } from "../../bytes/pem.ts";
import { decodeUtf8, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { BulkDevice } from "../../provision/bulk_devices.ts";
import { type BulkShard, isInShard } from "../../provision/bulk_list.ts";
import type { KeySource } from "../../provision/bulk_ports.ts";
import { fileError, usageError } from "../errors.ts";
import { explain, joinPath } from "../io.ts";
import type { DatabaseSync } from "./deps.ts";
import { transaction } from "./meta.ts";

/** A key of an HSM or of 4096 bits takes seconds; what takes this long hangs. */
const KEY_TIME_MS = 600_000;

type Taken = Uint8Array | { problem: string };

/**
 * The private keys that lie in a folder, in the order of their names. A key is reserved in the journal
 * before it is used, and stays its device's.
 *
 * @param shard The part that is made here, which takes its share of the keys: of n shards each takes
 * every nth, so that no two take the same.
 */
export function readyKeys(
  folder: string,
  database: DatabaseSync,
  shard: BulkShard | undefined,
): KeySource {
  const names = namesIn(folder).filter((_, index) => isInShard({ index }, shard));
  let at = 0;
  const reserved = database.prepare("SELECT name FROM keys WHERE n = ?");
  const isUsed = database.prepare("SELECT 1 FROM keys WHERE name = ? OR sha256 = ?");
  const reserve = database.prepare("INSERT INTO keys (name, sha256, n) VALUES (?, ?, ?)");
  const takeOne = ({ index }: BulkDevice): Taken => {
    const own = reserved.get(index);
    if (own !== undefined) return readKeyFile(joinPath(folder, String(own.name)));
    for (; at < names.length; at++) {
      const name = names[at]!;
      const key = readKeyFile(joinPath(folder, name));
      const digest = formatHex(sha256(derOf(key)));
      if (isUsed.get(name, digest) !== undefined) continue;
      reserve.run(name, digest, index);
      at++;
      return key;
    }
    return { problem: `no key is left in ${folder}` };
  };
  return {
    name: `ready keys of ${folder}`,
    take: (devices) => transaction(database, () => devices.map(takeOne)),
  };
}

/**
 * A program that prints a private key, run once a device without a shell; `{id}` in its words becomes
 * the device's.
 *
 * @param lanes Programs at a time.
 * @param signal Ends the programs; the devices that wait for them stay as they are.
 */
export function commandKeys(line: string, lanes: number, signal: AbortSignal): KeySource {
  const words = splitWords(line);
  if (words.length === 0) throw usageError("--key-command is empty", "key-command");
  let free = lanes;
  const waiting: (() => void)[] = [];
  const inLane = async (act: () => Promise<Taken>): Promise<Taken> => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free--;
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
  return {
    name: `the command ${words[0]}`,
    take: (devices) =>
      Promise.all(
        devices.map(({ id }) =>
          inLane(() => runKeyCommand(words.map((word) => word.replaceAll("{id}", id)), signal))
        ),
      ),
  };
}

async function runKeyCommand(
  [program, ...args]: readonly string[],
  signal: AbortSignal,
): Promise<Taken> {
  signal.throwIfAborted();
  const ends = AbortSignal.any([signal, AbortSignal.timeout(KEY_TIME_MS)]);
  let output;
  try {
    output = await new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: ends,
    })
      .output();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      const message = `Cannot run ${program}: Deno was not permitted to`;
      throw fileError("ERR_PERMISSION", program!, message, `add --allow-run=${program}`);
    }
    if (error instanceof Deno.errors.NotFound) {
      throw fileError("ERR_FILE_NOT_FOUND", program!, `Cannot run ${program}: no such program`);
    }
    throw explain("read", program!, error);
  }
  signal.throwIfAborted();
  if (output.success) return output.stdout;
  if (ends.aborted) return { problem: "the key command took more than ten minutes" };
  return { problem: `the key command ended with code ${output.code}` };
}

/** Words as a shell splits them: spaces part them, quotes and backslashes keep them together. */
export function splitWords(line: string): string[] {
  const words = line.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g);
  return [...words].map(([word]) =>
    word.replace(
      /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
      (_, single, double, escaped) =>
        single ?? (double as string | undefined)?.replace(/\\(["\\$`])/g, "$1") ?? escaped,
    )
  );
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].filter(({ isFile, name }) => isFile && name[0] !== ".")
      .map(({ name }) => name).sort();
  } catch (error) {
    throw explain("read", folder, error);
  }
}

function readKeyFile(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    throw explain("read", path, error);
  }
}

/** The same for the same key in PEM and DER. */
function derOf(key: Uint8Array): Uint8Array {
  const text = decodeUtf8(key);
  if (text === undefined || !isPem(text)) return key;
  try {
    return parsePem(text).find(({ label }) => label.endsWith("PRIVATE KEY"))?.bytes ?? key;
  } catch {
    return key;
  }
}
