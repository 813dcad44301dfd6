import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, equalBytes, isFilledWith } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { decodeUtf8, encodeUtf8, formatBase64, formatHex } from "../bytes/text.ts";
import { findPrivateKey } from "../crypto/keys/find.ts";
import { importPrivateKey } from "../crypto/keys/keys.ts";
import { digest } from "../crypto/signing.ts";
import { formatImageCsv } from "../format/config/csv.ts";
import {
  type ConfigRow,
  type ImageForm,
  MAX_IMAGE_SIZE,
  type StoredForm,
} from "../format/config/row.ts";
import {
  CREDENTIAL_TYPES,
  entryProtectionOf,
  isReservedType,
  type KeyMode,
  keyStorageOf,
  MAX_SUBTYPE,
  TLV_TYPES,
} from "../format/names.ts";
import { decodeDsContext, decodeDsData, decodeSecurityConfig } from "../format/peripheral.ts";
import type { FindingCode } from "../findings/findings.ts";
import { storedCertificates, storedPrivateKey } from "../image/stored.ts";
import { DEFAULT_PARTITION_SIZE, integrityEntry } from "../format/partition.ts";
import type { StoredTlv } from "../format/tlv.ts";
import { encodeCsvImage } from "./build.ts";
import { planFromCsv } from "./plan/entry.ts";
import type { ImageEntries } from "../image/read/entry.ts";
import { findImage, kindOf } from "../image/find/locate.ts";
import { readImage } from "../image/read/image.ts";
import { encodePatch } from "../image/patch.ts";
import { type Plan, planEntries } from "./plan/planner.ts";

/** A file that {@linkcode extract} makes. */
type ExtractedFile = Awaited<ReturnType<typeof extract>>[number];
/** The folder that values are put in. */
const CONTENTS = "contents";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
  ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT,
  ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG,
  ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE,
  ESP_SECURE_CERT_INTEGRITY_TLV: INTEGRITY,
  ESP_SECURE_CERT_USER_DATA_1: FIRST_USER,
  ESP_SECURE_CERT_USER_DATA_5: LAST_USER,
} = TLV_TYPES;

/** Beginnings of file names, those of Espressif's tool where it has one. */
const FILE_NAMES: Readonly<Record<number, string>> = {
  [CA]: "cacert",
  [DEV]: "devcert",
  [KEY]: "privkey",
  [DS_DATA]: "ds_data",
  [DS_CONTEXT]: "ds_context",
  [TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT]: "salt",
  [SECURITY_CONFIG]: "sec_cfg",
  [TLV_TYPES.ESP_SECURE_CERT_TEE_SEC_STORAGE_KEY_TLV]: "tee_key",
  [SIGNATURE]: "signature",
  [INTEGRITY]: "integrity",
  [TLV_TYPES.ESP_SECURE_CERT_MATTER_TLV_1]: "matter",
  [TLV_TYPES.ESP_SECURE_CERT_MATTER_TLV_2]: "matter",
};
/** Types whose values are not secret; what the others hold may be a key. */
const PUBLIC_TYPES: readonly number[] = [
  CA,
  DEV,
  DS_CONTEXT,
  SECURITY_CONFIG,
  SIGNATURE,
  INTEGRITY,
];
/** Key modes that keep EC keys only. */
const EC_MODES: readonly KeyMode[] = ["ecdsa-peripheral", "hmac-derived"];
const RSA_BITS: readonly number[] = [1024, 2048, 3072, 4096];

/**
 * Takes an image apart into a CSV, which comes first, and the files it names; {@linkcode buildFromCsv}
 * builds the identical image from them. What the columns cannot express is in comment lines, and bytes
 * that belong to no entry are in a patch. File names are those of Espressif's `--parse_bin`. With
 * certificates or keys that the device refuses, the image is built again only with `verify: false`.
 *
 * @category Building and changing
 * @throws {SecureCertError} `ERR_MAGIC` for bytes that are not an image; `ERR_CHECKSUM` for a value with
 * a wrong checksum; `ERR_TRUNCATED` or `ERR_LENGTH` when an entry has no end; with the place;
 * `ERR_TOO_LARGE` for an image of more than 16 MiB.
 */
