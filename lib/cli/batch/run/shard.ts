import type { BulkShard } from "../../../batch/list/list.ts";
import { fileError, usageError } from "../../errors.ts";

interface Scheduler {
  readonly name: string;
  readonly index: string;
  readonly count: string;
  /** Variables with the first and the last index and the step, where they are not 0, n - 1 and 1. */
  readonly range?: { readonly first: string; readonly last: string; readonly step: string };
}

/** What schedulers tell their tasks, each in its documentation's words. */
const SCHEDULERS: readonly Scheduler[] = [
  {
    name: "Slurm",
    index: "SLURM_ARRAY_TASK_ID",
    count: "SLURM_ARRAY_TASK_COUNT",
    range: {
      first: "SLURM_ARRAY_TASK_MIN",
      last: "SLURM_ARRAY_TASK_MAX",
      step: "SLURM_ARRAY_TASK_STEP",
    },
  },
  { name: "AWS Batch", index: "AWS_BATCH_JOB_ARRAY_INDEX", count: "AWS_BATCH_JOB_ARRAY_SIZE" },
  { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", count: "JOB_COMPLETIONS" },
];

/** Reads a variable of the environment. */
export type ReadEnv = (name: string) => string | undefined;

/**
 * The part of a batch that --shard means: `i/n` with i from 1; `auto` as a scheduler says, or
 * `auto/n` where it says the index alone, as Kubernetes does.
 */
export function parseShard(text: string, readEnv: ReadEnv = denoEnv): BulkShard {
  const [, index, count] = /^([0-9]{1,9}|auto)(?:\/([0-9]{1,9}))?$/.exec(text) ?? [];
  const given = count === undefined ? undefined : Number(count);
  if (index === "auto") return autoShard(given, readEnv);
  if (index !== undefined && given !== undefined) {
    const shard = { index: Number(index), count: given };
    if (isPart(shard)) return shard;
  }
  throw usageError(
    `--shard is i/n with i from 1 to n, auto, or auto/n; not "${text}"`,
    "shard",
  );
}

function autoShard(given: number | undefined, readEnv: ReadEnv): BulkShard {
  for (const scheduler of SCHEDULERS) {
    const index = readNumber(scheduler.index, readEnv);
    if (index === undefined) continue;
    const told = readNumber(scheduler.count, readEnv);
    const count = given ?? told;
    if (count === undefined) {
      const hint = `give --shard auto/n, or set ${scheduler.count}`;
      throw usageError(`${scheduler.name} does not say how many parts there are`, "shard", hint);
    }
    if (told !== undefined && told !== count && scheduler.range === undefined) {
      throw usageError(`${scheduler.name} has ${told} tasks, not ${count}`, "shard");
    }
    const { first, step } = rangeOf(scheduler, index, count, told, readEnv);
    const shard = { index: (index - first) / step + 1, count };
    if (isPart(shard)) return shard;
    throw usageError(`${scheduler.index} is ${index}, which is none of ${count} parts`, "shard");
  }
  const variables = SCHEDULERS.map(({ index }) => index).join(", ");
  throw usageError(`--shard auto: none of ${variables} is set`, "shard", "give --shard i/n");
}

/**
 * Where the indices of an array begin and how far they lie apart. An array that has not all of the
 * parts, as when one task is run again, does not tell which part its index means: devices would get
 * second keys.
 */
function rangeOf(
  { name, range }: Scheduler,
  index: number,
  count: number,
  told: number | undefined,
  readEnv: ReadEnv,
): { first: number; step: number } {
  if (range === undefined) return { first: 0, step: 1 };
  const first = readNumber(range.first, readEnv) ?? 0;
  const step = readNumber(range.step, readEnv) || 1;
  const last = readNumber(range.last, readEnv) ?? first + (count - 1) * step;
  const tasks = Math.floor((last - first) / step) + 1;
  const isWhole = (told ?? count) === count && tasks === count && count > 1 && first <= 1;
  if (isWhole) return { first, step };
  const hint = `give --shard i/n, with the part that the task has in the whole array`;
  throw usageError(
    `${name}'s array is not a whole one, and ${index} may be any part`,
    "shard",
    hint,
  );
}

function isPart({ index, count }: BulkShard): boolean {
  return Number.isInteger(index) && index >= 1 && index <= count;
}

/** A variable's number; undefined when it is not set. */
function readNumber(name: string, readEnv: ReadEnv): number | undefined {
  const text = readEnv(name);
  if (text === undefined || text === "") return undefined;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw usageError(`${name} is "${text}", which is no number`, "shard");
}

function denoEnv(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const names = SCHEDULERS.flatMap(({ index, count, range = {} }) => [
      index,
      count,
      ...Object.values(range),
    ]);
    const hint = `add --allow-env=${names.join(",")}`;
    throw fileError("ERR_PERMISSION", name, `Cannot read ${name}: Deno was not permitted to`, hint);
  }
}
