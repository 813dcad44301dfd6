import { equalBytes } from "../bytes/pack.ts";
import type { NvsStoredItem } from "../format/nvs/decoded.ts";
import { NVS_TYPES, type NvsIntegerType } from "../format/nvs/page.ts";

/** What an NVS image holds beside the credentials; the value itself is never reported. */
export interface OtherReport {
  /** Where the value starts, bytes from the start of the image. */
  readonly offset: number;
  /** Namespace of the key. */
  readonly namespace: string;
  /** The key. */
  readonly key: string;
  /** Type of the value, such as `u8`, `string` or `blob`. */
  readonly type: string;
  /** Length of the value in bytes. */
  readonly length: number;
}

/** Data beside the credentials that differs between two images. */
export interface OtherDifference {
  /** What became of it. */
  readonly change: "added" | "removed" | "changed";
  /** Namespace of the key. */
  readonly namespace: string;
  /** The key. */
  readonly key: string;
  /** What differs of it; empty for what was added or removed. */
  readonly differs: readonly ("type" | "length" | "value")[];
  /** What it is in the first image; absent when it was added. */
  readonly a?: OtherReport;
  /** What it is in the second image; absent when it was removed. */
  readonly b?: OtherReport;
}

/** An item of an NVS image as reports show it. */
export function reportOther(item: NvsStoredItem): OtherReport {
  const { offset, namespace, key, type, value } = item;
  const length = value instanceof Uint8Array
    ? value.length
    : NVS_TYPES[type as NvsIntegerType] & 0x0F;
  return { offset, namespace, key, type, length };
}

/** An item of an NVS image in words. */
export function otherTitle({ namespace, key, type, length }: OtherReport): string {
  return `${namespace}/${key} (${type}, ${length} ${length === 1 ? "byte" : "bytes"})`;
}

/** What differs, in the order of the first image, then what only the second has. */
export function diffOthers(
  a: readonly NvsStoredItem[],
  b: readonly NvsStoredItem[],
): OtherDifference[] {
  const [first, second] = [keyed(a), keyed(b)];
  return [...new Set([...first.keys(), ...second.keys()])].flatMap((name) =>
    compareOthers(first.get(name), second.get(name))
  );
}

/** By names, of which neither can hold a NUL. */
function keyed(items: readonly NvsStoredItem[]): Map<string, NvsStoredItem> {
  const seen = new Map<string, NvsStoredItem>();
  for (const item of items) {
    // The firmware keeps a key once for each type.
    const name = `${item.namespace}\0${item.key}`;
    seen.set(seen.has(name) ? `${name}\0${item.type}` : name, item);
  }
  return seen;
}

function compareOthers(
  a: NvsStoredItem | undefined,
  b: NvsStoredItem | undefined,
): OtherDifference[] {
  const { namespace, key } = (a ?? b)!;
  const [one, other] = [a && reportOther(a), b && reportOther(b)];
  const places = { a: one, b: other };
  if (a === undefined) return [{ change: "added", namespace, key, differs: [], ...places }];
  if (b === undefined) return [{ change: "removed", namespace, key, differs: [], ...places }];
  const differs: OtherDifference["differs"] = [
    ...a.type === b.type ? [] : ["type" as const],
    ...one?.length === other?.length ? [] : ["length" as const],
    ...isSameValue(a.value, b.value) ? [] : ["value" as const],
  ];
  return differs.length === 0 ? [] : [{ change: "changed", namespace, key, differs, ...places }];
}

function isSameValue(a: NvsStoredItem["value"], b: NvsStoredItem["value"]): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return equalBytes(a, b);
  return a === b;
}
