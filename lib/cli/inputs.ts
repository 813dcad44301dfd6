import { formatPem } from "../bytes/pem.ts";
import { decodeUtf8, encodeUtf8, parseBase64, parseHex } from "../bytes/text.ts";
import { SecureCertError } from "../bytes/errors.ts";
import { readCertificates } from "../crypto/x509/certificate.ts";
import type { CertificateUsage } from "../crypto/x509/issue.ts";
import type { EcCurve } from "../crypto/keys/curves.ts";
import {
  type GenerateKeyOptions,
  importPrivateKey,
  isProtectedKey,
  type PrivateKey,
} from "../crypto/keys/keys.ts";
import { HMAC_KEY_SIZE } from "../crypto/peripherals/hmac_key.ts";
import type { ChipName } from "../format/chips/chips.ts";
import { type KeyMode, parseTlvType } from "../format/names.ts";
import { PARTITION_TABLE_OFFSET } from "../format/table/binary.ts";
import type { BuildPlan, DataEntry } from "../toolkit/plan/credentials.ts";
import type { Arguments } from "./arguments.ts";
import { fileError, usageError } from "./errors.ts";
import type { Io } from "./io.ts";

/** The kind of key that --type, --curve and --bits ask for. */
export function keyOptions(
  args: Arguments,
  standard: "ec" | "rsa" = "ec",
): Pick<GenerateKeyOptions, "type" | "curve" | "bits"> {
  const type = (args.get("type") ?? standard) as "ec" | "rsa";
  const misplaced = type === "ec" ? "bits" : "curve";
  if (args.has(misplaced)) {
    throw usageError(`--${misplaced} does not go with --type ${type}`, misplaced);
  }
  if (type === "rsa") return { type, bits: (args.number("bits") ?? 2048) as 2048 };
  return { type, curve: (args.get("curve") ?? "P-256") as EcCurve };
}

/** Says so when a key takes its time. */
export function noteSlowKey(
  { type, bits }: Pick<GenerateKeyOptions, "type" | "bits">,
  io: Io,
): void {
  if (type === "rsa" && bits !== undefined && bits !== 2048) {
    io.note(`making an RSA-${bits} key, which takes some seconds …`);
  }
}

/** What --days says. */
export function daysOf(args: Arguments): { days?: number | "forever" } {
  const text = args.get("days");
  if (text === undefined) return {};
  if (text === "forever") return { days: "forever" };
  const days = args.number("days")!;
  if (days < 1) throw usageError("--days is a number from 1, or forever", "days");
  return { days };
}

/** The names of --san, which may stand in one value with commas between. */
export function sansOf(args: Arguments): string[] {
  return args.all("san").flatMap((text) => text.split(",")).map((name) => name.trim());
}

/** What --usage says. */
export function usageOf(args: Arguments): { usage?: CertificateUsage[] } {
  const usage = args.all("usage") as CertificateUsage[];
  return usage.length === 0 ? {} : { usage };
}

/**
 * The password of a private key: the first line of --password-file, or else what somebody at the
 * terminal answers, who is asked only when the key needs it.
 *
 * @param key The key's file; nobody is asked without.
 * @param name What the question calls the key.
 */
export async function passwordOf(
  args: Arguments,
  io: Io,
  key?: Uint8Array,
  name = "the private key",
): Promise<{ password?: string }> {
  const path = args.get("password-file");
  if (path === undefined) {
    if (key === undefined || !isProtectedKey(key)) return {};
    const password = io.promptSecret?.(`password of ${name}:`);
    return password ? { password } : {};
  }
  const text = decodeUtf8(await io.read(path));
  if (text === undefined) throw usageError("--password-file is not UTF-8 text", "password-file");
  return { password: text.split(/\r?\n/)[0]! };
}

/** The private key in a file. */
export async function readKey(path: string, args: Arguments, io: Io): Promise<PrivateKey> {
  const bytes = await io.read(path);
  const options = await passwordOf(args, io, bytes, path);
  return await naming(path, () => importPrivateKey(bytes, options));
}

/** Runs something on a file's content, and says in its error which file it was. */
export async function naming<T>(path: string, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    const place = { ...error.place, file: path };
    throw new SecureCertError(error.code, `${path}: ${error.message}`, place, { cause: error });
  }
}

/** The certificate in a file, which must be one. */
export async function readCertificateFile(path: string, io: Io): Promise<Uint8Array> {
  const bytes = await io.read(path);
  await naming(path, () => readCertificates(bytes));
  return bytes;
}

/** A file's bytes under a name, or nothing when the flag is not given. */
export async function readFlag<Name extends string>(
  flag: string,
  name: Name,
  args: Arguments,
  io: Io,
): Promise<{ [key in Name]?: Uint8Array }> {
  const path = args.get(flag);
  return (path === undefined ? {} : { [name]: await io.read(path) }) as {
    [key in Name]?: Uint8Array;
  };
}

/** Whether --hmac-key names a file that espefuse can burn: raw, not hex. */
export async function hasRawHmacKey(args: Arguments, io: Io): Promise<boolean> {
  const path = args.get("hmac-key");
  return path !== undefined && (await io.read(path)).length === HMAC_KEY_SIZE;
}