export async function extract(
  file: Uint8Array,
  options: {
    /** Name of the CSV. @default "esp_secure_cert.csv" */
    readonly csv?: string;
    /** What ends a line of the CSV. @default "\n" */
    readonly lineBreak?: "\n" | "\r\n";
    /** Note the image's layout and SHA-256 even where the rows say all. @default true */
    readonly receipt?: boolean;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
  } = {},
): Promise<{
  /** Name within the folder, with slashes. */
  readonly name: string;
  /** Its content. */
  readonly bytes: Uint8Array;
  /** Whether it may hold a private key. */
  readonly secret: boolean;
  /** Of the CSV: the cells that {@linkcode buildFromCsv} refuses, as the device does; absent without any. */
  readonly refused?: readonly {
    /** What the device refuses, and why. */
    readonly message: string;
    /** Line of the CSV, from 1. */
    readonly line?: number;
    /** Character of the line, from 1. */
    readonly column?: number;
  }[];
}[]> {
  const { image, entry } = await findImage(file, options);
  const contents = readImage(image, { partition: entry && kindOf(entry) });
  refuseDamage(contents);
  refuseTooLarge(image);
  const { format, entries, used } = contents;
  const stored = entries.map(({ value }) => value);
  const isTlv = format === "tlv";
  const hasOwnIntegrity = isTlv && closesWithIntegrity(image, contents);
  const rows: ExtractedRow[] = [];
  for (const entry of hasOwnIntegrity ? stored.slice(0, -1) : stored) {
    rows.push(await extractRow(entry, rows));
  }
  const isSized = !isTlv || image.length !== used || used > DEFAULT_PARTITION_SIZE;
  const form: ImageForm = {
    format: isTlv || format === "unknown" ? undefined : format,
    size: isSized ? Math.max(image.length, isTlv ? used : 0) : undefined,
    integrity: isTlv && !hasOwnIntegrity ? false : undefined,
  };
  return await assemble(image, rows, form, options);
}

function refuseTooLarge({ length }: Uint8Array): void {
  if (length <= MAX_IMAGE_SIZE) return;
  const message = `Cannot extract image: ${countOf(length, "byte")}; a CSV takes ${
    MAX_IMAGE_SIZE >> 20
  } MiB`;
  throw new SecureCertError("ERR_TOO_LARGE", message);
}

/** Writes the CSV, builds it, and adds a patch where that is not yet the image. */
async function assemble(
  image: Uint8Array,
  rows: readonly ExtractedRow[],
  form: ImageForm,
  options: NonNullable<Parameters<typeof extract>[1]>,
): Promise<ExtractedFile[]> {
  const { csv = "esp_secure_cert.csv", lineBreak = "\n", receipt = true } = options;
  const files = rows.flatMap(({ file }) => file === undefined ? [] : [file]);
  const text = (image: ImageForm) => formatImageCsv(rows.map(({ row }) => row), image, lineBreak);
  const { image: built, refused: isRefused } = await rebuild(text(form), files, form);
  const sha256 = formatHex(await digest("SHA-256", image));
  const isWhole = equalBytes(built, image);
  const name = `${CONTENTS}/patch.txt`;
  const patch = { name, bytes: encodePatch(built, image), secret: true };
  const full: ImageForm = {
    ...form,
    sha256: receipt || !isWhole ? sha256 : undefined,
    patch: isWhole ? undefined : name,
  };
  const bytes = encodeUtf8(text(full));
  const others = [...files, ...isWhole ? [] : [patch]];
  // Comment lines of the whole form move the rows.
  const refused = isRefused.length > 0 ? (await planRows(text(full), others)).refused : undefined;
  return [{ name: csv, bytes, secret: true, ...refused && { refused } }, ...others];
}

async function rebuild(
  text: string,
  files: readonly ExtractedFile[],
  image: ImageForm,
): Promise<{ readonly image: Bytes; readonly refused: Plan["refused"] }> {
  const { entries, refused } = await planRows(text, files);
  return { image: (await encodeCsvImage(entries, { image })).image, refused };
}

/** The plan of a CSV, with all that its image has. */
async function planRows(text: string, files: readonly ExtractedFile[]): Promise<Plan> {
  const load = (path: string) => Promise.resolve(files.find(({ name }) => name === path)?.bytes);
  const csv = await planFromCsv(text, load);
  return await planEntries(csv.entries, { allowExposed: true, allowRefused: true });
}

