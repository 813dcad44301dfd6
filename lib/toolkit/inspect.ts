import { countOf } from "../bytes/errors.ts";
import { formatPem, isPem } from "../bytes/pem.ts";
import { decodeUtf8, formatHex, shownWord } from "../bytes/text.ts";
import { keyName } from "../crypto/keys/encoding.ts";
import type { PrivateKey } from "../crypto/keys/keys.ts";
import { digest } from "../crypto/signing.ts";
import type { Certificate } from "../crypto/x509/certificate.ts";
import { LEGACY_FORMATS_OPTION } from "../device/partition.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { ChipName } from "../format/chips/chips.ts";
import type { DumpEncoding } from "../format/dump/dump.ts";
import { type ImageFormat, type KeyMode, type KeyStorage, tlvTypeName } from "../format/names.ts";
import { FIRST_KEY_BLOCK } from "../format/peripheral.ts";
import {
  type PartitionTable,
  type PartitionTableEntry,
  startsTable,
} from "../format/table/binary.ts";
import type { PartitionTableFinding } from "../format/table/check.ts";
import { tableOfFile } from "../format/table/csv.ts";
import {
  type Content,
  type Credentials,
  findCredentials,
  keyModeOf,
  type ReadEntry,
} from "../image/contents/contents.ts";
import { secureCertEntries } from "../image/find/find.ts";
import { checkDigest, type ImageLocation, placeOf } from "../image/find/locate.ts";
import { HIDDEN, withoutKeys } from "../verify/exposed.ts";
import { type CheckedImage, checkImage } from "../verify/verify.ts";
import type { CredentialFileReport } from "./credential_file.ts";
import { reportOther } from "./others.ts";

/** How {@linkcode inspect} reports. */
type InspectOptions = NonNullable<Parameters<typeof inspect>[1]>;

/**
 * An entry in a report.
 *
 * @category Reading and checking
 */
export interface EntryReport {
  /** Where the entry starts, bytes from the start of the image. */
  readonly offset: number;
  /** Type number. */
  readonly type: number;
  /** The firmware's name of the type. */
  readonly typeName: string;
  /** Subtype number. */
  readonly subtype: number;
  /** Flags byte. */
  readonly flags: number;
  /** Length of the value in bytes. */
  readonly length: number;
  /** The checksum that is stored and the one that should be, as 0x and eight hex digits. */
  readonly crc: { readonly stored: string; readonly computed: string; readonly ok: boolean };
  /** SHA-256 of the stored value, hexadecimal. */
  readonly sha256: string;
  /** What the value is. */
  readonly kind:
    | "certificate"
    | "privateKey"
    | "dsData"
    | "dsContext"
    | "securityConfig"
    | "salt"
    | "integrity"
    | "signature"
    | "userData"
    | "encrypted"
    | "opaque"
    | "unreadable";
  /** The first certificate of a certificate entry. */
  readonly certificate?: {
    readonly subject: string;
    readonly issuer: string;
    /** Serial number in hexadecimal. */
    readonly serial: string;
    /** First moment of validity, ISO 8601. */
    readonly notBefore: string;
    /** Last moment of validity, ISO 8601; 9999-12-31T23:59:59.000Z when there is no end. */
    readonly notAfter: string;
    /** Kind of public key, such as `P-256`. */
    readonly key: string;
    /** Subject alternative names. */
    readonly sans: readonly string[];
  };
  /** All certificates of an entry that holds several. */
  readonly certificates?: readonly NonNullable<EntryReport["certificate"]>[];
  /** Where a private key is, and its kind where it is known; its text only when secrets are shown. */
  readonly privateKey?: {
    readonly storage: "plaintext" | "ecdsa-peripheral" | "hmac-encrypted" | "hmac-derived";
    readonly key?: string;
    readonly secret?: string;
  };
  /** A DS context. */
  readonly dsContext?: { readonly efuseKeyId: number; readonly rsaLengthBits: number };
  /** DS data; `checks` only when the HMAC key was given. */
  readonly dsData?: {
    readonly rsaLengthBits: number;
    readonly iv: string;
    readonly ciphertextLength: number;
    readonly checks?: {
      readonly digest: boolean;
      readonly padding: boolean;
      readonly length: boolean;
      readonly operands: boolean;
      readonly rBar: boolean;
      readonly mPrime: boolean;
    };
  };
  /** A security configuration. */
  readonly securityConfig?: { readonly efuseBlock: number; readonly efuseKeyId: number | null };
  /** A signature: header version, scheme, what the length field says, and what eFuses hold of the key. */
  readonly signature?: {
    readonly version: number;
    readonly algorithm: "rsa3072" | "ecdsa192" | "ecdsa256" | "ecdsa384";
    readonly signedLength: number;
    readonly keyDigest: string;
  };
  /** An integrity entry's hash, and whether it is right. */
  readonly integrity?: { readonly sha256: string; readonly ok: boolean };
  /** User data that is text. */
  readonly userData?: { readonly text: string };
  /** Why a value cannot be read as its type says. */
  readonly problem?: string;
}