/** The HMAC key of --hmac-key, raw or as hex text. */
export async function hmacKeyOf(args: Arguments, io: Io): Promise<{ hmacKey?: Uint8Array }> {
  const key = await readKeyBytes("hmac-key", "hmacKey", args, io);
  if (key.hmacKey === undefined || key.hmacKey.length === HMAC_KEY_SIZE) return key;
  const path = args.need("hmac-key");
  const message = `${path} holds ${key.hmacKey.length} bytes, an HMAC key has ${HMAC_KEY_SIZE}`;
  throw fileError("ERR_IO", path, message);
}

/** Key bytes in a file, raw or as hex text. */
export async function readKeyBytes<Name extends string>(
  flag: string,
  name: Name,
  args: Arguments,
  io: Io,
): Promise<{ [key in Name]?: Uint8Array }> {
  const path = args.get(flag);
  if (path === undefined) return {};
  const bytes = await io.read(path);
  const text = decodeUtf8(bytes)?.replace(/\s/g, "") ?? "";
  const isHex = bytes.length !== HMAC_KEY_SIZE && text !== "" && /^[0-9a-f]*$/i.test(text);
  return { [name]: isHex ? parseHex(text) : bytes } as { [key in Name]?: Uint8Array };
}

/** What --chip, --key-mode and their companions say, and the password of the key. */
export async function keyPlanOf(
  args: Arguments,
  io: Io,
  key?: Uint8Array,
  name?: string,
): Promise<Omit<BuildPlan, "privateKey">> {
  const [chip, keyMode] = [args.get("chip"), args.get("key-mode")];
  const efuseKeyId = args.number("efuse-key-id");
  if (keyMode !== undefined && keyMode !== "plaintext" && chip === undefined) {
    throw usageError(
      `--key-mode ${keyMode} needs --chip`,
      "chip",
      "run chips for what each can do",
    );
  }
  checkKeyFlags(keyMode ?? "plaintext", args);
  return {
    ...keyMode === undefined ? {} : { keyMode: keyMode as KeyMode },
    ...chip === undefined ? {} : { chip: chip as ChipName },
    ...efuseKeyId === undefined ? {} : { efuseKeyId },
    ...await hmacKeyOf(args, io),
    ...await passwordOf(args, io, key, name),
    allowWeak: args.has("allow-weak"),
  };
}

/** Flags that the key mode would pass over in silence. */
function checkKeyFlags(keyMode: string, args: Arguments): void {
  const idle = keyMode === "plaintext"
    ? ["efuse-key-id", "hmac-key"]
    : keyMode === "hmac-derived"
    ? ["type", "curve", "bits"]
    : keyMode === "ecdsa-peripheral"
    ? ["hmac-key"]
    : [];
  const given = idle.find((flag) => args.has(flag));
  if (given !== undefined) {
    throw usageError(`--${given} does not go with --key-mode ${keyMode}`, given);
  }
}

/** The entries of --data, or of another flag that takes them. */
export async function dataOf(args: Arguments, io: Io, flag = "data"): Promise<DataEntry[]> {
  const entries: DataEntry[] = [];
  for (const text of args.all(flag)) entries.push(await parseData(flag, text, io));
  return entries;
}

/** What --table-offset says. */
export function tableOffsetOf(args: Arguments): { tableOffset?: number } {
  const tableOffset = args.number("table-offset");
  if (tableOffset === undefined) return {};
  if (tableOffset <= 0xFFFFFFFF) return { tableOffset };
  throw usageError("--table-offset is a 32-bit number", "table-offset");
}

/** Says how to find an image where a look without the place of the table found none. */
export function noteTableOffset(file: Uint8Array, args: Arguments, io: Io): void {
  if (args.has("table-offset") || file.length <= PARTITION_TABLE_OFFSET) return;
  io.note("hint: if this is a dump of flash with its table elsewhere, give --table-offset");
}

/** The files of a flag that repeats. */
export async function readAll(flag: string, args: Arguments, io: Io): Promise<Uint8Array[]> {
  const files: Uint8Array[] = [];
  for (const path of args.all(flag)) files.push(await io.read(path));
  return files;
}

/** PEM text of DER, as bytes. */
export function pemBytes(label: string, der: Uint8Array): Uint8Array {
  return encodeUtf8(formatPem(label, der));
}

async function parseData(flag: string, text: string, io: Io): Promise<DataEntry> {
  const [, name, subtype, form, value] =
    /^([^=.]+)(?:\.([0-9]{1,3}))?=(string|hex|base64|file):(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw usageError(
      `--${flag} is TYPE[.SUBTYPE]=string:…, =hex:…, =base64:… or =file:…; not "${
        text.split("=")[0]
      }"`,
      flag,
    );
  }
  const type = parseTlvType(name);
  if (type === undefined) throw usageError(`--${flag}: unknown entry type "${name}"`, flag);
  return { type, subtype: Number(subtype ?? 0), data: await dataBytes(form!, value, io) };
}

async function dataBytes(form: string, value: string, io: Io): Promise<Uint8Array> {
  switch (form) {
    case "hex":
      return parseHex(value.replace(/\s/g, ""));
    case "base64":
      return parseBase64(value.replace(/\s/g, ""));
    case "file":
      return await io.read(value);
    default:
      return encodeUtf8(value);
  }
}
