import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes, withoutTail } from "../bytes/pack.ts";
import type { NvsStoredItem } from "../format/nvs/decoded.ts";
import { type EntryReport, inspectImage, type Inspection } from "./inspect.ts";
import { readImage } from "../image/read/image.ts";
import { locate } from "../image/find/locate.ts";
import { diffOthers } from "./others.ts";

/** How {@linkcode diff} compares. */
type DiffOptions = NonNullable<Parameters<typeof diff>[2]>;

/**
 * What differs between two images, `a` and `b`. Values are null, and places absent, where an image has no
 * such thing; secrets are compared and never reported.
 *
 * @category Reading and checking
 */
export interface Diff {
  /** Whether nothing differs; an erased tail does not count. */
  readonly same: boolean;
  /** What differs of the layout: its format, and bytes that belong to no entry. */
  readonly layout: readonly {
    /** Name of the field. */
    readonly field: string;
    readonly a: string | number | boolean | null;
    readonly b: string | number | boolean | null;
  }[];
  /** The entries that differ, in the order of the images. */
  readonly entries: readonly {
    /** `moved` is elsewhere among the others, and the same otherwise. */
    readonly change: "added" | "removed" | "changed" | "moved";
    /** Type number. */
    readonly type: number;
    /** The firmware's name of the type. */
    readonly typeName: string;
    /** Subtype number. */
    readonly subtype: number;
    /** Where it is in the first image: index, bytes from the start, and what is stored; absent when added. */
    readonly a?: {
      readonly entry: number;
      readonly offset: number;
      readonly length: number;
      readonly sha256: string;
    };
    /** Where it is in the second image; absent when removed. */
    readonly b?: {
      readonly entry: number;
      readonly offset: number;
      readonly length: number;
      readonly sha256: string;
    };
    /** What differs, such as `certificate.notAfter`; empty for what was added or removed. */
    readonly fields: readonly {
      readonly field: string;
      readonly a: string | number | boolean | null;
      readonly b: string | number | boolean | null;
    }[];
  }[];
  /** What differs of the data that NVS images hold beside the credentials, when any does. */
  readonly others?: readonly {
    readonly change: "added" | "removed" | "changed";
    readonly namespace: string;
    readonly key: string;
    readonly differs: readonly ("type" | "length" | "value")[];
    readonly a?: {
      readonly offset: number;
      readonly namespace: string;
      readonly key: string;
      readonly type: string;
      readonly length: number;
    };
    readonly b?: {
      readonly offset: number;
      readonly namespace: string;
      readonly key: string;
      readonly type: string;
      readonly length: number;
    };
  }[];
}

/** An entry that differs. */
export type EntryDifference = Diff["entries"][number];
/** What differs of something that both images have. */
export type FieldDifference = EntryDifference["fields"][number];
/** A value of a field in a report. */
type FieldValue = NonNullable<FieldDifference["a"]>;
/** Where an entry is in one of the images. */
export type EntryPlace = NonNullable<EntryDifference["a"]>;

/**
 * What differs between two images, whatever their layouts: entries correspond when type and subtype are
 * equal. Each is an image, a dump of flash that contains one, or erased flash.
 *
 * @category Reading and checking
 * @throws {SecureCertError} `ERR_MAGIC` for anything else.
 */
export async function diff(
  a: Uint8Array,
  b: Uint8Array,
  options: {
    /** The 32 bytes of the eFuse key, to open what the HMAC or DS peripheral protects. */
    readonly hmacKey?: Uint8Array;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in each file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** The time at which certificates should be valid. @default the system clock */
    readonly now?: () => Date;
  } = {},
): Promise<Diff> {
  const [first, second] = [await open(a, "first", options), await open(b, "second", options)];
  const pairs = pairUp(first.report.entries, second.report.entries);
  // Each layout has an order of its own.
  const isOneLayout = first.report.format === second.report.format;
  const moved = isOneLayout ? movedPairs(pairs) : new Set<Pair>();
  const entries = pairs.flatMap((pair) => compare(pair, moved.has(pair)));
  const others = diffOthers(othersOf(first), othersOf(second));
  const count = entries.length + others.length;
  const layout = compareLayout(first, second, count > 0);
  return {
    same: count + layout.length === 0,
    layout,
    entries,
    others: others.length > 0 ? others : undefined,
  };
}

interface Opened {
  /** The image's bytes, without the dump around them. */
  readonly image: Uint8Array;
  readonly report: Inspection;
}

async function open(dump: Uint8Array, which: string, options: DiffOptions): Promise<Opened> {
  const { image = dump } = await locate(dump, options);
  const report = await inspectImage(dump, { ...options, showSecrets: false });
  const { format, findings: [finding] } = report;
  const isErased = report.findings.some(({ code }) => code === "LOOKS_ERASED");
  if (format !== "unknown" || isErased) return { image, report };
  const message = `Cannot compare: the ${which} file is not an image: ${finding?.message}`;
  throw new SecureCertError("ERR_MAGIC", message, { offset: 0 });
}

function othersOf({ image, report }: Opened): readonly NvsStoredItem[] {
  return report.others === undefined ? [] : readImage(image).others ?? [];
}

/** An entry in both images, or in one. */
interface Pair {
  readonly a?: Numbered;
  readonly b?: Numbered;
}

/** What erased flash reads as. */
const ERASED = 0xFF;

