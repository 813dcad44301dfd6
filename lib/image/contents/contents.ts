import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { decodeUtf8, formatHex } from "../../bytes/text.ts";
import {
  type CertificateInfo,
  type CertificateReader,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { decryptDsParameters, type DecryptedDsParameters } from "../../crypto/peripherals/ds.ts";
import { decryptEntry, deriveEcdsaKey } from "../../crypto/peripherals/hmac.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { publicKeyDigest } from "../../crypto/signature.ts";
import { digest } from "../../crypto/signing.ts";
import { type KeyStorage, keyStorageOf, LAST_OF_TYPE, TLV_TYPES } from "../../format/names.ts";
import {
  decodeDsContext,
  decodeDsData,
  decodeSecurityConfig,
  type DsContext,
  type DsData,
  SECURITY_CONFIG_SIZE,
  type SecurityConfig,
} from "../../format/peripheral.ts";
import type { ImageEntry } from "../read/entry.ts";
import { type ReadSignature, readSignature } from "../../format/signature_block.ts";

/** What the value of an entry is, in a word; `opaque` when nothing is known of it. */
export type EntryKind = Content["kind"];

/** What the value of an entry is, read as its type says. */
export type Content =
  | { readonly kind: "certificate"; readonly certificates: readonly CertificateInfo[] }
  | {
    readonly kind: "privateKey";
    readonly storage: KeyStorage;
    /** The key, where it lies in the image or was opened with the HMAC key. */
    readonly key?: PrivateKey;
    /** SubjectPublicKeyInfo of the key, where it is known. */
    readonly publicKey?: Uint8Array;
  }
  | { readonly kind: "dsData"; readonly data: DsData; readonly opened?: DecryptedDsParameters }
  | { readonly kind: "dsContext"; readonly context: DsContext }
  | { readonly kind: "securityConfig"; readonly config: SecurityConfig }
  | { readonly kind: "salt" }
  | { readonly kind: "integrity"; readonly sha256: string; readonly ok: boolean }
  | { readonly kind: "signature"; readonly signature: ReadSignature; readonly keyDigest: string }
  | { readonly kind: "userData"; readonly text?: string }
  | { readonly kind: "encrypted" }
  | { readonly kind: "opaque" }
  | { readonly kind: "unreadable"; readonly problem: string };

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

/** How values are read. */
export interface Reading extends Secrets {
  /** @default readCertificates */
  readonly certificatesOf?: CertificateReader;
}

/** Reads the value of each entry. */
export async function readContents(
  image: Uint8Array,
  entries: readonly ImageEntry[],
  reading: Reading,
): Promise<ReadEntry[]> {
  return await Promise.all(entries.map(async (raw) => {
    try {
      return { raw, content: await readContent(image, raw, entries, reading) };
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      return { raw, content: { kind: "unreadable", problem: error.message } };
    }
  }));
}

async function readContent(
  image: Uint8Array,
  raw: ImageEntry,
  entries: readonly ImageEntry[],
  reading: Reading,
): Promise<Content> {
  const { type, data, flags } = raw.value;
  if (type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV) return await readKey(raw, entries, reading);
  const storage = keyStorageOf(flags);
  if (storage !== "hmac-encrypted") return await readValue(image, raw, data, reading);
  if (reading.hmacKey === undefined) return { kind: "encrypted" };
  return await readValue(
    image,
    raw,
    await decryptEntry(data, { hmacKey: reading.hmacKey }),
    reading,
  );
}

async function readValue(
  image: Uint8Array,
  raw: ImageEntry,
  data: Uint8Array,
  { hmacKey, certificatesOf = readCertificates }: Reading,
): Promise<Content> {
  switch (raw.value.type) {
    case TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV:
    case TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV:
      return { kind: "certificate", certificates: certificatesOf(data) };
    case TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV:
      return await readDsData(decodeDsData(data), hmacKey);
    case TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV:
      return { kind: "dsContext", context: decodeDsContext(data) };
    case TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG:
      return { kind: "securityConfig", config: readSecurityConfig(data) };
    case TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT:
      return { kind: "salt" };
    case TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV:
      return await readIntegrity(image, raw);
    case TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: {
      const signature = readSignature(data);
      const keyDigest = formatHex(await publicKeyDigest(signature.key));
      return { kind: "signature", signature, keyDigest };
    }
    default:
      return readUserData(raw.value.type, data);
  }
}

async function readKey(
  { value: { data, flags, subtype } }: ImageEntry,
  entries: readonly ImageEntry[],
  { hmacKey }: Secrets,
): Promise<Content> {
  const storage = keyStorageOf(flags);
  const opened = (key: PrivateKey): Content => ({
    kind: "privateKey",
    storage,
    key,
    publicKey: key.publicKey,
  });
  switch (storage) {
    case "plaintext":
      return opened(await importPrivateKey(data));
    case "hmac-encrypted":
      if (hmacKey === undefined) return { kind: "privateKey", storage };
      return opened(await importPrivateKey(await decryptEntry(data, { hmacKey })));
    case "hmac-derived": {
      const salt = findSalt(entries, subtype);
      if (hmacKey === undefined) return { kind: "privateKey", storage };
      const { publicKey } = await deriveEcdsaKey(hmacKey, salt);
      return { kind: "privateKey", storage, publicKey };
    }
    case "ecdsa-peripheral":
      return { kind: "privateKey", storage };
    default:
      return storage satisfies never;
  }
}

/**
 * The salt that belongs to a derived key: of the subtype by which the key was asked for, 254 being the
 * last one, with a right checksum.
 */
export function findSalt(entries: readonly ImageEntry[], subtype: number): Uint8Array {
  const type = TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT;
  const salts = entries.filter(({ value }) => value.type === type);
  const salt = subtype === LAST_OF_TYPE
    ? salts.at(-1)
    : salts.find(({ value }) => value.subtype === subtype);
  if (salt !== undefined && salt.crc.stored === salt.crc.computed) return salt.value.data;
  const message = salt === undefined
    ? `no salt with subtype ${subtype} for the derived key; the chip resets when it is asked for`
    : `the salt of the derived key has a wrong checksum; the chip resets when the key is asked for`;
  throw new SecureCertError(salt === undefined ? "ERR_NOT_FOUND" : "ERR_CHECKSUM", message);
}

/** The firmware reads the first byte, and does not look at the length. */
function readSecurityConfig(data: Uint8Array): SecurityConfig {
  if (data.length === 0 || data.length >= SECURITY_CONFIG_SIZE) return decodeSecurityConfig(data);
  const whole = new Uint8Array(SECURITY_CONFIG_SIZE);
  whole.set(data);
  return decodeSecurityConfig(whole);
}

async function readDsData(data: DsData, hmacKey: Uint8Array | undefined): Promise<Content> {
  if (hmacKey === undefined) return { kind: "dsData", data };
  return { kind: "dsData", data, opened: await decryptDsParameters(data, { hmacKey }) };
}

async function readIntegrity(
  image: Uint8Array,
  { value: { data }, offset }: ImageEntry,
): Promise<Content> {
  const computed = await digest("SHA-256", image.subarray(0, offset));
  return { kind: "integrity", sha256: formatHex(data), ok: equalBytes(data, computed) };
}

function readUserData(type: number, data: Uint8Array): Content {
  const { ESP_SECURE_CERT_USER_DATA_1: first, ESP_SECURE_CERT_USER_DATA_5: last } = TLV_TYPES;
  if (type < first || type > last) return { kind: "opaque" };
  const text = decodeUtf8(data);
  const isPrintable = text !== undefined && text !== "" &&
    !/\p{Cc}/u.test(text.replace(/[\t\r\n]/g, ""));
  // A private key among user data is no less a secret for standing there.
  const isSecret = text?.includes("PRIVATE KEY-----") === true;
  return isPrintable && !isSecret ? { kind: "userData", text } : { kind: "userData" };
}
