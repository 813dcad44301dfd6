import { SecureCertError } from "../../bytes/errors.ts";
import { concat, equalBytes } from "../../bytes/pack.ts";
import { decodeUtf8, formatHex } from "../../bytes/text.ts";
import { isEcCurve } from "../../crypto/keys/curves.ts";
import {
  decodeKeyParts,
  encodeRsaSpki,
  isConsistentRsa,
  type RsaParts,
} from "../../crypto/keys/encoding.ts";
import { findPrivateKey } from "../../crypto/keys/find.ts";
import {
  ecKeyOf,
  ecPublicKeyOf,
  importPrivateKey,
  type PrivateKey,
} from "../../crypto/keys/keys.ts";
import { digest } from "../../crypto/signing.ts";
import type { DecryptedDsParameters } from "../../crypto/peripherals/ds.ts";
import {
  type Certificate,
  type CertificateReader,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import type { DeviceKey } from "../../device/key.ts";
import {
  parseStoredCertificates,
  parseStoredKey,
  type SkippedBlock,
  type StoredCertificates,
  type StoredKey,
  type StoredRefusal,
} from "../../device/stored.ts";
import type { FindingPlace } from "../../findings/findings.ts";
import {
  entryProtectionOf,
  type KeyMode,
  type KeyStorage,
  keyStorageOf,
  TLV_TYPES,
} from "../../format/names.ts";
import type { HashedBytes } from "../../format/partition.ts";
import {
  decodeDsContext,
  decodeDsData,
  decodeSecurityConfig,
  type DsContext,
  type DsData,
  SECURITY_CONFIG_SIZE,
  type SecurityConfig,
} from "../../format/peripheral.ts";
import type { ReadSignature } from "../../format/signature_block.ts";
import type { StoredTlv } from "../../format/tlv.ts";
import type { ImageEntry } from "../read/entry.ts";

/** What the value of an entry is, in a word; `opaque` when nothing is known of it. */
type EntryKind = Content["kind"];

/** What the value of an entry is, read as its type says. */
export type Content =
  | {
    readonly kind: "certificate";
    /** Those that the device uses; of a value that it refuses those that can be read all the same. */
    readonly certificates: readonly Certificate[];
    /** Blocks that the device does not use. */
    readonly skipped?: readonly SkippedBlock[];
    /** Why the device refuses the value. */
    readonly refusal?: StoredRefusal;
  }
  | ({ readonly kind: "privateKey"; readonly storage: KeyStorage } & KeyContent)
  | { readonly kind: "dsData"; readonly data: DsData; readonly opened?: DecryptedDsParameters }
  | { readonly kind: "dsContext"; readonly context: DsContext }
  | { readonly kind: "securityConfig"; readonly config: SecurityConfig }
  | { readonly kind: "salt" }
  | { readonly kind: "integrity"; readonly sha256: string; readonly ok: boolean }
  | { readonly kind: "signature"; readonly signature: ReadSignature; readonly keyDigest: string }
  | { readonly kind: "userData"; readonly text?: string }
  /** HMAC-encrypted; `problem` says why it does not open with the key that was given. */
  | { readonly kind: "encrypted"; readonly problem?: string }
  | { readonly kind: "opaque" }
  | {
    readonly kind: "unreadable";
    readonly problem: string;
    /** Why the device refuses the value too. */
    readonly refusal?: StoredRefusal;
  };

/** What is known of a private key. */
interface KeyContent {
  /** The key, where it is in the image or was opened with the HMAC key, and can be read. */
  readonly key?: PrivateKey;
  /** SubjectPublicKeyInfo of the key that the device uses, where it is known. */
  readonly publicKey?: Uint8Array;
  /** Why the device refuses the value. */
  readonly refusal?: StoredRefusal;
  /** The device takes the key, and no signature of it will be right: its numbers contradict each other. */
  readonly isBroken?: boolean;
  /** The device takes the key, and cannot sign with it, because it is of this kind, such as `X25519`. */
  readonly agreement?: string;
}

/** An entry with what its value is. */
export interface ReadEntry {
  readonly raw: ImageEntry;
  readonly content: Content;
}

/** What opens the values that the HMAC peripheral protects. */
export interface Secrets {
  /** The 32 bytes of the eFuse key. */
  readonly hmacKey?: Uint8Array;
}

/** A value that was stored just now, and what it was made from. */
export interface KnownValue {
  readonly bytes: Uint8Array;
  readonly certificates?: readonly Certificate[];
  readonly key?: PrivateKey;
}

/** How values are read. */
export interface Reading {
  /** @default readCertificates */
  readonly certificatesOf?: CertificateReader;
  /** Values that need no parsing, because they are known; found by their bytes. @default [] */
  readonly known?: readonly KnownValue[];
  /** Bytes whose hash was made just now, when the image was. */
  readonly hashed?: HashedBytes;
}

/** What the device makes of values as they were last stored, by what they were made from. */
const parsedBefore = new WeakMap<
  Certificate | PrivateKey,
  { readonly stored: Uint8Array; readonly parsed: StoredCertificates | StoredKey }
>();

/**
 * What the device makes of a value, asked once: it is checked when it is planned and when the image is
 * read again, and a batch has the same CA in every image.
 *
 * @param parse How the device reads it, always the same for one object.
 * @param stored The value, which is not changed afterwards.
 * @param made The key, or the first of the certificates, that it was made from, where that is known.
 */
export function parseMade<T extends StoredCertificates | StoredKey>(
  parse: (stored: Uint8Array) => T,
  stored: Uint8Array,
  made: Certificate | PrivateKey | undefined,
): T {
  if (made === undefined) return parse(stored);
  const before = parsedBefore.get(made);
  if (before !== undefined && equalBytes(before.stored, stored)) return before.parsed as T;
  const parsed = parse(stored);
  parsedBefore.set(made, { stored, parsed });
  return parsed;
}

/**
 * The private key in a value, as the device reads it; where it refuses the value, as it can be read
 * otherwise. Of an EC key only the scalar counts, as on the device: a public point beside it does not.
 *
 * @param stored The value, decrypted where it is encrypted.
 * @param reading Keys that are known.
 */
export async function readStoredKey(
  stored: Uint8Array,
  { known = [] }: Reading,
): Promise<KeyContent | Extract<Content, { kind: "unreadable" }>> {
  const { bytes = stored, key: same } =
    known.find(({ key, bytes }) => key && equalBytes(bytes, stored)) ?? {};
  const parsed = parseMade(parseStoredKey, bytes, same);
  if (parsed.kind === "used") {
    return same ? { key: same, publicKey: same.publicKey } : await openDeviceKey(parsed.key);
  }
  const { refusal } = parsed;
  return await readAnyway(refusal, async () => ({
    key: same ?? await importPrivateKey(stored),
    refusal,
  }));
}

async function openDeviceKey(key: DeviceKey): Promise<KeyContent> {
  if (key.type === "rsa") return await openRsaKey(key.pkcs1);
  if (key.type === "agreement") return { agreement: key.name };
  const { curve, scalar } = key;
  if (!isEcCurve(curve.name)) return { publicKey: await ecPublicKeyOf(curve, scalar) };
  const padded = concat(new Uint8Array(curve.size - scalar.length), scalar);
  const opened = await ecKeyOf(curve.name, padded);
  return { key: opened, publicKey: opened?.publicKey };
}

async function openRsaKey(pkcs1: Uint8Array): Promise<KeyContent> {
  const parts = decodeKeyParts(pkcs1) as RsaParts;
  const publicKey = encodeRsaSpki(parts);
  if (!isConsistentRsa(parts)) return { publicKey, isBroken: true };
  return { key: await importPrivateKey(pkcs1), publicKey };
}

function readStoredCertificates(
  stored: Uint8Array,
  reading: Reading,
): Content | Promise<Content> {
  const same = reading.known?.find(({ certificates, bytes }) =>
    certificates && equalBytes(bytes, stored)
  );
  return useCertificates(same?.bytes ?? stored, same?.certificates ?? [], reading);
}

/** The certificates that the device takes from a value; known ones need no parsing. */
function useCertificates(
  stored: Uint8Array,
  made: readonly Certificate[],
  { certificatesOf = readCertificates }: Reading,
): Content | Promise<Content> {
  const parsed = parseMade(parseStoredCertificates, stored, made[0]);
  if (parsed.kind === "refused") {
    const { refusal } = parsed;
    return readAnyway(refusal, () => ({
      kind: "certificate",
      certificates: certificatesOf(stored),
      refusal,
    }));
  }
  const certificates = parsed.certificates.flatMap((der) =>
    made.find((each) => equalBytes(each.der, der)) ?? certificatesOf(der)
  );
  return { kind: "certificate", certificates, skipped: parsed.skipped };
}

/** What can be read of a value that the device refuses, or why that cannot be read either. */
async function readAnyway<T>(
  refusal: StoredRefusal,
  read: () => T | Promise<T>,
): Promise<T | Extract<Content, { kind: "unreadable" }>> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { kind: "unreadable", problem: error.message, refusal };
  }
}