type Numbered = EntryReport & { readonly entry: number };

/** Pairs in the order of the first image, then what only the second has. */
function pairUp(a: readonly EntryReport[], b: readonly EntryReport[]): Pair[] {
  const others = new Map(keyed(b));
  const used = new Set<string>();
  const pairs: Pair[] = keyed(a).map(([key, entry]) => {
    used.add(key);
    const other = others.get(key);
    return other === undefined ? { a: entry } : { a: entry, b: other };
  });
  return [
    ...pairs,
    ...keyed(b).filter(([key]) => !used.has(key)).map(([, entry]) => ({ b: entry })),
  ];
}

/** Type, subtype, and which of several. */
function keyed(entries: readonly EntryReport[]): [string, Numbered][] {
  const seen = new Map<string, number>();
  return entries.map((report, entry) => {
    const name = `${report.type}.${report.subtype}`;
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return [`${name}#${count}`, { ...report, entry }];
  });
}

/** Common entries outside the longest run of them that is in the same order in both images. */
function movedPairs(pairs: readonly Pair[]): ReadonlySet<Pair> {
  const common = pairs.filter((pair) => pair.a && pair.b);
  // Ends of the shortest-ending runs of each length, and for each pair the one before it in its run.
  const ends: number[] = [];
  const before: number[] = [];
  const order = (index: number) => common[index]!.b!.entry;
  for (const index of common.keys()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = low + high >> 1;
      if (order(ends[middle]!) < order(index)) low = middle + 1;
      else high = middle;
    }
    before[index] = low === 0 ? -1 : ends[low - 1]!;
    ends[low] = index;
  }
  const moved = new Set(common);
  for (let index = ends.at(-1) ?? -1; index >= 0; index = before[index]!) {
    moved.delete(common[index]!);
  }
  return moved;
}

function compare({ a, b }: Pair, isMoved: boolean): EntryDifference[] {
  const { type, typeName, subtype } = (a ?? b)!;
  const entry = { type, typeName, subtype, a: a && placeOf(a), b: b && placeOf(b) };
  if (a === undefined) return [{ change: "added", ...entry, fields: [] }];
  if (b === undefined) return [{ change: "removed", ...entry, fields: [] }];
  const position = isMoved ? [{ field: "position", a: a.entry, b: b.entry }] : [];
  const fields = compareFields(fieldsOf(a), fieldsOf(b));
  if (fields.length + position.length === 0) return [];
  const change = fields.length === 0 ? "moved" : "changed";
  return [{ change, ...entry, fields: [...position, ...fields] }];
}

function placeOf({ entry, offset, length, sha256 }: Numbered): EntryPlace {
  return { entry, offset, length, sha256 };
}

function compareFields(
  a: ReadonlyMap<string, FieldValue>,
  b: ReadonlyMap<string, FieldValue>,
): FieldDifference[] {
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((field) => {
    const [one, other] = [a.get(field) ?? null, b.get(field) ?? null];
    return one === other ? [] : [{ field, a: one, b: other }];
  });
}

/** The members of a report that describe an entry's content, by their paths. */
function fieldsOf(report: Numbered): Map<string, FieldValue> {
  const { flags, length, sha256, crc, kind, certificate, certificates, ...others } = report;
  const fields = new Map<string, FieldValue>([
    ["kind", kind],
    ["flags", flags],
    ["length", length],
    ["sha256", sha256],
    // A right one follows from the rest.
    ["checksum", crc.ok ? "right" : crc.stored],
  ]);
  const all = certificates ?? (certificate === undefined ? [] : [certificate]);
  for (const [index, each] of all.entries()) {
    flatten(index === 0 ? "certificate" : `certificate ${index + 1}`, each, fields);
  }
  for (const [name, value] of Object.entries(others)) {
    if (!PLACE.has(name)) flatten(name, value, fields);
  }
  return fields;
}

/** Members that say which entry it is and where. */
const PLACE: ReadonlySet<string> = new Set(["entry", "offset", "type", "typeName", "subtype"]);

function flatten(name: string, value: unknown, fields: Map<string, FieldValue>): void {
  if (Array.isArray(value)) fields.set(name, value.join(", "));
  else if (typeof value === "object" && value !== null) {
    for (const [key, each] of Object.entries(value)) flatten(`${name}.${key}`, each, fields);
  } else if (value !== null && value !== undefined) fields.set(name, value as FieldValue);
}

function compareLayout(a: Opened, b: Opened, hasDifferences: boolean): FieldDifference[] {
  const [first, second] = [a.report, b.report];
  if (first.format !== second.format) {
    // Erased flash has none; that it lacks every entry says enough.
    if (first.format === "unknown" || second.format === "unknown") return [];
    return [{ field: "format", a: first.format, b: second.format }];
  }
  const rest = ({ image, report }: Opened) => image.subarray(report.used);
  const tails = first.format === "tlv"
    ? compareBytes("bytes after the entries", rest(a), rest(b))
    : [];
  if (hasDifferences || tails.length > 0) return tails;
  return compareBytes("bytes outside the values", a.image, b.image);
}

function compareBytes(field: string, a: Uint8Array, b: Uint8Array): FieldDifference[] {
  const [one, other] = [withoutTail(a, ERASED), withoutTail(b, ERASED)];
  return equalBytes(one, other) ? [] : [{ field, a: one.length, b: other.length }];
}
