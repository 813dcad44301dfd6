import type { BulkDevice } from "./devices.ts";

/**
 * A part of a batch, for one of several machines.
 *
 * @category Making a batch
 */
export interface BulkShard {
  /** Number of the part, from 1. */
  readonly index: number;
  /** How many parts there are. */
  readonly count: number;
}

/** A list that is not in parts. */
export const WHOLE_LIST: BulkShard = { index: 1, count: 1 };

/** Whether a part has a device; the parts take turns along the list. */
export function isInShard(
  { index }: Pick<BulkDevice, "index">,
  shard: BulkShard = WHOLE_LIST,
): boolean {
  return index % shard.count === shard.index - 1;
}

/** A part as text: `i/n`. */
export function formatShard({ index, count }: BulkShard): string {
  return `${index}/${count}`;
}

/** A part from its text; undefined for anything but `i/n` with i from 1 to n. */
export function parseShard(text: string): BulkShard | undefined {
  const [, index, count] = /^([0-9]{1,9})\/([0-9]{1,9})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  return isShard(shard) ? shard : undefined;
}

/** Whether there is such a part. */
export function isShard({ index, count }: BulkShard): boolean {
  return Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count;
}
