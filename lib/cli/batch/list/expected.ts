import { SecureCertError } from "../../../bytes/errors.ts";
import { type BatchProblem, problem } from "../../../batch/check/problem.ts";
import { isInShard, parseShard } from "../../../batch/list/shard.ts";
import type { Arguments } from "../../arguments.ts";
import { usageError } from "../../errors.ts";
import { devicesOf } from "./devices.ts";

/**
 * Refuses flags of a device list that do not go together, before a batch is read.
 *
 * @param verb The command, as people call it.
 * @throws {CliError} `ERR_USAGE`.
 */
export function refuseLists(verb: string, args: Arguments): void {
  if (args.has("devices") && args.has("count")) {
    throw usageError(`${verb} takes --devices or --count, not both`, "devices");
  }
  if (args.has("id-template") && !args.has("count")) {
    const hint = args.has("devices") ? "a list has its ids" : undefined;
    throw usageError("--id-template goes with --count", "id-template", hint);
  }
  if (args.has("count") && args.number("count")! < 1) {
    throw usageError("--count is a number from 1", "count");
  }
}

/**
 * What a batch lacks of the devices that it should have, and has beyond them; nothing when no flag
 * says which these are.
 *
 * @param ids The devices that it has.
 * @param shard The part of the list that it is, `i/n`. @default all of it
 */
export async function findMissing(
  ids: ReadonlySet<string>,
  args: Arguments,
  shard?: string,
): Promise<BatchProblem[]> {
  if (!args.has("devices") && !args.has("count")) return [];
  const problems: BatchProblem[] = [];
  const extra = new Set(ids);
  const part = shard === undefined ? undefined : parseShard(shard);
  for await (const row of devicesOf(args)) {
    if ("problem" in row) {
      throw new SecureCertError("ERR_CSV", `Cannot read device list: ${row.problem}`);
    }
    if (!isInShard(row.device, part)) continue;
    const { id } = row.device;
    if (!ids.has(id)) problems.push(problem("MISSING_DEVICE", id, "in no manifest"));
    extra.delete(id);
  }
  for (const id of extra) problems.push(problem("STRAY_DEVICE", id, "not in the device list"));
  return problems;
}
