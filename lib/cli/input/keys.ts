// What reads keys is loaded when there is one to read: this file is loaded for every --help.
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeText } from "../../bytes/text.ts";
import type { EcCurve } from "../../crypto/keys/curves.ts";
import type { GenerateKeyOptions, PrivateKey } from "../../crypto/keys/keys.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import type { KeyMode } from "../../format/names.ts";
import type { KeyModeRules } from "../../key_modes/mode.ts";
import type { BuildPlan } from "../../toolkit/plan/entry.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { fileError, usageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { naming } from "./files.ts";

/** The kind of key that --type, --curve and --bits ask for. */
export function keyOptions(
  args: Arguments,
  standard: "ec" | "rsa" = "ec",
): Pick<GenerateKeyOptions, "type" | "curve" | "bits"> {
  const type = (args.get("type") ?? standard) as "ec" | "rsa";
  const [misplaced, other] = type === "ec" ? ["bits", "rsa"] : ["curve", "ec"];
  // With a key mode, it is that which wants such a key.
  const hint = args.has("type") || args.has("key-mode") ? undefined : `give --type ${other}`;
  refuseIdle(args, [misplaced], `does not go with --type ${type}`, hint);
  if (type === "rsa") return { type, bits: (args.number("bits") ?? 2048) as 2048 };
  return { type, curve: (args.get("curve") ?? "P-256") as EcCurve };
}