/**
 * What an image holds; of a file of certificates, keys or requests, what its first one is.
 *
 * @category Reading and checking
 */
export interface Inspection extends Omit<CredentialFileReport, "format"> {
  /** Layout; `partition_table` or what else a file is that is not an image; or `unknown`. */
  readonly format: ImageFormat | "partition_table" | CredentialFileReport["format"] | "unknown";
  /** All that a file holds of certificates, keys and requests, in its order, when that is several. */
  readonly contents?: readonly CredentialFileReport[];
  /** Length of the image in bytes; of all that was given when none was found in it. */
  readonly size: number;
  /** Bytes that the entries take. */
  readonly used: number;
  /**
   * The Kconfig option with which the firmware must be built to read this layout; absent for TLV, which
   * every build reads.
   */
  readonly kconfig?: "CONFIG_ESP_SECURE_CERT_SUPPORT_LEGACY_FORMATS";
  /** The entries in the order of the image. */
  readonly entries: readonly EntryReport[];
  /** What an NVS image holds beside them, present when there is any; the values are not shown. */
  readonly others?: readonly {
    readonly offset: number;
    readonly namespace: string;
    readonly key: string;
    /** Type of the value, such as `u8`, `string` or `blob`. */
    readonly type: string;
    /** Length of the value in bytes. */
    readonly length: number;
  }[];
  /** What the firmware finds for TLS. */
  readonly credentials: {
    readonly deviceCert: boolean;
    readonly caCert: boolean;
    readonly keyMode: KeyMode | null;
    readonly key: string | null;
    readonly efuseKeyId: number | null;
    readonly efuseBlock: number | null;
  };
  /** Everything that `verify` finds without a CA to check against. */
  readonly findings: readonly Finding[];
  /** Where the image was found, present when it is inside something larger. */
  readonly location?: ImageLocation;
  /** How the file is encoded, when it is Intel HEX or UF2; offsets in it are addresses then. */
  readonly encoding?: "intel_hex" | "uf2";
  /** The partition table that the bytes are or hold, when there is one. */
  readonly partitionTable?: {
    /** The partitions in the order of the table. */
    readonly entries: readonly {
      readonly name: string;
      readonly type: number;
      readonly subtype: number;
      readonly offset: number;
      readonly size: number;
      readonly encrypted: boolean;
      readonly readonly: boolean;
    }[];
    /** The digest in the table and the one that should be there, hexadecimal; null without one. */
    readonly md5:
      | { readonly stored: string; readonly computed: string; readonly ok: boolean }
      | null;
    /**
     * What the rules of ESP-IDF forbid, errors where its tool refuses the table; `entry` is the index of a
     * partition, and the rest the details.
     */
    readonly findings: readonly {
      readonly severity: "error" | "warning";
      readonly kind: string;
      readonly message: string;
      readonly entry: number;
    }[];
    /** The partition that the firmware reads its credentials from; null when there is none. */
    readonly secureCert: {
      readonly name: string;
      readonly type: number;
      readonly subtype: number;
      readonly offset: number;
      readonly size: number;
      readonly encrypted: boolean;
      readonly readonly: boolean;
    } | null;
  };
}

/** A partition table in a report. */
export type PartitionTableReport = NonNullable<Inspection["partitionTable"]>;

