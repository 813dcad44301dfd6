import { SecureCertError } from "../../bytes/errors.ts";
import { TLV_TYPES } from "../../format/names.ts";
import {
  credentialsOfNvs,
  type DecodedNvsCredentials,
  NVS_CREDENTIAL_NAMESPACES,
} from "../../format/nvs/credentials.ts";
import { NVS_DATA_OFFSET, NVS_KEY_OFFSET, type NvsCrc } from "../../format/nvs/page.ts";
import type { NvsProblem } from "../../format/nvs/decoded.ts";
import { type BoundedNvs, decodeBoundedNvs } from "../../format/nvs/decode.ts";
import { type Finding, finding, type FindingCode } from "../../findings/findings.ts";
import {
  equivalentDsContext,
  equivalentDsData,
  equivalentEntry,
  type ImageEntries,
  type ImageEntry,
  NO_CRC,
} from "./entry.ts";

const CODES: Readonly<Record<NvsProblem["kind"], FindingCode>> = {
  "page-checksum": "BAD_CHECKSUM",
  "page-state": "BAD_MAGIC",
  "page-version": "BAD_MAGIC",
  "page-dirty": "STRAY_BYTES",
  "reserve": "TOO_LARGE",
  "bitmap": "BAD_MAGIC",
  "entry-checksum": "BAD_CHECKSUM",
  "entry": "TRUNCATED",
  "data-checksum": "BAD_CHECKSUM",
  "namespace": "BAD_SUBTYPE",
  "blob": "TRUNCATED",
  "duplicate": "DUPLICATE_ENTRY",
  "string": "PEM_NO_NUL",
  "type": "NVS_TYPE",
  "credential": "DS_CONTEXT",
};

/** An image may have both namespaces; which one is read depends on the partition. */
const NAMESPACES = { nvs: NVS_CREDENTIAL_NAMESPACES, nvs_legacy: ["pre_prov"] } as const;

/** Problems that leave every credential readable. */
const HARMLESS: ReadonlySet<NvsProblem["kind"]> = new Set(["reserve", "page-dirty", "duplicate"]);

const UNREAD = { format: "unknown", entries: [], used: 0 } as const;
/** Namespaces that a message lists. */
const LISTED = 5;
/** Problems of a kind that are reported one by one. */
const MOST_LISTED = 100;

/** Takes an NVS image apart. */
export function readNvsImage(image: Uint8Array, format: "nvs" | "nvs_legacy"): ImageEntries {
  let all: BoundedNvs | undefined;
  try {
    all = decodeBoundedNvs(image);
    const { items, erased } = all;
    const other = otherNvs(image, all);
    if (other !== undefined) return { ...UNREAD, findings: [other], others: items, erased };
    const decoded = credentialsOfNvs(all, NAMESPACES[format]);
    const crcs = new Map(items.map(({ offset, crc }) => [offset, crc]));
    const entries = entriesOf(decoded, crcs).toSorted((a, b) => a.offset - b.offset);
    const used = Math.max(0, ...entries.map(({ offset, value }) => offset + value.data.length));
    const taken = new Set(Object.values(decoded.offsets));
    const others = items.filter(({ offset }) => !taken.has(offset));
    return { format, entries, used, findings: findingsOf(all, decoded.problems), others, erased };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    // What is wrong with an image may be why no credentials are left to read.
    const damage = all === undefined ? [] : findingsOf(all, all.problems);
    return {
      format,
      entries: [],
      used: 0,
      findings: [...damage, finding("NOT_AN_IMAGE", error.message)],
      others: all?.items ?? [],
      erased: all?.erased ?? [],
    };
  }
}

