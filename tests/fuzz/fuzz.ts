import { SecureCertError } from "../../lib/bytes/errors.ts";
import type { Bytes } from "../../lib/bytes/pack.ts";
import { mutateInside } from "./inside.ts";
import { LONGEST, mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import type { Target } from "./target.ts";

/** An input that went wrong. */
export interface Failure {
  readonly target: string;
  /** What `--seed` and `--input` repeat it with. */
  readonly seed: number;
  readonly index: number;
  /** An error that is not a SecureCertError, or that it was slow. */
  readonly problem: string;
  readonly input: Bytes;
}

/** What a run of a target saw. */
export interface FuzzResult {
  readonly failures: readonly Failure[];
  /** Inputs that were read, and not refused. */
  readonly read: number;
  /** The slowest input, in milliseconds. */
  readonly slowest: number;
}

/** No input is longer than 32 KiB; any answer to it that takes so long is out of proportion. */
const SLOW_MS = 2000;
const MOST_FAILURES = 10;

/** The input of a number: the same for the same seed, target and number. */
export function inputOf(target: Target, seed: number, index: number): Bytes {
  const random = new Random(seed + Math.imul(index, 0x9E3779B1) + target.name.length);
  const good = random.pick(target.seeds);
  const inside = random.below(3) === 0 ? mutateInside(good, random) : undefined;
  if (inside !== undefined) return inside.subarray(0, LONGEST);
  const input = mutate(good, random) as Bytes;
  if (random.below(4) > 0) target.guard?.(input);
  return input;
}

/** Gives a target changed inputs. */
export async function fuzz(
  target: Target,
  { seed, count, from = 0 }: {
    readonly seed: number;
    readonly count: number;
    /** Number of the first input. @default 0 */
    readonly from?: number;
  },
): Promise<FuzzResult> {
  const failures: Failure[] = [];
  let [read, slowest] = [0, 0];
  for (let index = from; index < from + count && failures.length < MOST_FAILURES; index++) {
    const input = inputOf(target, seed, index);
    const first = await answer(target, input);
    // A busy machine makes one answer slow; an input makes every answer slow.
    const { problem, ms } = first.ms > SLOW_MS ? await answer(target, input) : first;
    if (first.isRead) read++;
    slowest = Math.max(slowest, ms);
    const what = problem ?? (ms > SLOW_MS ? `took ${Math.round(ms)} ms` : undefined);
    if (what !== undefined) {
      failures.push({ target: target.name, seed, index, problem: what, input });
    }
  }
  return { failures, read, slowest };
}

/** Gives a target a copy of an input, so that what it does to it is not seen again. */
async function answer(
  target: Target,
  input: Bytes,
): Promise<{ readonly problem?: string; readonly isRead: boolean; readonly ms: number }> {
  const copy = input.slice();
  const start = performance.now();
  const ms = () => performance.now() - start;
  try {
    await target.run(copy);
    return { isRead: true, ms: ms() };
  } catch (error) {
    if (error instanceof SecureCertError) return { isRead: false, ms: ms() };
    const problem = error instanceof Error ? error.stack ?? error.message : String(error);
    return { isRead: false, problem, ms: ms() };
  }
}
