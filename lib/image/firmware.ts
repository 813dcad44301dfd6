import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { decryptEntry, deriveEcdsaKey } from "../crypto/peripherals/hmac.ts";
import { digest } from "../crypto/signing.ts";
import {
  type ImageFormat,
  type KeyStorage,
  keyStorageOf,
  LAST_OF_TYPE,
  TLV_TYPES,
  type TlvType,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../format/names.ts";
import { type Walk, type WalkedTlv, walkPartition } from "../format/partition.ts";
import { decodeDsContext } from "../format/peripheral.ts";
import type { DecodedTlv } from "../format/tlv.ts";
import { findSalt } from "./contents/contents.ts";
import type { ImageEntry } from "./read/entry.ts";
import { readImage } from "./read/image.ts";

/** How {@linkcode openSecureCert} reads. */
type OpenOptions = NonNullable<Parameters<typeof openSecureCert>[1]>;

/** The firmware's `esp_secure_cert_key_type_t`, without prefix and suffix. */
type PrivateKeyType = Awaited<ReturnType<SecureCert["privateKeyType"]>>;

/** What the firmware hands to the DS peripheral. */
type FirmwareDsContext = Awaited<ReturnType<SecureCert["dsContext"]>>;

/**
 * An image as the firmware sees it: each method is one of its getters, returns the bytes that the
 * getter would, and rejects with a {@linkcode SecureCertError} where the getter returns an error.
 *
 * @category Reading and checking
 */
export interface SecureCert {
  /** Layout of the image. */
  readonly format: ImageFormat;
  /**
   * The entries up to the first with a bad checksum, as the firmware's iterator lists them. One that
   * cannot be opened, without the HMAC key or with a wrong one, is listed as it is stored.
   */
  entries(): Promise<DecodedTlv[]>;
  /**
   * The first entry of a type and subtype, by number or name; subtype 254 asks for the last of the
   * type.
   */
  entry(type: TlvType, subtype?: number): Promise<DecodedTlv>;
  /** `esp_secure_cert_get_device_cert`: PEM with its NUL, or DER. */
  deviceCert(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_ca_cert`: PEM with its NUL, or DER. */
  caCert(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_priv_key`: PEM with its NUL, or DER. */
  privateKey(): Promise<Uint8Array>;
  /** `esp_secure_cert_get_priv_key_type`: the firmware's name, without prefix and suffix. */
  privateKeyType(): Promise<
    "DEFAULT_FORMAT" | "HMAC_ENCRYPTED" | "HMAC_DERIVED_ECDSA" | "ECDSA_PERIPHERAL"
  >;
  /** `esp_secure_cert_get_priv_key_efuse_id`: the eFuse block of a key for the ECDSA peripheral. */
  privateKeyEfuseBlock(): Promise<number>;
  /**
   * `esp_secure_cert_get_ds_ctx`: the n of the KEYn with the HMAC key, the length of the RSA key in bits,
   * and `esp_ds_data_t`, as {@linkcode decodeDsData} takes it.
   */
  dsContext(): Promise<{
    readonly efuseKeyId: number;
    readonly rsaLengthBits: number;
    readonly dsData: Uint8Array;
  }>;
  /** `esp_secure_cert_verify_partition_integrity`; resolves when the last SHA-256 is right. */
  verifyIntegrity(): Promise<void>;
}

/**
 * Opens an image as the firmware's component esp_secure_cert_mgr does.
 *
 * @category Reading and checking
 * @throws {SecureCertError} `ERR_MAGIC` when the firmware would not accept the bytes as its partition.
 */
export function openSecureCert(
  image: Uint8Array,
  options: {
    /** The 32 bytes of the eFuse key, to open what the HMAC peripheral protects. */
    readonly hmacKey?: Uint8Array;
    /**
     * Read as a firmware build with the legacy formats enabled does: of several entries of a type the
     * last one counts, not the one with subtype 0. Other layouts than TLV are read only by such builds,
     * so that the option makes no difference there. @default false
     */
    readonly legacyBuild?: boolean;
  } = {},
): SecureCert {
  const { format, entries, findings } = readImage(image);
  if (format === "tlv") return tlvGetters(image, options);
  if (format !== "unknown") return otherGetters(format, entries);
  const message = `Cannot open image: ${findings[0]?.message ?? "unknown format"}`;
  throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
}

const KEY_TYPES = {
  "plaintext": "DEFAULT_FORMAT",
  "hmac-encrypted": "HMAC_ENCRYPTED",
  "hmac-derived": "HMAC_DERIVED_ECDSA",
  "ecdsa-peripheral": "ECDSA_PERIPHERAL",
} as const satisfies Record<KeyStorage, PrivateKeyType>;

/** The getters on a chain of entries. */
function tlvGetters(image: Uint8Array, options: OpenOptions): SecureCert {
  const walk = walkPartition(image);
  const subtype = options.legacyBuild === true ? LAST_OF_TYPE : 0;
  const read = async (type: number, which: number) =>
    await openEntry(findEntry(walk, type, which), which, walk, options.hmacKey);
  const value = async (type: number) => (await read(type, subtype)).data;
  return {
    format: "tlv",
    entries: () => readAll(walk, options.hmacKey),
    entry: async (type, which = 0) => await read(tlvTypeNumber(type), which),
    deviceCert: () => value(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCert: () => value(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    privateKey: () => value(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV),
    privateKeyType: () => Promise.try(() => readKeyType(walk, subtype)),
    privateKeyEfuseBlock: () => Promise.try(() => readEfuseBlock(walk)),
    dsContext: () => Promise.try(() => readDsContext(walk)),
    verifyIntegrity: () => checkIntegrity(image, walk),
  };
}

function readAll(walk: Walk, hmacKey: Uint8Array | undefined): Promise<DecodedTlv[]> {
  const { entries } = walk;
  const bad = entries.findIndex(({ crc }) => crc.stored !== crc.computed);
  const listed = entries.slice(0, bad < 0 ? undefined : bad);
  return Promise.all(listed.map(async (entry) => {
    try {
      return await openEntry(entry, entry.value.subtype, walk, hmacKey);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      return entry.value;
    }
  }));
}

/** The firmware checks the checksum of the entry it was asked for and of no other. */
function findEntry({ entries, broken }: Walk, type: number, subtype: number): WalkedTlv {
  const ofType = entries.filter(({ value }) => value.type === type);
  const found = subtype === LAST_OF_TYPE
    ? ofType.at(-1)
    : ofType.find(({ value }) => value.subtype === subtype);
  if (broken !== undefined && (found === undefined || subtype === LAST_OF_TYPE)) throw broken;
  if (found === undefined) {
    throw new SecureCertError(
      "ERR_NOT_FOUND",
      `No ${tlvTypeTitle(type)} entry with subtype ${subtype}`,
    );
  }
  const { crc, offset } = found;
  if (crc.stored === crc.computed) return found;
  const message = `Cannot read ${tlvTypeTitle(type)}: checksum does not match`;
  throw new SecureCertError("ERR_CHECKSUM", message, { entry: entries.indexOf(found), offset });
}

/** Values that the HMAC peripheral protects come out as the firmware's caller gets them. */
async function openEntry(
  { value, offset }: WalkedTlv,
  asked: number,
  { entries }: Walk,
  hmacKey: Uint8Array | undefined,
): Promise<DecodedTlv> {
  const storage = keyStorageOf(value.flags);
  const isKey = value.type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
  if (storage !== "hmac-encrypted" && !(isKey && storage === "hmac-derived")) return value;
  if (hmacKey === undefined) {
    const message = `Cannot read ${tlvTypeTitle(value.type)}: need the HMAC key, it is ${storage}`;
    throw new SecureCertError("ERR_KEY", message, { offset });
  }
  if (storage === "hmac-encrypted") {
    return { ...value, data: await decryptEntry(value.data, { hmacKey }) };
  }
  const { sec1 } = await deriveEcdsaKey(hmacKey, findSalt(entries, asked));
  return { ...value, data: sec1 };
}

function readKeyType(walk: Walk, subtype: number): PrivateKeyType {
  const { value } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, subtype);
  return KEY_TYPES[keyStorageOf(value.flags)];
}

/** The first byte, however long the value; an empty one has none, though the firmware reads on. */
function readEfuseBlock(walk: Walk): number {
  const { value: { data }, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, 0);
  if (data[0] !== undefined) return data[0];
  throw new SecureCertError("ERR_LENGTH", "Cannot read security configuration: it is empty", {
    offset,
  });
}

function readDsContext(walk: Walk): FirmwareDsContext {
  const context = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, 0);
  const { value: { data } } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, 0);
  const { efuseKeyId, rsaLengthBits } = decodeDsContext(context.value.data);
  return { efuseKeyId, rsaLengthBits, dsData: data };
}

async function checkIntegrity(image: Uint8Array, walk: Walk): Promise<void> {
  const { value, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV, LAST_OF_TYPE);
  if (equalBytes(value.data, await digest("SHA-256", image.subarray(0, offset)))) return;
  throw new SecureCertError("ERR_INTEGRITY", "Integrity entry does not match the image", {
    offset,
  });
}

/** The getters on a cust_flash or NVS image: one value of each kind, each under its own checksum. */
function otherGetters(format: ImageFormat, entries: readonly ImageEntry[]): SecureCert {
  const get = (type: number) => Promise.try(() => findValue(entries, type).data);
  return {
    format,
    entries: () => Promise.resolve(entries.filter(isRight).map(({ value }) => value)),
    entry: (type, subtype = 0) =>
      Promise.try(() => findValue(entries, tlvTypeNumber(type), subtype)),
    deviceCert: () => get(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCert: () => get(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    privateKey: () => get(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV),
    privateKeyType: () => get(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV).then(() => "DEFAULT_FORMAT"),
    privateKeyEfuseBlock: () =>
      Promise.reject(absent("an eFuse block for the private key", format)),
    dsContext: () => Promise.try(() => contextOf(entries)),
    verifyIntegrity: () => Promise.reject(absent("an integrity entry", format)),
  };
}

function findValue(entries: readonly ImageEntry[], type: number, subtype = 0): DecodedTlv {
  const found = entries.find(({ value }) => value.type === type && value.subtype === subtype);
  if (found === undefined) throw new SecureCertError("ERR_NOT_FOUND", `No ${tlvTypeTitle(type)}`);
  if (isRight(found)) return found.value;
  const message = `Cannot read ${tlvTypeTitle(type)}: checksum does not match`;
  throw new SecureCertError("ERR_CHECKSUM", message, { offset: found.offset });
}

function contextOf(entries: readonly ImageEntry[]): FirmwareDsContext {
  const { data } = findValue(entries, TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV);
  const { efuseKeyId, rsaLengthBits } = decodeDsContext(data);
  return {
    efuseKeyId,
    rsaLengthBits,
    dsData: findValue(entries, TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV).data,
  };
}

function isRight({ crc }: ImageEntry): boolean {
  return crc.stored === crc.computed;
}

function absent(what: string, format: ImageFormat): SecureCertError {
  return new SecureCertError("ERR_NOT_FOUND", `${format} images cannot hold ${what}`);
}
