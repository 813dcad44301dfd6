import { crc32 } from "../../bytes/crc32.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes, hasWord, viewOf } from "../../bytes/pack.ts";
import { decryptEntry, deriveEcdsaKey, GCM_TAG_SIZE } from "../../crypto/peripherals/hmac.ts";
import { digest } from "../../crypto/signing.ts";
import { layoutsReadIn } from "../../device/partition.ts";
import {
  type ImageFormat,
  type KeyStorage,
  keyStorageOf,
  LAST_OF_TYPE,
  protectionOf,
  TLV_TYPES,
  type TlvType,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../../format/names.ts";
import { DEFAULT_PARTITION_SIZE, WALK_LIMIT, walkPartition } from "../../format/partition.ts";
import { decodeDsContext } from "../../format/peripheral.ts";
import {
  type DecodedTlv,
  readTlvHeader,
  TLV_CRC_SEED,
  TLV_HEADER_SIZE,
  TLV_MAGIC,
  tlvSize,
} from "../../format/tlv.ts";
import { findSalt, openSalt } from "../contents/salt.ts";
import type { ImageEntry } from "../read/entry.ts";
import { readImageAs } from "../read/image.ts";
import { recognise } from "../recognise.ts";

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
   * The entries up to the first with a bad checksum, as the firmware's iterator lists them, without
   * those of which it has no value: their flags ask for an HMAC key that does not open them or was not
   * given, or for a salt that is not there.
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
     * so that the option makes no difference there, unless `partition` is given. @default false
     */
    readonly legacyBuild?: boolean;
    /**
     * The partition that the image is in: its type, 0 to 255, and its label. The firmware goes by them
     * (FORMAT: which partition the reader looks in), and every getter rejects where its build does not
     * look there or expects another layout. @default one in which the layout is read
     */
    readonly partition?: { readonly type: number; readonly label: string };
  } = {},
): SecureCert {
  const { partition, legacyBuild = false } = options;
  const { format, finding } = recognise(image, partition);
  if (format === "unknown") {
    const message = `Cannot open image: ${finding?.message ?? "unknown format"}`;
    throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
  }
  const layout = partition === undefined
    ? format
    : layoutTakenFor(format, layoutsReadIn(partition, legacyBuild));
  if (layout === undefined) return noGetters(format, partition!);
  if (layout === "tlv") return tlvGetters(image, options);
  return otherGetters(layout, readImageAs(image, layout).entries);
}

/** Both orders of cust_flash metadata look alike; the firmware takes the one that it expects. */
function layoutTakenFor(
  format: ImageFormat,
  expected: readonly ImageFormat[],
): ImageFormat | undefined {
  if (expected.includes(format)) return format;
  const isCustFlash = (each: ImageFormat) => CUST_FLASH.includes(each);
  return isCustFlash(format) ? expected.find(isCustFlash) : undefined;
}

const CUST_FLASH: readonly ImageFormat[] = ["cust_flash", "cust_flash_legacy"];

/** The getters of a build that does not read the image where it is. */
function noGetters(
  format: ImageFormat,
  { type, label }: NonNullable<OpenOptions["partition"]>,
): SecureCert {
  const where = `a partition of type 0x${type.toString(16)} named ${JSON.stringify(label)}`;
  const message = `Cannot read image: this build of the firmware reads no ${format} in ${where}`;
  const refuse = () => Promise.reject(new SecureCertError("ERR_NOT_FOUND", message));
  return {
    format,
    entries: () => Promise.resolve([]),
    entry: refuse,
    deviceCert: refuse,
    caCert: refuse,
    privateKey: refuse,
    privateKeyType: refuse,
    privateKeyEfuseBlock: refuse,
    dsContext: refuse,
    verifyIntegrity: refuse,
  };
}

const KEY_TYPES = {
  "plaintext": "DEFAULT_FORMAT",
  "hmac-encrypted": "HMAC_ENCRYPTED",
  "hmac-derived": "HMAC_DERIVED_ECDSA",
  "ecdsa-peripheral": "ECDSA_PERIPHERAL",
} as const satisfies Record<KeyStorage, PrivateKeyType>;