/** Why an NVS is not an image: it is encrypted, or has other namespaces; undefined for one that is. */
function otherNvs(image: Uint8Array, all: BoundedNvs): Finding | undefined {
  const { items, namespaces, problems } = all;
  if (NVS_CREDENTIAL_NAMESPACES.some((name) => namespaces.includes(name))) return undefined;
  if (namespaces.length === 0 && items.length === 0 && isEncrypted(image, problems)) {
    const message =
      "looks like an encrypted NVS: its page headers are right, and none of its entries; " +
      "the firmware opens the NVS of its credentials without keys and reads none of it";
    return finding("LOOKS_ENCRYPTED", message);
  }
  // What is wrong with an image may be why no credentials are left to read.
  if (namespaces.length === 0 && problems.length > 0) return undefined;
  const names = namespaces.slice(0, LISTED).map((name) => JSON.stringify(name)).join(", ");
  const more = namespaces.length > LISTED ? ` and ${namespaces.length - LISTED} more` : "";
  const holds = namespaces.length === 0 ? "is empty" : `has the namespaces ${names}${more}`;
  const message =
    `an NVS partition, but not one of credentials: it ${holds}; the firmware looks for ` +
    NVS_CREDENTIAL_NAMESPACES.join(" or ");
  return finding("NOT_AN_IMAGE", message);
}

/** Each of its entries is damaged, and none has what may be a key (FORMAT: Encrypted NVS). */
function isEncrypted(image: Uint8Array, problems: readonly NvsProblem[]): boolean {
  const damaged = problems.filter(({ kind }) => kind === "entry-checksum");
  return damaged.length > 0 && !damaged.some(({ offset }) => hasKey(image, offset));
}

/** Characters and then zeros only. */
function hasKey(image: Uint8Array, entry: number): boolean {
  const key = image.subarray(entry + NVS_KEY_OFFSET, entry + NVS_DATA_OFFSET);
  const end = key.indexOf(0);
  const name = key.subarray(0, Math.max(0, end));
  return end > 0 && name.every((byte) => byte >= 0x20 && byte < 0x7F) &&
    key.subarray(end).every((byte) => byte === 0);
}

function entriesOf(
  { credentials, offsets }: DecodedNvsCredentials,
  crcs: ReadonlyMap<number, NvsCrc>,
): ImageEntry[] {
  const { caCert, deviceCert, privateKey, ds } = credentials;
  const { ESP_SECURE_CERT_CA_CERT_TLV: ca, ESP_SECURE_CERT_DEV_CERT_TLV: dev } = TLV_TYPES;
  const { ESP_SECURE_CERT_PRIV_KEY_TLV: key, ESP_SECURE_CERT_DS_DATA_TLV: dsData } = TLV_TYPES;
  const values: (readonly [number, Uint8Array | undefined, number | undefined])[] = [
    [ca, caCert, offsets.caCert],
    [dev, deviceCert, offsets.deviceCert],
    [key, privateKey, offsets.privateKey],
    [dsData, ds && equivalentDsData(ds), offsets.ciphertext],
    [
      TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
      ds && equivalentDsContext(ds),
      offsets.rsaLengthBits,
    ],
  ];
  return values.flatMap(([type, data, offset = 0]) => {
    if (data === undefined) return [];
    return [equivalentEntry(type, data, { offset, crc: crcs.get(offset) ?? NO_CRC })];
  });
}

function findingsOf(
  { cutAt: offset }: BoundedNvs,
  problems: readonly NvsProblem[],
): Finding[] {
  const cut = offset === undefined
    ? []
    : [finding("TOO_LARGE", `an NVS image is read up to ${offset}; more follows`, { offset })];
  return [...cut, ...listed(problems).map(findingOf)];
}

/** The first problems of each kind; a last one counts the others, because every entry may have one. */
function listed(problems: readonly NvsProblem[]): NvsProblem[] {
  const first: NvsProblem[] = [];
  const rest = new Map<NvsProblem["kind"], NvsProblem>();
  const counts = new Map<NvsProblem["kind"], number>();
  for (const problem of problems) {
    const count = (counts.get(problem.kind) ?? 0) + 1;
    counts.set(problem.kind, count);
    if (count <= MOST_LISTED) first.push(problem);
    else if (count === MOST_LISTED + 1) rest.set(problem.kind, problem);
  }
  const counted = [...rest].map(([kind, problem]) => {
    const more = counts.get(kind)! - MOST_LISTED;
    return { ...problem, message: `${more} more like this: ${problem.message}` };
  });
  return [...first, ...counted];
}

function findingOf({ kind, message, offset }: NvsProblem): Finding {
  return finding(CODES[kind], message, { offset }, HARMLESS.has(kind) ? "warning" : "error");
}