/** The kind of key that a device is to have; undefined when the flags leave it to the key mode. */
export async function deviceKeyOptions(
  keyMode: KeyMode,
  args: Arguments,
): Promise<Pick<GenerateKeyOptions, "type" | "curve" | "bits"> | undefined> {
  if (!["type", "curve", "bits"].some((flag) => args.has(flag))) return undefined;
  const { KEY_MODE_RULES } = await import("../../key_modes/modes.ts");
  return keyOptions(args, KEY_MODE_RULES[keyMode].standardKey.type);
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

/** Bytes of a password file that are looked at; a password is in its first line. */
const MAX_PASSWORD_FILE = 0x10000;

/**
 * The password of a private key: the first line of --password-file, or else what is typed
 * at the terminal, where it is asked for only when the key needs one.
 *
 * @param key The key's file; without it no question is asked.
 * @param name What the question calls the key.
 */
export async function passwordOf(
  args: Arguments,
  io: Io,
  key?: Uint8Array,
  name = "the private key",
): Promise<string | undefined> {
  const path = args.get("password-file");
  if (path !== undefined) {
    const text = decodeText((await io.read(path)).subarray(0, MAX_PASSWORD_FILE));
    if (text !== undefined) return text.split(/\r?\n/)[0]!;
    throw usageError("--password-file is not text in UTF-8 or UTF-16", "password-file");
  }
  if (key === undefined || io.promptSecret === undefined) return undefined;
  const { isProtectedKey } = await import("../../crypto/keys/keys.ts");
  if (!isProtectedKey(key)) return undefined;
  return await io.promptSecret(`password of ${name}:`) || undefined;
}

/** The private key in a file. */
export async function readKey(path: string, args: Arguments, io: Io): Promise<PrivateKey> {
  const { importPrivateKey } = await import("../../crypto/keys/keys.ts");
  const bytes = await io.read(path);
  const password = await passwordOf(args, io, bytes, path);
  return await naming(path, () => importPrivateKey(bytes, { password }));
}

/**
 * The public key in a file, SubjectPublicKeyInfo as PEM or DER, to be certified. The signature of a request
 * shows that its key works; of this one it is checked that the device reads it.
 *
 * @throws {SecureCertError} `ERR_KEY` for a key that the device refuses; as {@linkcode publicKeyDer} and
 * {@linkcode decodeSpki} for what is not a key.
 */
export async function readPublicKey(
  path: string,
  io: Io,
): Promise<{ readonly publicKey: Uint8Array }> {
  const { decodeSpki, publicKeyDer } = await import("../../crypto/keys/encoding.ts");
  const { publicKeyRefusal } = await import("../../device/public_key.ts");
  const bytes = await io.read(path);
  return await naming(path, () => {
    const publicKey = publicKeyDer(bytes);
    decodeSpki(publicKey);
    const refusal = publicKeyRefusal(publicKey);
    if (refusal === undefined) return { publicKey };
    const message = `Cannot certify public key: the device refuses it: ${refusal}`;
    throw new SecureCertError("ERR_KEY", message);
  });
}

/** Whether a private key is PEM without a password, which espefuse can burn. */
export async function isPlainPem(key: Uint8Array): Promise<boolean> {
  const { isProtectedKey } = await import("../../crypto/keys/keys.ts");
  return isPem(key) && !isProtectedKey(key);
}

/** An eFuse key or a salt. */
export interface RawKey {
  readonly bytes: Uint8Array;
  /** Its file, when that holds the raw bytes, as espefuse takes them. */
  readonly rawFile?: string;
}

/** The bytes in the file that a flag names, raw or as 64 hex digits. */
export async function readRawKey(
  flag: string,
  args: Arguments,
  io: Io,
): Promise<RawKey | undefined> {
  const path = args.get(flag);
  if (path === undefined) return undefined;
  const { hexHmacKey } = await import("../../crypto/peripherals/hmac.ts");
  const file = await io.read(path);
  const fromHex = hexHmacKey(file);
  return fromHex === undefined ? { bytes: file, rawFile: path } : { bytes: fromHex };
}

/** The HMAC key of --hmac-key. */
export async function readHmacKey(args: Arguments, io: Io): Promise<RawKey | undefined> {
  const key = await readRawKey("hmac-key", args, io);
  if (key === undefined) return undefined;
  const { HMAC_KEY_SIZE } = await import("../../crypto/peripherals/hmac.ts");
  if (key.bytes.length === HMAC_KEY_SIZE) return key;
  const path = args.need("hmac-key");
  const found = isPem(key.bytes) ? "is PEM text" : `holds ${countOf(key.bytes.length, "byte")}`;
  const message = `${path} ${found}; an HMAC key has ${HMAC_KEY_SIZE} bytes, raw or as hex`;
  throw fileError("ERR_IO", path, message);
}

/** What --chip says. */
export function chipOf(args: Arguments): ChipName | undefined {
  return args.get("chip") as ChipName | undefined;
}

/** What --key-mode says. */
export function keyModeOf(args: Arguments, standard: KeyMode = "plaintext"): KeyMode {
  return args.get("key-mode") as KeyMode | undefined ?? standard;
}

/**
 * What --chip, --key-mode and the flags that belong to them say.
 *
 * @throws {CliError} `ERR_USAGE` for a key mode without a chip, and for flags that would have no effect.
 */
export async function keyPlanOf(
  args: Arguments,
): Promise<Pick<BuildPlan, "chip" | "efuseKeyId"> & { readonly keyMode: KeyMode }> {
  const [chip, keyMode] = [chipOf(args), keyModeOf(args)];
  if (keyMode !== "plaintext" && chip === undefined) {
    const hint = "run chips for what each can do";
    throw usageError(`--key-mode ${keyMode} needs --chip`, "chip", hint);
  }
  await refuseIdleFlags(keyMode, args);
  return {
    chip,
    keyMode,
    efuseKeyId: args.number("efuse-key-id"),
  };
}

/**
 * Refuses flags that the key mode would ignore.
 *
 * @throws {CliError} `ERR_USAGE` for the first of them.
 */
export async function refuseIdleFlags(keyMode: KeyMode, args: Arguments): Promise<void> {
  const { KEY_MODE_RULES } = await import("../../key_modes/modes.ts");
  const modes = Object.entries(KEY_MODE_RULES);
  for (const flag of idleFlags(KEY_MODE_RULES[keyMode])) {
    const taking = modes.filter(([, rules]) => !idleFlags(rules).includes(flag))
      .map(([name]) => name);
    const hint = `it goes with --key-mode ${taking.join(", ")}`;
    refuseIdle(args, [flag], `does not go with --key-mode ${keyMode}`, hint);
  }
}

/** The flags that a key mode would ignore. */
function idleFlags({ efuseKey, privateKey }: KeyModeRules): readonly string[] {
  return [
    ...efuseKey === "none" ? ["efuse-key-id"] : [],
    ...efuseKey === "hmac key" ? [] : ["hmac-key"],
    ...privateKey === "derived" ? ["private-key", "type", "curve", "bits"] : ["salt"],
  ];
}
