import { equalBytes } from "../../bytes/pack.ts";
import { decodeUtf8, shownName } from "../../bytes/text.ts";
import { type CliError, fileError, usageError } from "../errors.ts";
import {
  type Found,
  identityOf,
  look,
  makeFolder,
  may,
  type Moves,
  nameBeside,
  openMoves,
  removeFolders,
  removeQuietly,
} from "./paths.ts";

/** A file to be written. */
export interface OutputFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Readable only by its owner (mode 0600). @default false */
  readonly secret?: boolean;
  /**
   * Holds a private or eFuse key, as what is in its place is then taken to do: only `--force-key` puts
   * another there. @default what its bytes look like, when it is secret
   */
  readonly keep?: boolean;
  /** The same bytes may be in its place already, and stay there. @default for what holds a key */
  readonly mayStay?: boolean;
  /** What to do when its place is taken. @default to give the flag that replaces what is there */
  readonly ifTaken?: string;
}

/** Which files that are there may be replaced: none, those that hold no key, or all. */
export type Force = false | "files" | "keys";

/** How files are written. */
export interface WriteOptions {
  /** Make the folders of the files where they are missing. @default false */
  readonly makeFolders?: boolean;
  /** An output may be a file that was read, which is changed in its place. @default false */
  readonly inPlace?: boolean;
  /** Bytes that go to stdout once the files are whole; where that fails, there are no files. */
  readonly stdout?: Uint8Array;
}

const SECRET_MODE = 0o600;
const OTHERS = 0o077;

/** What {@linkcode writeFiles} goes by. */
interface Writing extends Omit<WriteOptions, "stdout"> {
  readonly force: Force;
  /** Paths that were read. */
  readonly inputs: Iterable<string>;
  /** An error of the file system in words. */
  readonly explain: (path: string, error: unknown) => CliError;
  /** What comes after the files, which are taken back when it fails. */
  readonly last?: () => void;
}

/** A file, and what is in its place. */
interface Planned {
  readonly file: OutputFile;
  readonly found?: Found;
  /** Whether its bytes are there already, and stay. */
  readonly stays: boolean;
}

/**
 * Writes files: all of them are new and whole at the end, or none is there and what was there still is.
 * Nothing is written before every place has been looked at. What is replaced makes room for a new file,
 * so that its other names keep what they have.
 *
 * @throws {CliError} `ERR_USAGE` for an output that is an input or another output, `ERR_FILE_EXISTS` for
 * what may not be replaced, and what goes wrong with the files.
 */
export async function writeFiles(
  files: readonly OutputFile[],
  writing: Writing,
): Promise<void> {
  refuseTwice(files);
  const inputs = new Map<string | undefined, string>();
  for (const path of writing.inputs) inputs.set(await identityOf(path), path);
  const planned = new Map<OutputFile, Planned>();
  for (const file of keysFirst(files)) {
    planned.set(file, await explaining(file.path, writing, () => plan(file, inputs, writing)));
  }
  const plans = files.map((file) => planned.get(file)!);
  const undo: (() => unknown)[] = [];
  const moves = openMoves();
  let path = "";
  try {
    const finish: { readonly path: string; readonly act: () => void }[] = [];
    for (const planned of plans) {
      path = planned.file.path;
      if (writing.makeFolders) makeFolderOf(path, undo);
      const act = stage(planned, moves, undo);
      if (act !== undefined) finish.push({ path, act });
    }
    for (const step of finish) {
      path = step.path;
      step.act();
    }
    writing.last?.();
    moves.end();
  } catch (error) {
    moves.undo();
    for (const back of undo.reverse()) back();
    throw writing.explain(path, error);
  }
}

async function explaining<T>(
  path: string,
  { explain }: Writing,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw explain(path, error);
  }
}

/** Two outputs of one name: the second would take the place of the first. */
function refuseTwice(files: readonly OutputFile[]): void {
  const seen = new Set<string>();
  for (const { path } of files) {
    const plain = plainPath(path);
    if (seen.has(plain)) {
      throw usageError(`${shownName(path)} is two outputs of this command`, "out");
    }
    seen.add(plain);
  }
}

/** A path without `.`, `..` and empty parts. */
function plainPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return (path.startsWith("/") ? "/" : "") + parts.join("/");
}

/** What may take the place of a key may take any, so that the hint of a key's place is enough. */
function keysFirst(files: readonly OutputFile[]): readonly OutputFile[] {
  const { keys = [], others = [] } = Object.groupBy(
    files,
    (file) => isKeyFile(file) ? "keys" : "others",
  );
  return [...keys, ...others];
}