/**
 * Reports what some bytes hold: an image, a dump of flash that contains one (Intel HEX and UF2 too), a
 * partition table, binary or CSV, or certificates, keys and signing requests. Never throws for content;
 * takes time linear in its length. The report is ready for `JSON.stringify`; offsets count from the start
 * of the image.
 *
 * @category Reading and checking
 * @throws {RangeError} for a table offset that is not a 32-bit number, or an offset after the end.
 */
export async function inspect(
  image: Uint8Array,
  options: {
    /** The 32 bytes of the eFuse key, to open what the HMAC or DS peripheral protects. */
    readonly hmacKey?: Uint8Array;
    /** The chip that is to read the image. @default any */
    readonly chip?: ChipName;
    /** Report private keys too. @default false */
    readonly showSecrets?: boolean;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** The time at which certificates should be valid. @default the system clock */
    readonly now?: () => Date;
  } = {},
): Promise<Inspection> {
  const part = image.subarray(options.offset ?? 0);
  const table = tableOfFile(part, options.tableOffset);
  if (table !== undefined) return await inspectTable(part, table, options);
  const report = await inspectImage(image, options);
  if (report.format !== "unknown") return report;
  if (report.partitionTable !== undefined) {
    return await inspectEncodedTable(image, report.encoding, options) ?? report;
  }
  return await inspectCredentialFile(part) ?? report;
}

/** A file of Intel HEX or UF2 that is a table and no more, which would look like the start of a dump. */
async function inspectEncodedTable(
  file: Uint8Array,
  encoding: DumpEncoding | undefined,
  options: InspectOptions,
): Promise<Inspection | undefined> {
  if (encoding === undefined) return undefined;
  const { decodeDump } = await import("../format/dump/dump.ts");
  const { bytes } = decodeDump(file, encoding);
  const table = startsTable(bytes) ? tableOfFile(bytes) : undefined;
  return table && { ...await inspectTable(bytes, table, options), encoding };
}

/** What a file holds that is neither an image nor a table; undefined when that is nothing known. */
async function inspectCredentialFile(file: Uint8Array): Promise<Inspection | undefined> {
  if (!mayHoldCredentials(file)) return undefined;
  const { readCredentialFile } = await import("./credential_file.ts");
  const found = await readCredentialFile(file);
  const [first] = found;
  if (first === undefined) return undefined;
  const isUnreadable = found.every((each) => each.problem !== undefined && each.key === undefined);
  const findings = isUnreadable
    ? [finding("NOT_AN_IMAGE", `looks like a ${first.format}: ${first.problem}`)]
    : [];
  return {
    size: file.length,
    used: 0,
    entries: [],
    credentials: reportCredentials(findCredentials([])),
    findings,
    ...isUnreadable ? { format: "unknown" } : first,
    contents: found.length > 1 ? found : undefined,
  };
}

const DER_SEQUENCE = 0x30;

/** A program may hold PEM too, after bytes that no text has. */
function mayHoldCredentials(file: Uint8Array): boolean {
  const end = file.indexOf(0);
  return file[0] === DER_SEQUENCE || isPem(end < 0 ? file : file.subarray(0, end));
}

/** As {@linkcode inspect}, for an image or a dump that holds one. */
export async function inspectImage(
  image: Uint8Array,
  options: InspectOptions,
): Promise<Inspection> {
  const checked = await checkImage(image, options);
  const { format, size, used, findings, location, encoding } = checked;
  const exposed = new Set(
    findings.filter(({ code }) => code === "KEY_EXPOSED").map(({ place }) => place.entry),
  );
  return {
    format,
    size,
    used,
    kconfig: needsOption(checked) ? LEGACY_FORMATS_OPTION : undefined,
    entries: await Promise.all(checked.entries.map(async (entry, index) => {
      const report = await reportEntry(entry, options);
      return exposed.has(index) ? withoutExposed(report) : report;
    })),
    others: checked.others.length > 0 ? checked.others.map(reportOther) : undefined,
    credentials: reportCredentials(checked.credentials),
    findings,
    location,
    encoding,
    partitionTable: checked.table && await reportTable(checked.table, options),
  };
}

/** Every build reads TLV images, and no build one in the wrong partition. */
function needsOption({ format, findings }: CheckedImage): boolean {
  return format !== "tlv" && format !== "unknown" &&
    findings.every(({ code }) => code !== "WRONG_PARTITION");
}