/**
 * Reads the value of each entry, except what the key modes open: for a private key it says where it is,
 * DS data stays closed, and an encrypted value is only called that.
 *
 * @param image The image that the entries are from.
 * @param entries Its entries.
 * @param reading How certificates are read.
 */
export async function readContents(
  image: Uint8Array,
  entries: readonly ImageEntry[],
  reading: Reading,
): Promise<ReadEntry[]> {
  const read: ReadEntry[] = [];
  for (const raw of entries) {
    const content = readable(() => readContent(image, raw, reading));
    read.push({ raw, content: content instanceof Promise ? await content : content });
  }
  return read;
}

/** A content, or why it cannot be read; at once, as of most entries, where it is read at once. */
export function readable(read: () => Content | Promise<Content>): Content | Promise<Content> {
  try {
    const content = read();
    return content instanceof Promise ? content.catch(unreadable) : content;
  } catch (error) {
    return unreadable(error);
  }
}

function unreadable(error: unknown): Content {
  if (error instanceof SecureCertError) return { kind: "unreadable", problem: error.message };
  throw error;
}

function readContent(
  image: Uint8Array,
  raw: ImageEntry,
  reading: Reading,
): Content | Promise<Content> {
  const { type, data, flags } = raw.value;
  if (type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV) {
    return { kind: "privateKey", storage: keyStorageOf(flags) };
  }
  if (entryProtectionOf(raw.value) === "encrypted") return { kind: "encrypted" };
  return readValue(image, raw, data, reading);
}

