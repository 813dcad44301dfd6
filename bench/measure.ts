/** Clocks and statistics of the benchmark. */

const WARM_UP_MS = 100;
const BATCH_MS = 10;
const BATCHES = 25;

/** The middle value; of an even number of values the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Milliseconds that some work takes. */
export async function duration(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** How often in a second some short work is done: the median over batches, once it is warm. */
export function perSecond(work: () => unknown): number {
  const warm = countUntil(work, WARM_UP_MS);
  const times = Math.max(1, Math.round(warm * BATCH_MS / WARM_UP_MS));
  return median(Array.from({ length: BATCHES }, () => times * 1000 / batch(work, times)));
}

/** How often in a second some long work is done, one after another: the mean over a time. */
export async function meanPerSecond(work: () => Promise<unknown>, ms: number): Promise<number> {
  await work();
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < ms) {
    await work();
    count++;
  }
  return count * 1000 / (performance.now() - start);
}

function batch(work: () => unknown, times: number): number {
  const start = performance.now();
  for (let count = 0; count < times; count++) work();
  return performance.now() - start;
}

function countUntil(work: () => unknown, ms: number): number {
  const start = performance.now();
  let count = 0;
  for (; performance.now() - start < ms; count++) work();
  return count;
}
