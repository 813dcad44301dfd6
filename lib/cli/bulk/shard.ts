import type { BulkShard } from "../../provision/bulk.ts";
import { fileError, usageError } from "../errors.ts";

interface Scheduler {
  readonly name: string;
  readonly index: string;
  readonly count: string;
  /** Variables with the first index and the step, where they are not 0 and 1. */
  readonly first?: string;
  readonly step?: string;
}

/** What schedulers tell their tasks, each in its documentation's words. */
const SCHEDULERS: readonly Scheduler[] = [
  {
    name: "Slurm",
    index: "SLURM_ARRAY_TASK_ID",
    count: "SLURM_ARRAY_TASK_COUNT",
    first: "SLURM_ARRAY_TASK_MIN",
    step: "SLURM_ARRAY_TASK_STEP",
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
  for (const { name, index: variable, count, first, step } of SCHEDULERS) {
    const index = numberOf(readEnv(variable));
    if (index === undefined) continue;
    const total = given ?? numberOf(readEnv(count));
    if (total === undefined) {
      const hint = `give --shard auto/n, or set ${count}`;
      throw usageError(`${name} does not say how many parts there are`, "shard", hint);
    }
    const start = first === undefined ? 0 : numberOf(readEnv(first)) ?? 0;
    const stride = step === undefined ? 1 : numberOf(readEnv(step)) || 1;
    const shard = { index: (index - start) / stride + 1, count: total };
    if (isPart(shard)) return shard;
    throw usageError(`${variable} is ${index}, which is none of ${total} parts`, "shard");
  }
  const variables = SCHEDULERS.map(({ index }) => index).join(", ");
  throw usageError(`--shard auto: none of ${variables} is set`, "shard", "give --shard i/n");
}

function isPart({ index, count }: BulkShard): boolean {
  return Number.isInteger(index) && index >= 1 && index <= count;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

function denoEnv(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const names = SCHEDULERS.flatMap((
      { index, count, first, step },
    ) => [index, count, first, step]);
    const hint = `add --allow-env=${names.filter((each) => each !== undefined).join(",")}`;
    throw fileError("ERR_PERMISSION", name, `Cannot read ${name}: Deno was not permitted to`, hint);
  }
}