/** Whether the last entry is the one that `build` would add. */
function closesWithIntegrity(image: Uint8Array, { entries }: ImageEntries): boolean {
  const last = entries.at(-1);
  if (last?.value.type !== INTEGRITY) return false;
  const own = integrityEntry(image.subarray(0, last.offset));
  return isSameEntry(own, last.value);
}

function isSameEntry(a: StoredTlv, b: StoredTlv): boolean {
  return a.type === b.type && a.subtype === b.subtype && a.flags === b.flags &&
    equalBytes(a.data, b.data) && b.reserved === undefined && b.padding === undefined;
}

/** What leaves values of a chain unread; whatever else is wrong with one, a patch restores. */
const UNREADABLE_REST: readonly FindingCode[] = ["TRUNCATED", "OVER_64K"];

/** What is damaged would be written with a right checksum, which makes a wrong value look right. */
function refuseDamage({ format, entries, findings }: ImageEntries): void {
  const bad = entries.findIndex(({ crc }) => crc.stored !== crc.computed);
  if (bad >= 0) {
    const { offset } = entries[bad]!;
    const message = `Cannot extract image: entry ${bad} at ${offset} has a wrong checksum`;
    throw new SecureCertError("ERR_CHECKSUM", message, { entry: bad, offset });
  }
  const finding = findings.find(({ severity, code }) =>
    severity === "error" && (format !== "tlv" || UNREADABLE_REST.includes(code))
  );
  if (finding === undefined) return;
  const isChecksum = finding.code === "BAD_CHECKSUM";
  const code = format === "unknown" ? "ERR_MAGIC" : isChecksum ? "ERR_CHECKSUM" : "ERR_TRUNCATED";
  throw new SecureCertError(code, `Cannot extract image: ${finding.message}`, finding.place);
}

const isCredential = (type: number) => CREDENTIAL_TYPES.includes(type);

/** A row of an extracted CSV, with the file it names. */
interface ExtractedRow {
  readonly row: ConfigRow;
  readonly file?: { readonly name: string; readonly bytes: Uint8Array; readonly secret: boolean };
}

/** The row of an entry, and the file that holds its value. */
async function extractRow(
  entry: StoredTlv,
  before: readonly ExtractedRow[],
): Promise<ExtractedRow> {
  const { type, subtype } = entry;
  const { bytes, stored, isText, isVerbatim } = await formOf(entry, before);
  const numbers = { type, subtype };
  const rest = { ...await keyColumns(entry), stored };
  const isUserData = type >= FIRST_USER && type <= LAST_USER;
  if (isUserData || bytes.length === 0) {
    const text = cellText(bytes);
    const value = text === undefined
      ? { dataValue: formatHex(bytes).toUpperCase(), dataType: "hex" as const }
      : { dataValue: text, dataType: "string" as const };
    return { row: { ...numbers, ...value, ...rest } };
  }
  if (isVerbatim) {
    const dataValue = formatBase64(bytes);
    return { row: { ...numbers, dataValue, dataType: "base64", ...rest } };
  }
  const ending = !isCredential(type) ? "bin" : isText ? "pem" : "der";
  const name = freeName(
    `${CONTENTS}/${FILE_NAMES[type] ?? "tlv"}_${type}_${subtype}`,
    ending,
    before,
  );
  const file = { name, bytes, secret: isSecret(type, bytes) };
  return { row: { ...numbers, dataValue: name, dataType: "file", ...rest }, file };
}

/** Whether a value may hold a private key: by its type, or because one is where it does not belong. */
function isSecret(type: number, data: Uint8Array): boolean {
  if (!PUBLIC_TYPES.includes(type) || findPrivateKey(data) !== undefined) return true;
  return type === SECURITY_CONFIG && !isFilledWith(data.subarray(1), 0);
}

/** The text of a value that a cell can hold as it is; undefined for other bytes. */
function cellText(data: Uint8Array): string | undefined {
  const text = decodeUtf8(data);
  // deno-lint-ignore no-control-regex
  const isPlain = text !== undefined && text !== "" && !/[\x00-\x08\x0B-\x1F\x7F-\x9F]/.test(text);
  return isPlain && text === text.trim() && equalBytes(encodeUtf8(text), data) ? text : undefined;
}