async function inspectTable(
  file: Uint8Array,
  table: PartitionTable,
  options: InspectOptions,
): Promise<Inspection> {
  return {
    format: "partition_table",
    size: file.length,
    used: table.used,
    entries: [],
    credentials: reportCredentials(findCredentials([])),
    findings: checkDigest(table),
    partitionTable: await reportTable(table, options, !startsTable(file)),
  };
}

/** A partition table as reports show it; text leaves the digest to the build. */
async function reportTable(
  { entries, md5 }: PartitionTable,
  { tableOffset }: InspectOptions,
  isText = false,
): Promise<PartitionTableReport> {
  const { checkPartitionTable, isRefusal } = await import("../format/table/check.ts");
  const [secureCert] = secureCertEntries(entries);
  const checks = checkPartitionTable(entries, {
    tableOffset,
    md5: isText || md5 !== undefined,
    ordered: isText,
  });
  return {
    entries: entries.map(placeOf),
    md5: md5 === undefined
      ? null
      : { stored: formatHex(md5.stored), computed: formatHex(md5.computed), ok: md5.ok },
    findings: checks.map((each) => ({
      ...each,
      severity: isRefusal(each) ? "error" : "warning",
      message: messageOf(each, entries),
    })),
    secureCert: secureCert === undefined ? null : placeOf(secureCert),
  };
}

function messageOf(
  finding: PartitionTableFinding,
  entries: readonly PartitionTableEntry[],
): string {
  const nameOf = (index: number) => shownWord(entries[index]!.name);
  const name = finding.kind === "too-many" ? "" : nameOf(finding.entry);
  switch (finding.kind) {
    case "alignment":
      return `the ${finding.field} of ${name} is not a multiple of ${hex(finding.unit)}`;
    case "out-of-order":
      return `${name} starts before ${nameOf(finding.of)} ends, which is in the row above; ` +
        "gen_esp32part refuses rows that are not in the order of their offsets";
    case "overlap":
      return `${name} overlaps ${nameOf(finding.of)}`;
    case "duplicate-name":
      return `a second partition is named ${name}`;
    case "name-length":
      return `the name ${name} has ${countOf(finding.length, "byte")}, more than 16`;
    case "before-table-end":
      return `${name} starts before the partition table ends, at ${hex(finding.end)}`;
    case "past-flash-end":
      return `${name} ends at ${hex(finding.end)}, after the end of the flash`;
    case "empty":
      return `${name} has no bytes`;
    case "otadata-size":
      return `${name} has ${hex(finding.size)} bytes, OTA data takes 0x2000`;
    case "otadata-twice":
      return `${name} is a second partition for OTA data`;
    case "never-readonly":
      return `${name} is read-only, and the firmware must write it`;
    case "nvs-too-small":
      return `${name} has ${hex(finding.size)} bytes; NVS that is written takes 0x3000`;
    case "too-many":
      return `${countOf(entries.length, "partition")}, at most ${finding.limit} fit`;
    default:
      return finding satisfies never;
  }
}

/** A certificate in a report. */
export type CertificateReport = NonNullable<EntryReport["certificate"]>;

/**
 * A certificate as {@linkcode inspect} reports it.
 *
 * @category Reading and checking
 */
export function reportCertificate(
  certificate: Certificate,
): NonNullable<EntryReport["certificate"]> {
  const { subject, issuer, serial, notBefore, notAfter, key, sans } = certificate;
  return {
    subject,
    issuer,
    serial,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    key,
    sans,
  };
}

async function reportEntry(
  { raw, content }: ReadEntry,
  options: InspectOptions,
): Promise<EntryReport> {
  const { type, subtype, flags, data } = raw.value;
  const { stored, computed } = raw.crc;
  return {
    offset: raw.offset,
    type,
    typeName: tlvTypeName(type),
    subtype,
    flags,
    length: data.length,
    crc: { stored: hex(stored, 8), computed: hex(computed, 8), ok: stored === computed },
    sha256: formatHex(await digest("SHA-256", data)),
    kind: content.kind,
    ...reportContent(content, data, options),
  };
}

