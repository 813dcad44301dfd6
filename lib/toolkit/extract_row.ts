import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { isPem } from "../bytes/pem.ts";
import { decodeUtf8, encodeUtf8, formatHex } from "../bytes/text.ts";
import { importPrivateKey } from "../crypto/keys/keys.ts";
import type { StoredForm } from "../format/config/form.ts";
import type { ConfigRow } from "../format/config/row.ts";
import { isReservedType, keyStorageOf, MAX_SUBTYPE, TLV_TYPES } from "../format/names.ts";
import { decodeDsContext, decodeDsData, decodeSecurityConfig } from "../format/peripheral.ts";
import type { Tlv } from "../format/tlv.ts";
import { storedCertificates, storedPrivateKey } from "../image/stored.ts";

/** A row of an extracted CSV, with the file it names. */
export interface ExtractedRow {
  readonly row: ConfigRow;
  readonly file?: { readonly name: string; readonly bytes: Uint8Array; readonly secret: boolean };
}

const { ESP_SECURE_CERT_PRIV_KEY_TLV: KEY, ESP_SECURE_CERT_DEV_CERT_TLV: DEV } = TLV_TYPES;
const { ESP_SECURE_CERT_USER_DATA_1: FIRST_USER, ESP_SECURE_CERT_USER_DATA_5: LAST_USER } =
  TLV_TYPES;
/** Beginnings of file names, those of Espressif's tool where it has one. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0, "cacert"],
  [1, "devcert"],
  [2, "privkey"],
  [3, "ds_data"],
  [4, "ds_context"],
  [5, "salt"],
  [6, "sec_cfg"],
  [7, "tee_key"],
  [8, "signature"],
  [9, "integrity"],
  [201, "matter"],
  [202, "matter"],
]);
/** Types whose values are keys, whoever encrypted them. */
/** Certificates, DS context, security configuration, integrity and signatures; other values may hold a key. */
const PUBLIC_TYPES: readonly number[] = [0, 1, 4, 6, 8, 9];
const RSA_BITS: readonly number[] = [1024, 2048, 3072, 4096];

/** The row of an entry, and the file that holds its value. */
export async function extractRow(
  entry: Tlv,
  before: readonly ExtractedRow[],
): Promise<ExtractedRow> {
  const { type, subtype } = entry;
  const { bytes, stored, isText } = await formOf(entry, before);
  const numbers = { type, subtype };
  const rest = { ...await keyColumns(entry), ...Object.keys(stored).length > 0 && { stored } };
  const isUserData = type >= FIRST_USER && type <= LAST_USER;
  if (isUserData || bytes.length === 0) {
    const text = cellText(bytes);
    const value = text === undefined
      ? { dataValue: formatHex(bytes).toUpperCase(), dataType: "hex" as const }
      : { dataValue: text, dataType: "string" as const };
    return { row: { ...numbers, ...value, ...rest } };
  }
  const ending = type > KEY ? "bin" : isText ? "pem" : "der";
  const name = freeName(`contents/${NAMES.get(type) ?? "tlv"}_${type}_${subtype}`, ending, before);
  const file = { name, bytes, secret: !PUBLIC_TYPES.includes(type) };
  return { row: { ...numbers, dataValue: name, dataType: "file", ...rest }, file };
}

/** The text of a value that can stand in a cell as it is; undefined for other bytes. */
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
}

/** How the value is to be written so that a build stores these very bytes. */
async function formOf(entry: Tlv, before: readonly ExtractedRow[]): Promise<Form> {
  const { type, subtype, data, flags, reserved, padding } = entry;
  const text = decodeUtf8(data) ?? "";
  const isText = type <= KEY && isPem(text);
  const hasNul = isText && data.at(-1) === 0;
  const bytes = hasNul ? data.subarray(0, -1) : data;
  const isDouble = before.some(({ row }) => row.type === type && row.subtype === subtype);
  const raw = isDouble || isReservedType(type) || subtype > MAX_SUBTYPE ||
    !await isCanonical(entry, bytes);
  return {
    bytes,
    isText,
    stored: {
      ...raw ? { raw: true as const } : {},
      ...raw && hasNul ? { nul: true as const } : {},
      ...flags === 0 ? {} : { flags },
      ...reserved ? { reserved: new Uint8Array(reserved) } : {},
      ...padding ? { padding: new Uint8Array(padding) } : {},
    },
  };
}

/** Whether a build stores the value as it is here when it finds it in a file. */
async function isCanonical(entry: Tlv, bytes: Uint8Array): Promise<boolean> {
  const { type, data, flags } = entry;
  if (type > KEY) return true;
  if (type === KEY && keyStorageOf(flags) !== "plaintext") return false;
  try {
    const stored = type <= DEV ? storedCertificates(bytes) : await storedPrivateKey(bytes);
    return equalBytes(stored, data);
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

async function keyColumns({ type, data, flags }: Tlv): Promise<Partial<ConfigRow>> {
  switch (type) {
    case KEY: {
      const algorithm = await algorithmOf(data);
      return { keyMode: keyStorageOf(flags), ...algorithm && { algorithm } };
    }
    case TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV:
      return { keyMode: "rsa-ds", algorithm: "RSA", ...told(() => decodeDsData(data)) };
    case TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV:
      return { keyMode: "rsa-ds", algorithm: "RSA", ...told(() => decodeDsContext(data)) };
    case TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG: {
      const columns = { keyMode: "ecdsa-peripheral", algorithm: "ECDSA" } as const;
      return { ...columns, ...told(() => decodeSecurityConfig(data)) };
    }
    default:
      return {};
  }
}

/** What the value itself says, where a column can hold it. */
function told(
  decode: () => { readonly rsaLengthBits?: number; readonly efuseKeyId?: number },
): Partial<ConfigRow> {
  try {
    const { rsaLengthBits = 0, efuseKeyId = -1 } = decode();
    return {
      ...RSA_BITS.includes(rsaLengthBits) ? { keySize: rsaLengthBits } : {},
      ...efuseKeyId >= 0 && efuseKeyId <= 5 ? { efuseId: efuseKeyId } : {},
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