/**
 * What the value of an entry is that is not a private key.
 *
 * @param image The image that the entry is from.
 * @param raw The entry.
 * @param data Its value, decrypted where it is encrypted.
 * @param reading How certificates are read.
 * @throws {SecureCertError} when it is not what its type says.
 */
export function readValue(
  image: Uint8Array,
  raw: ImageEntry,
  data: Uint8Array,
  reading: Reading,
): Content | Promise<Content> {
  switch (raw.value.type) {
    case TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV:
    case TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV:
      return readStoredCertificates(data, reading);
    case TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV:
      return { kind: "dsData", data: decodeDsData(data) };
    case TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV:
      return { kind: "dsContext", context: decodeDsContext(data) };
    case TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG:
      return { kind: "securityConfig", config: readSecurityConfig(data) };
    case TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT:
      return { kind: "salt" };
    case TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV:
      return readIntegrity(image, raw, reading);
    case TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV:
      return readSignatureEntry(data);
    default:
      return readUserData(raw.value.type, data);
  }
}

async function readSignatureEntry(data: Uint8Array): Promise<Content> {
  const { readSignature } = await import("../../format/signature_block.ts");
  const { publicKeyDigest } = await import("../../crypto/signature.ts");
  const signature = readSignature(data);
  return {
    kind: "signature",
    signature,
    keyDigest: formatHex(await publicKeyDigest(signature.key)),
  };
}

/** The firmware reads the first byte, and does not look at the length. */
function readSecurityConfig(data: Uint8Array): SecurityConfig {
  if (data.length === 0 || data.length >= SECURITY_CONFIG_SIZE) return decodeSecurityConfig(data);
  const whole = new Uint8Array(SECURITY_CONFIG_SIZE);
  whole.set(data);
  return decodeSecurityConfig(whole);
}

