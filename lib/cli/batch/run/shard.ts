import type { BulkShard } from "../../../batch/list/list.ts";
import { usageError } from "../../errors.ts";

/**
 * The part of a batch that --shard names: `i/n` with i from 1.
 *
 * @throws {CliError} `ERR_USAGE` for anything else.
 */
export function parseShard(text: string): BulkShard {
  const [, index, count] = /^([0-9]{1,9})\/([0-9]{1,9})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.index >= 1 && shard.index <= shard.count) return shard;
  throw usageError(`--shard is i/n with i from 1 to n; not "${text}"`, "shard");
}