/** The getters on a chain of entries. */
function tlvGetters(image: Uint8Array, options: OpenOptions): SecureCert {
  const walk = walkAsFirmware(image);
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
    dsContext: () => readDsContext(read),
    verifyIntegrity: () => checkIntegrity(image, walk),
  };
}

/** The iterator asks for each entry by its type and subtype, so that of two alike it gives the first. */
async function readAll(
  walk: FirmwareWalk,
  hmacKey: Uint8Array | undefined,
): Promise<DecodedTlv[]> {
  const { entries, broken } = walk;
  const bad = entries.findIndex((each) => !isRight(each));
  if (bad < 0 && broken !== undefined) throw broken;
  const first = new Map(
    entries.toReversed().map((entry) => [entry.value.type << 8 | entry.value.subtype, entry]),
  );
  const listed = entries.slice(0, bad < 0 ? undefined : bad);
  const found = await Promise.all(listed.map(async ({ value: { type, subtype } }) => {
    try {
      return [await openEntry(first.get(type << 8 | subtype)!, subtype, walk, hmacKey)];
    } catch (error) {
      if (error instanceof SecureCertError) return [];
      throw error;
    }
  }));
  return found.flat();
}

/**
 * The firmware goes to the end of the chain when it looks for the last of a type, and when there is none;
 * it checks the checksum of the entry it was asked for and of no other.
 */
function findEntry(
  { entries, broken }: FirmwareWalk,
  type: number,
  subtype: number,
): FirmwareEntry {
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
  if (isRight(found)) return found;
  const place = { entry: entries.indexOf(found), offset: found.offset };
  const [code, why] = found.isCut
    ? ["ERR_TRUNCATED", "it runs past the end of the image"] as const
    : ["ERR_CHECKSUM", "checksum does not match"] as const;
  throw new SecureCertError(code, `Cannot read ${tlvTypeTitle(type)}: ${why}`, place);
}

/**
 * The value that the firmware's caller gets: what the flags say is encrypted or derived, the HMAC
 * peripheral makes, whatever the type (FORMAT: flags on entries other than the private key).
 */
async function openEntry(
  entry: FirmwareEntry,
  asked: number,
  { entries }: FirmwareWalk,
  hmacKey: Uint8Array | undefined,
): Promise<DecodedTlv> {
  const { value } = entry;
  switch (protectionOf(value.flags)) {
    case "none":
      return value;
    case "encrypted":
      return { ...value, data: await decrypt(entry, hmacKey) };
    case "derived": {
      const salt = findSalt(entries, asked);
      const key = neededKey(entry, hmacKey);
      const { sec1 } = await deriveEcdsaKey(key, await openSalt(salt, key));
      return { ...value, data: sec1 };
    }
  }
}

/** The firmware cannot allocate a value that is nothing but its tag. */
async function decrypt(entry: FirmwareEntry, hmacKey: Uint8Array | undefined): Promise<Uint8Array> {
  const { value: { type, data }, offset } = entry;
  if (data.length > GCM_TAG_SIZE) {
    return await decryptEntry(data, { hmacKey: neededKey(entry, hmacKey) });
  }
  const message = `Cannot read ${tlvTypeTitle(type)}: need more than ${GCM_TAG_SIZE} bytes, ` +
    `have ${data.length}; it is encrypted`;
  throw new SecureCertError("ERR_TRUNCATED", message, { offset });
}

function neededKey({ value, offset }: FirmwareEntry, hmacKey: Uint8Array | undefined): Uint8Array {
  if (hmacKey !== undefined) return hmacKey;
  const message = `Cannot read ${tlvTypeTitle(value.type)}: need the HMAC key, it is ${
    protectionOf(value.flags)
  }`;
  throw new SecureCertError("ERR_KEY", message, { offset, field: "hmacKey" });
}

function readKeyType(walk: FirmwareWalk, subtype: number): PrivateKeyType {
  const { value } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, subtype);
  return KEY_TYPES[keyStorageOf(value.flags)];
}