async function readIntegrity(
  image: Uint8Array,
  { value: { data }, offset }: ImageEntry,
  { hashed }: Reading,
): Promise<Content> {
  const before = image.subarray(0, offset);
  const isHashed = hashed !== undefined && equalBytes(hashed.bytes, before);
  const computed = isHashed ? hashed.sha256 : await digest("SHA-256", before);
  return { kind: "integrity", sha256: formatHex(data), ok: equalBytes(data, computed) };
}

function readUserData(type: number, data: Uint8Array): Content {
  const { ESP_SECURE_CERT_USER_DATA_1: first, ESP_SECURE_CERT_USER_DATA_5: last } = TLV_TYPES;
  if (type < first || type > last) return { kind: "opaque" };
  const text = decodeUtf8(data);
  const isPrintable = text !== undefined && text !== "" &&
    !/\p{Cc}/u.test(text.replace(/[\t\r\n]/g, ""));
  // A private key among user data is a secret too, one that is encrypted included.
  const isSecret = text?.includes("PRIVATE KEY-----") === true ||
    isPrintable && findPrivateKey(data) !== undefined;
  return isPrintable && !isSecret ? { kind: "userData", text } : { kind: "userData" };
}

type Placed<Kind extends Content["kind"]> = Extract<Content, { kind: Kind }> & {
  readonly place: FindingPlace;
};

/**
 * What an image holds for TLS: the entries with subtype 0, which the firmware's getters read, and of
 * their certificates those that the device uses.
 */
export interface Credentials {
  /** Device certificate, and what follows it in a bundle. */
  readonly deviceCerts: readonly Certificate[];
  /** CA certificates. */
  readonly caCerts: readonly Certificate[];
  /** The private key entry. */
  readonly keyEntry?: Placed<"privateKey">;
  /** The DS data, when it can be read. */
  readonly dsData?: Placed<"dsData">;
  /** The DS context, when it can be read. */
  readonly dsContext?: Placed<"dsContext">;
  /** The security configuration, when it can be read. */
  readonly securityConfig?: Placed<"securityConfig">;
  /** Types of which there is an entry with subtype 0, readable or not. */
  readonly types: ReadonlySet<number>;
}

/** The credentials of an image. */
export function findCredentials(entries: readonly ReadEntry[]): Credentials {
  const first = <Kind extends Content["kind"]>(
    type: number,
    kind: Kind,
  ): Placed<Kind> | undefined => {
    const index = entries.findIndex(({ raw: { value } }) =>
      value.type === type && value.subtype === 0
    );
    const found = entries[index];
    if (found?.content.kind !== kind) return undefined;
    const place = { entry: index, offset: found.raw.offset };
    return { ...found.content as Extract<Content, { kind: Kind }>, place };
  };
  const certificates = (type: number) => {
    const content = first(type, "certificate");
    return content === undefined || content.refusal ? [] : content.certificates;
  };
  return {
    deviceCerts: certificates(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCerts: certificates(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    keyEntry: first(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, "privateKey"),
    dsData: first(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, "dsData"),
    dsContext: first(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, "dsContext"),
    securityConfig: first(TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, "securityConfig"),
    types: new Set(
      entries.filter(({ raw }) => raw.value.subtype === 0).map(({ raw }) => raw.value.type),
    ),
  };
}

/** How the private key reaches the device; undefined when the image does not say. */
export function keyModeOf({ keyEntry, types }: Credentials): KeyMode | undefined {
  if (keyEntry !== undefined) return keyEntry.storage;
  return types.has(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV) ? "rsa-ds" : undefined;
}

/**
 * Whether an image promises that its private key is not in flash in plaintext: every key mode but
 * `plaintext` does, DS data also beside a private key that is there.
 *
 * @param entries The entries, whatever their values.
 */
export function hidesKey(
  entries: readonly Pick<StoredTlv, "type" | "subtype" | "flags">[],
): boolean {
  const keys = entries.filter(({ type }) => type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV);
  const read = keys.find(({ subtype }) => subtype === 0) ?? keys.at(-1);
  return read !== undefined && keyStorageOf(read.flags) !== "plaintext" ||
    entries.some(({ type, subtype }) =>
      type === TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV && subtype === 0
    );
}
