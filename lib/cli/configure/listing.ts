import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8, formatHex } from "../../bytes/text.ts";
import { parseConfigCsv } from "../../format/config/csv.ts";
import {
  formatConfigType,
  type KeyStorage,
  keyStorageOf,
  TLV_TYPES,
  tlvTypeName,
} from "../../format/names.ts";
import { type WalkedTlv, walkPartition } from "../../format/partition.ts";
import { decodeDsContext, decodeSecurityConfig } from "../../format/peripheral.ts";
import type { StoredTlv } from "../../format/tlv.ts";
import { recognise } from "../../image/recognise.ts";
import { extract } from "../../toolkit/extract.ts";
import { type Io, joinPath, type OutputFile, textFile } from "../io.ts";
import { PARSED_FOLDER } from "./arguments.ts";

const CSV_NAME = "esp_secure_cert_parsed.csv";
const LISTING_NAME = "tlv_entries_raw.txt";

/** Takes an image apart into the folder of Espressif's tool; what is there stays, or gets another name. */
export async function parseBinary(path: string, io: Io): Promise<number> {
  const image = await io.read(path);
  const { format } = recognise(image);
  if (format !== "tlv" && format !== "unknown") {
    const message = `Cannot parse ${path}: it is a ${format} image; extract takes that`;
    throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
  }
  const files = await extract(image, { csv: CSV_NAME, lineBreak: "\r\n", receipt: false });
  const listing = textFile(joinPath(PARSED_FOLDER, LISTING_NAME), formatListing(path, image));
  const outputs: OutputFile[] = [
    ...files.map(({ name, ...file }) => ({ ...file, path: joinPath(PARSED_FOLDER, name) })),
    { ...listing, secret: true },
  ];
  const old = await keptOld(outputs, io);
  await io.write([...old.files, ...outputs], "keys", { makeFolders: true, inPlace: true });
  for (const note of old.notes) io.note(note);
  io.print(
    [
      "Successfully parsed binary file!",
      "Generated files:",
      `  - CSV file: ${PARSED_FOLDER}/${CSV_NAME}`,
      `      - ${countRows(files[0]!.bytes)} valid entries parsed`,
      `  - ${LISTING_NAME}: ${PARSED_FOLDER}/${LISTING_NAME}`,
      `  - All files in: ${PARSED_FOLDER}`,
    ].join("\n"),
  );
  return 0;
}

/**
 * What is in the places of outputs and is something else, under names that are free. Espressif's tool
 * empties its folder (FORMAT: Where the reference tool is wrong); what an earlier run has parsed, a key
 * above all, may be the only copy. To refuse instead would break the scripts that parse one image after
 * the other, since that tool has no flag by which they could agree.
 */
async function keptOld(
  outputs: readonly OutputFile[],
  io: Io,
): Promise<{ readonly files: readonly OutputFile[]; readonly notes: readonly string[] }> {
  const [files, notes]: [OutputFile[], string[]] = [[], []];
  for (const { path, bytes } of outputs) {
    const old = await io.readIfExists(path);
    if (old === undefined || equalBytes(old, bytes)) continue;
    const kept = await freeName(path, old, io);
    if (kept.isFree) files.push({ path: kept.path, bytes: old, secret: true, keep: true });
    notes.push(`note: what was in ${path} is in ${kept.path} now`);
  }
  return { files, notes };
}

/** The first name with a number at its end that is free, or has these bytes already. */
async function freeName(
  path: string,
  bytes: Uint8Array,
  io: Io,
): Promise<{ readonly path: string; readonly isFree: boolean }> {
  for (let count = 1;; count++) {
    const name = `${path}.${count}`;
    const there = await io.readIfExists(name);
    if (there === undefined) return { path: name, isFree: true };
    if (equalBytes(there, bytes)) return { path: name, isFree: false };
  }
}

function countRows(csv: Uint8Array): number {
  return parseConfigCsv(new TextDecoder().decode(csv)).length;
}

const RULE = "=".repeat(80);
const KEY_NAMES: Readonly<Record<KeyStorage, string>> = {
  "plaintext": "DEFAULT_FORMAT_KEY (Plaintext)",
  "hmac-encrypted": "HMAC_ENCRYPTED_KEY (HMAC peripheral)",
  "hmac-derived": "HMAC_DERIVED_ECDSA_KEY (HMAC peripheral)",
  "ecdsa-peripheral": "ECDSA_PERIPHERAL_KEY (Hardware ECDSA)",
};
const CONFIGURATIONS: Readonly<Record<KeyStorage, string>> = {
  "plaintext": "Software-based (Plaintext)",
  "hmac-encrypted": "Encrypted with the HMAC peripheral (Hardware)",
  "hmac-derived": "ECDSA derived with the HMAC peripheral (Hardware)",
  "ecdsa-peripheral": "ECDSA with Peripheral (Hardware)",
};