/** The report of an entry that holds an exposed key: nothing of what may be the key itself. */
function withoutExposed(report: EntryReport): EntryReport {
  const { certificate, certificates, integrity } = report;
  return {
    ...report,
    certificate: certificate && certificateWithoutKeys(certificate),
    certificates: certificates?.map(certificateWithoutKeys),
    userData: undefined,
    integrity: integrity && { ...integrity, sha256: HIDDEN },
  };
}

function certificateWithoutKeys(certificate: CertificateReport): CertificateReport {
  const { subject, issuer, serial, sans } = certificate;
  return {
    ...certificate,
    subject: withoutKeys(subject),
    issuer: withoutKeys(issuer),
    serial: withoutKeys(serial),
    sans: sans.map(withoutKeys),
  };
}

function reportContent(
  content: Content,
  data: Uint8Array,
  { showSecrets }: InspectOptions,
): Partial<EntryReport> {
  switch (content.kind) {
    case "certificate": {
      const certificates = content.certificates.map(reportCertificate);
      return {
        certificate: certificates[0],
        certificates: certificates.length > 1 ? certificates : undefined,
      };
    }
    case "privateKey":
      return { privateKey: reportKey(content, data, showSecrets) };
    case "dsData":
      return { dsData: reportDsData(content) };
    case "dsContext": {
      const { efuseKeyId, rsaLengthBits } = content.context;
      return { dsContext: { efuseKeyId, rsaLengthBits } };
    }
    case "securityConfig": {
      const { efuseBlock, efuseKeyId = null } = content.config;
      return { securityConfig: { efuseBlock, efuseKeyId } };
    }
    case "signature": {
      const { version, key: { algorithm }, signedLength } = content.signature;
      return { signature: { version, algorithm, signedLength, keyDigest: content.keyDigest } };
    }
    case "integrity":
      return { integrity: { sha256: content.sha256, ok: content.ok } };
    case "userData":
      return { userData: content.text === undefined ? undefined : { text: content.text } };
    case "encrypted":
    case "unreadable":
      return { problem: content.problem };
    case "salt":
    case "opaque":
      return {};
    default:
      return content satisfies never;
  }
}

function reportKey(
  { storage, key, agreement }: Extract<Content, { kind: "privateKey" }>,
  data: Uint8Array,
  showSecrets: boolean | undefined,
): NonNullable<EntryReport["privateKey"]> {
  return {
    storage,
    key: key ? keyName(key) : agreement,
    secret: key && showSecrets ? secretOf(storage, key, data) : undefined,
  };
}

function reportDsData(
  { data, opened }: Extract<Content, { kind: "dsData" }>,
): NonNullable<EntryReport["dsData"]> {
  const { rsaLengthBits, iv, ciphertext } = data;
  return {
    rsaLengthBits,
    iv: formatHex(iv),
    ciphertextLength: ciphertext.length,
    checks: opened?.checks,
  };
}

function reportCredentials(credentials: Credentials): Inspection["credentials"] {
  const { deviceCerts, caCerts, keyEntry, dsContext, dsData, securityConfig } = credentials;
  const efuseKeyId = dsContext?.context.efuseKeyId ?? securityConfig?.config.efuseKeyId;
  const efuseBlock = dsContext
    ? dsContext.context.efuseKeyId + FIRST_KEY_BLOCK
    : securityConfig?.config.efuseBlock;
  const key = keyEntry?.key && keyName(keyEntry.key) || keyEntry?.agreement ||
    dsData && `RSA-${dsData.data.rsaLengthBits}`;
  return {
    deviceCert: deviceCerts.length > 0,
    caCert: caCerts.length > 0,
    keyMode: keyModeOf(credentials) ?? null,
    key: key ?? deviceCerts[0]?.key ?? null,
    efuseKeyId: efuseKeyId ?? null,
    efuseBlock: efuseBlock ?? null,
  };
}

/** What is in flash, or what the HMAC key opened. */
function secretOf(storage: KeyStorage, key: PrivateKey, data: Uint8Array): string {
  return storage === "plaintext" ? secretText(data) : formatPem("PRIVATE KEY", key.pkcs8);
}

function secretText(data: Uint8Array): string {
  const text = decodeUtf8(data.at(-1) === 0 ? data.subarray(0, -1) : data);
  return text?.includes("-----BEGIN") === true ? text : formatHex(data);
}

function hex(value: number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}