function isKeyFile({ keep, secret, bytes }: OutputFile): boolean {
  return keep ?? (secret === true && areKey(bytes));
}

/** Looks at a file's place, and refuses what may not be replaced. */
async function plan(
  file: OutputFile,
  inputs: ReadonlyMap<string | undefined, string>,
  { force, inPlace }: Writing,
): Promise<Planned> {
  const found = await look(file.path);
  if (found === undefined) return { file, stays: false };
  const isKey = isKeyFile(file);
  // What is there already is not written again, so that it may be an input too.
  const mayStay = (file.mayStay ?? isKey) && found.kind === "file";
  if (mayStay && isThere(file, found)) return { file, found, stays: true };
  const path = shownName(file.path);
  if (!inPlace && found.kind !== "device" && inputs.has(found.identity)) {
    const input = shownName(inputs.get(found.identity)!);
    const same = input === path ? path : `${path} is ${input}, which`;
    throw usageError(`${same} is an input of this command`, "out", "give another output");
  }
  if (found.kind === "folder") throw new Deno.errors.IsADirectory();
  if (found.kind === "link") {
    const message = `${path} is a symbolic link, and nothing is written through one`;
    throw fileError("ERR_FILE_EXISTS", path, message, "remove it, or give the file it leads to");
  }
  if (found.kind === "device") {
    if (force) return { file, found, stays: false };
    throw fileError("ERR_FILE_EXISTS", path, `${path} exists`, "give --force to write to it");
  }
  refuseExisting(file, found, isKey, force);
  return { file, found, stays: false };
}

function refuseExisting(file: OutputFile, found: Found, isKey: boolean, force: Force): void {
  if (force === "keys") return;
  const path = shownName(file.path);
  const exists = (what: string, hint: string) =>
    fileError("ERR_FILE_EXISTS", path, `${path} exists${what}`, hint);
  if (isKey) {
    const what = force ? ", and --force replaces no key file" : "";
    const hint = "give --force-key to replace it: the key that is there is lost then";
    throw exists(what, file.ifTaken ?? hint);
  }
  if (!force) throw exists("", file.ifTaken ?? "give --force to replace it");
  if (found.mayRead) {
    if (holdsKey(file, found)) throw exists(" and holds a key", "write to another file");
  } else if (!file.secret && (found.mode & OTHERS) === 0) {
    throw exists(" and may hold a key: only its owner may read it", `add --allow-read=${path}`);
  }
}

/** Whether a file that may be read has these bytes. */
function isThere({ path, bytes }: OutputFile, { size, mayRead }: Found): boolean {
  return mayRead && size === bytes.length && equalBytes(Deno.readFileSync(path), bytes);
}

/** Digests have the sizes of raw keys, and one may take the place of another. */
function holdsKey({ path, bytes, secret }: OutputFile, { size }: Found): boolean {
  const isDigest = !secret && size === bytes.length && size <= 64;
  return size <= MOST_KEY_FILE && !isDigest && areKey(Deno.readFileSync(path));
}

function makeFolderOf(path: string, undo: (() => unknown)[]): void {
  const [, folder] = /^(.*)[/\\][^/\\]*$/s.exec(path) ?? [];
  if (folder === undefined || folder === "") return;
  const made = makeFolder(folder);
  undo.push(() => removeFolders(made));
}

/** Writes what is new, or prepares what takes the place of something; gives what is left to do. */
function stage(
  { file, found, stays }: Planned,
  moves: Moves,
  undo: (() => unknown)[],
): (() => void) | undefined {
  const { path } = file;
  if (stays) return () => setMode(path, file, found);
  if (found?.kind === "device") return () => writeDevice(file);
  if (found === undefined) {
    createNew(path, file);
    undo.push(() => removeQuietly(path));
    return undefined;
  }
  const beside = nameBeside(path);
  if (!found.mayRead || !may("write", beside) || !may("read", beside)) {
    return () => {
      tryRoom(path, found.size, file.bytes.length);
      Deno.removeSync(path);
      createNew(path, file, found);
    };
  }
  createNew(beside, file, found);
  undo.push(() => removeQuietly(beside));
  return () => moves.move(beside, path);
}

/**
 * Sees that the disk has room for a file while the old one is still there, where it may have no other
 * name meanwhile: the old one grows by so much, and back.
 */