/** The first byte, however long the value; an empty one has none, though the firmware reads on. */
function readEfuseBlock(walk: FirmwareWalk): number {
  const { value: { data }, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, 0);
  if (data[0] !== undefined) return data[0];
  throw new SecureCertError("ERR_LENGTH", "Cannot read security configuration: it is empty", {
    offset,
  });
}

async function readDsContext(
  read: (type: number, subtype: number) => Promise<DecodedTlv>,
): Promise<FirmwareDsContext> {
  const { data: dsData } = await read(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, 0);
  const { data } = await read(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, 0);
  const { efuseKeyId, rsaLengthBits } = decodeDsContext(data);
  return { efuseKeyId, rsaLengthBits, dsData };
}

async function checkIntegrity(image: Uint8Array, walk: FirmwareWalk): Promise<void> {
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

/** An entry that the firmware comes to. */
interface FirmwareEntry extends ImageEntry {
  /** It runs past the end of the image, so that its checksum is never right. */
  readonly isCut?: boolean;
}

/** What the firmware comes to when it looks for an entry. */
interface FirmwareWalk {
  /** In its order. */
  readonly entries: readonly FirmwareEntry[];
  /** Why it does not come to the end of the chain; absent when it does. */
  readonly broken?: SecureCertError;
}

const ERASED = 0xFF;
const CHECKSUM_SIZE = 4;
/** What is cut off is erased flash. */
const NO_CHECKSUM: ImageEntry["crc"] = { stored: 0xFFFFFFFF, computed: 0 };

/**
 * The entries of an image as the firmware comes to them. It counts in 16 bits: after an entry whose size
 * wraps it goes on within the value of that entry, and at 64 KiB from the start of the image (FORMAT: what
 * the device's reader does with odd images). After the image there is erased flash, as far as the documented
 * size of the partition.
 *
 * @param image Any bytes. Takes time linear in their number.
 */
function walkAsFirmware(image: Uint8Array): FirmwareWalk {
  const { entries, used, broken } = walkPartition(image);
  const walked: FirmwareEntry[] = [...entries];
  if (broken === undefined && used < WALK_LIMIT) return { entries: walked };
  const seen = new Set(entries.map(({ offset }) => offset));
  const partitionEnd = Math.max(image.length, DEFAULT_PARTITION_SIZE);
  let at = used % WALK_LIMIT;
  while (hasWord(image, at, TLV_MAGIC)) {
    if (seen.has(at)) return { entries: walked, broken: endlessAt(at) };
    seen.add(at);
    const { entry, size } = entryAt(image, at);
    walked.push(entry);
    const next = (at + size) % WALK_LIMIT;
    if (next > partitionEnd) return { entries: walked, broken: outsideAt(at) };
    at = next;
  }
  return { entries: walked };
}

function outsideAt(offset: number): SecureCertError {
  const message = `Cannot read entries: the one at ${offset} runs past the end of the partition`;
  return new SecureCertError("ERR_TRUNCATED", message, { offset });
}

function endlessAt(offset: number): SecureCertError {
  const message =
    `Cannot read entries: the firmware comes back to the one at ${offset}, and never ends`;
  return new SecureCertError("ERR_LENGTH", message, { offset });
}

/** An entry of any length. Its checksum is computed only when asked for: such entries may overlap. */
function entryAt(
  image: Uint8Array,
  offset: number,
): { readonly entry: FirmwareEntry; readonly size: number } {
  const header = new Uint8Array(TLV_HEADER_SIZE).fill(ERASED);
  header.set(image.subarray(offset, offset + TLV_HEADER_SIZE));
  const { length, ...numbers } = readTlvHeader(viewOf(header));
  const size = tlvSize(length);
  const start = offset + TLV_HEADER_SIZE;
  const value = { ...numbers, data: image.subarray(start, start + length) };
  const whole = image.subarray(offset, offset + size);
  if (whole.length < size) {
    return { entry: { offset, value, crc: NO_CHECKSUM, isCut: true }, size };
  }
  const entry = {
    offset,
    value,
    get crc() {
      const end = size - CHECKSUM_SIZE;
      const stored = viewOf(whole).getUint32(end, true);
      return { stored, computed: crc32(whole.subarray(0, end), TLV_CRC_SEED) };
    },
  };
  return { entry, size };
}