/** The listing that Espressif's tool leaves as tlv_entries_raw.txt. Holds the private keys. */
export function formatListing(path: string, image: Uint8Array): string {
  const { entries } = walkPartition(image);
  const lines = [
    "ESP Secure Certificate TLV Parser",
    `File: ${path}`,
    `File size: ${image.length} bytes`,
    RULE,
    ...entries.flatMap(formatEntry),
    ...formatSummary(entries),
  ];
  return `${lines.join("\n")}\n`;
}

function formatEntry({ value, size, offset, crc }: WalkedTlv, at: number): string[] {
  const { type, subtype, flags, data } = value;
  const name = nameOf(type);
  return [
    "",
    `TLV Entry #${at + 1}: ${name}`,
    "-".repeat(60),
    `Offset:     ${hex(offset, 4)}`,
    `Type:       ${type} (${name})`,
    `Subtype:    ${subtype}`,
    `Flags:      ${hex(flags, 2)}`,
    `Length:     ${data.length} bytes`,
    `Padding:    ${size - data.length - 16} bytes`,
    `Total size: ${size} bytes`,
    `CRC32:      ${hex(crc.stored, 8)} (${crc.stored === crc.computed ? "✓ VALID" : "✗ INVALID"})`,
    ...data.length === 0 ? [] : ["Data:", ...formatValue(value)],
  ];
}

/** Lines of a value. A NUL ends a line of its own, as in that tool's file. */
function formatValue(entry: StoredTlv): string[] {
  const text = describe(entry).replaceAll(/\r\n?/g, "\n");
  return text.split("\n").map((line) => `    ${line}`.replaceAll("\0", "\n"));
}

function describe({ type, flags, data }: StoredTlv): string {
  const text = decodeUtf8(data);
  switch (type) {
    case TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV:
    case TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV:
      if (text !== undefined && isPem(text)) return text.trim();
      return `Binary certificate data: ${formatHex(data)}`;
    case TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV: {
      const isText = text !== undefined && isPem(text);
      const value = isText ? text.trim() : `Binary key data: ${formatHex(data)}`;
      return `${KEY_NAMES[keyStorageOf(flags)]}\n${value}`;
    }
    case TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV:
      return `Encrypted DS data: ${formatHex(data)}`;
    case TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV:
      return attempt(data, () => {
        const { efuseKeyId, rsaLengthBits } = decodeDsContext(data);
        return `eFuse Key ID: ${efuseKeyId}, RSA Length: ${rsaLengthBits} bits`;
      });
    case TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG:
      return attempt(data, () => `eFuse Key ID: ${decodeSecurityConfig(data).efuseKeyId}`);
    default:
      return describeData(type, data, text);
  }
}

function describeData(type: number, data: Uint8Array, text: string | undefined): string {
  const { ESP_SECURE_CERT_USER_DATA_1: first, ESP_SECURE_CERT_USER_DATA_5: last } = TLV_TYPES;
  if (type < first || type > last) return `Raw data: ${formatHex(data)}`;
  const isText = text !== undefined && /^[^\p{Cc}]*$/u.test(text.replace(/[\t\n\r]/g, ""));
  return isText ? `Text data: ${text}` : `Hex data: ${formatHex(data)}`;
}

function attempt(data: Uint8Array, describe: () => string): string {
  try {
    return describe();
  } catch (error) {
    if (error instanceof SecureCertError) return `Malformed: ${formatHex(data)}`;
    throw error;
  }
}

function formatSummary(entries: readonly WalkedTlv[]): string[] {
  const names = new Map<string, number[]>();
  for (const { value: { type, data } } of entries) {
    names.set(nameOf(type), [...names.get(nameOf(type)) ?? [], data.length]);
  }
  return [
    "",
    RULE,
    "PARTITION SUMMARY",
    RULE,
    `Total TLV entries: ${entries.length}`,
    `Total partition size: ${entries.reduce((sum, { size }) => sum + size, 0)} bytes`,
    "",
    "Found TLV types:",
    ...[...names].map(([name, lengths]) => {
      const bytes = lengths.reduce((sum, length) => sum + length, 0);
      const many = `${lengths.length} entries, ${bytes} bytes total`;
      return `  - ${name}: ${lengths.length === 1 ? `${bytes} bytes` : many}`;
    }),
    "",
    "Key Configuration:",
    `  - ${configurationOf(entries)}`,
  ];
}

function configurationOf(entries: readonly WalkedTlv[]): string {
  const of = (type: number) => entries.find(({ value }) => value.type === type)?.value;
  const key = of(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV);
  const hasDs = of(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV) !== undefined &&
    of(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV) !== undefined;
  if (hasDs) return "RSA with DS Peripheral (Hardware)";
  if (key !== undefined) return CONFIGURATIONS[keyStorageOf(key.flags)];
  return "Unknown or incomplete configuration";
}

/** The names in that tool's listing: its own, and the firmware's for the integrity entry. */
function nameOf(type: number): string {
  const name = formatConfigType(type);
  const isOther = /^\d+$/.test(name) || type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;
  return isOther ? tlvTypeName(type) : name;
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(digits, "0")}`;
}