function tryRoom(path: string, size: number, length: number): void {
  using old = Deno.openSync(path, { write: true });
  try {
    old.seekSync(size, Deno.SeekMode.Start);
    writeFully(old, new Uint8Array(length));
  } finally {
    old.truncateSync(size);
  }
}

/** Makes a file, which must be new: what is there, a link too, is an error. */
function createNew(path: string, file: OutputFile, old?: Found): void {
  const mode = file.secret ? { mode: SECRET_MODE } : {};
  const target = Deno.openSync(path, { write: true, createNew: true, ...mode });
  try {
    setMode(path, file, old);
    writeFully(target, file.bytes);
  } catch (error) {
    removeQuietly(path);
    throw error;
  } finally {
    target.close();
  }
}

/** A secret is its owner's only, whatever the umask; other files keep the mode of what they replace. */
function setMode(path: string, { secret }: OutputFile, old?: Found): void {
  if (Deno.build.os === "windows") return;
  if (secret) Deno.chmodSync(path, SECRET_MODE);
  else if (old !== undefined) Deno.chmodSync(path, old.mode & 0o777);
}

function writeDevice({ path, bytes, secret }: OutputFile): void {
  using device = Deno.openSync(path, { write: true });
  if (device.isTerminal() && (secret || !isText(bytes))) {
    const what = secret ? "a private key" : "binary";
    throw usageError(`${what} is not written to a terminal`, "out", "give --out FILE");
  }
  writeFully(device, bytes);
}

function isText(bytes: Uint8Array): boolean {
  return /^[^\p{Cc}]*$/u.test(decodeUtf8(bytes)?.replace(/[\t\n]/g, "") ?? "\0");
}

function writeFully(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** More than the largest key in any encoding, in bytes; a larger file is not one of keys. */
export const MOST_KEY_FILE = 0x10000;

/** Sizes in bytes of raw eFuse keys: P-192, HMAC and P-256, P-384, and both halves for XTS-AES-256. */
const RAW_SIZES: readonly number[] = [24, 32, 48, 64];
/** What begins a Java keystore, and what begins an image, which may be as short as a key. */
const MAGIC = { jks: [0xFE, 0xED, 0xFE, 0xED], tlv: [0x11, 0xBA, 0x5E, 0xBA] } as const;
/** The object identifiers of PKCS#5 and PKCS#12 encryption begin so: 1.2.840.113549.1.5 and .12. */
const ENCRYPTION = /^06[0-9a-f]{2}2a864886f70d01(05|0c)/;

/** Whether bytes are a private key, in any encoding, or may be an eFuse key. */
export function areKey(bytes: Uint8Array): boolean {
  if (bytes.length > MOST_KEY_FILE) return false;
  const begins = (magic: readonly number[]) => magic.every((byte, at) => bytes[at] === byte);
  if (begins(MAGIC.tlv)) return false;
  if (RAW_SIZES.includes(bytes.length) || begins(MAGIC.jks)) return true;
  const text = decodeUtf8(bytes);
  if (text !== undefined) return /PRIVATE KEY-----/.test(text) || isRawHex(text);
  return isDerKey(bytes);
}

function isRawHex(text: string): boolean {
  const digits = text.replace(/\s/g, "");
  return /^[0-9A-Fa-f]+$/.test(digits) && RAW_SIZES.includes(digits.length / 2);
}

/**
 * A sequence of all of the bytes that begins with a version of 0 to 3 (PKCS#8, PKCS#1, SEC1, PKCS#12), or
 * with how the rest is encrypted.
 */
function isDerKey(bytes: Uint8Array): boolean {
  const content = sequenceContent(bytes);
  if (content === undefined) return false;
  const isVersion = content[0] === 0x02 && content[1] === 1 && content[2]! <= 3;
  const algorithm = sequenceContent(content, true);
  return isVersion || algorithm !== undefined && ENCRYPTION.test(algorithm.subarray(0, 16).toHex());
}

/** The content of a DER sequence, which may be all of the bytes or their beginning. */
function sequenceContent(bytes: Uint8Array, hasMore = false): Uint8Array | undefined {
  const [tag, first] = bytes;
  if (tag !== 0x30 || first === undefined) return undefined;
  const octets = first < 0x80 ? 0 : first & 0x7F;
  if (octets > 3) return undefined;
  const start = 2 + octets;
  const length = octets === 0
    ? first
    : bytes.subarray(2, start).reduce((sum, byte) => sum << 8 | byte, 0);
  const end = start + length;
  return end === bytes.length || hasMore && end < bytes.length
    ? bytes.subarray(start, end)
    : undefined;
}