interface Form {
  /** What goes into the file. */
  readonly bytes: Uint8Array;
  readonly stored: StoredForm;
  readonly isText: boolean;
  /** A file would be stored in canonical form, which is another. */
  readonly isVerbatim: boolean;
}

/** How the value is to be written so that a build stores these very bytes. */
async function formOf(entry: StoredTlv, before: readonly ExtractedRow[]): Promise<Form> {
  const { type, subtype, data, flags, reserved, padding } = entry;
  const text = decodeUtf8(data) ?? "";
  const isText = isCredential(type) && isPem(text);
  const hasNul = isText && data.at(-1) === 0;
  const isDouble = before.some(({ row }) => row.type === type && row.subtype === subtype);
  const raw = isDouble || isReservedType(type) || subtype > MAX_SUBTYPE ||
    isCredential(type) && (data.length === 0 || isHidden(entry));
  const withoutNul = hasNul ? data.subarray(0, -1) : data;
  const isVerbatim = !raw && !await isCanonical(entry, withoutNul);
  return {
    bytes: isVerbatim ? data : withoutNul,
    isText,
    isVerbatim,
    stored: {
      raw: raw || undefined,
      nul: raw && hasNul || undefined,
      flags: flags === 0 ? undefined : flags,
      reserved: reserved && new Uint8Array(reserved),
      padding: padding && new Uint8Array(padding),
    },
  };
}

/** Whether the flags say that the value of a credential is neither a certificate nor a key. */
function isHidden({ type, flags }: StoredTlv): boolean {
  return type === KEY
    ? keyStorageOf(flags) !== "plaintext"
    : entryProtectionOf({ type, flags }) === "encrypted";
}

/** Whether a build stores the value as it is here when it finds it in a file. */
async function isCanonical(entry: StoredTlv, bytes: Uint8Array): Promise<boolean> {
  const { type, data } = entry;
  if (!isCredential(type)) return true;
  try {
    const stored = type !== KEY ? storedCertificates(bytes) : await storedPrivateKey(bytes);
    return equalBytes(stored, data);
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

async function keyColumns({ type, data, flags }: StoredTlv): Promise<Partial<ConfigRow>> {
  switch (type) {
    case KEY: {
      const keyMode = keyStorageOf(flags);
      const algorithm = await algorithmOf(data);
      // Key bytes where the flags say that there are none may be of a kind that the mode does not know.
      const isOdd = algorithm === "RSA" && EC_MODES.includes(keyMode);
      return { keyMode, algorithm: isOdd ? undefined : algorithm };
    }
    case DS_DATA:
      return { keyMode: "rsa-ds", algorithm: "RSA", ...columnsOf(() => decodeDsData(data)) };
    case DS_CONTEXT:
      return { keyMode: "rsa-ds", algorithm: "RSA", ...columnsOf(() => decodeDsContext(data)) };
    case SECURITY_CONFIG: {
      const columns = { keyMode: "ecdsa-peripheral", algorithm: "ECDSA" } as const;
      return { ...columns, ...columnsOf(() => decodeSecurityConfig(data)) };
    }
    default:
      return {};
  }
}

/** What the value itself says, where a column can hold it. */
function columnsOf(
  decode: () => { readonly rsaLengthBits?: number; readonly efuseKeyId?: number },
): Partial<ConfigRow> {
  try {
    const { rsaLengthBits = 0, efuseKeyId = -1 } = decode();
    return {
      keySize: RSA_BITS.includes(rsaLengthBits) ? rsaLengthBits : undefined,
      efuseId: efuseKeyId >= 0 && efuseKeyId <= 5 ? efuseKeyId : undefined,
    };
  } catch (error) {
    if (error instanceof SecureCertError) return {};
    throw error;
  }
}

async function algorithmOf(data: Uint8Array): Promise<"RSA" | "ECDSA" | undefined> {
  try {
    return (await importPrivateKey(data)).type === "rsa" ? "RSA" : "ECDSA";
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

function freeName(stem: string, ending: string, before: readonly ExtractedRow[]): string {
  const isTaken = (name: string) => before.some(({ file }) => file?.name === name);
  let name = `${stem}.${ending}`;
  for (let count = 2; isTaken(name); count++) name = `${stem}_${count}.${ending}`;
  return name;
}
