/** How the cost of some work grows with its input, on a machine that may be busy. */

const ROUNDS = { least: 3, most: 12 } as const;
/** A linear cost may grow so many times as fast as the input; a quadratic one grows by the square. */
const SLACK = 3;

/**
 * Whether the cost of some work grows as its input does. The smallest times of several rounds are
 * compared, and the rounds go on while these do not look linear, so that what else the machine does at
 * the time does not count. Only the ratio counts, not how fast the machine is.
 *
 * @param work Prepares the work for a size, and returns it.
 * @param sizes A size and one many times as large, so that linear and quadratic are far apart.
 */
export async function growsLinearly(
  work: (size: number) => () => unknown,
  [small, large]: readonly [number, number],
): Promise<boolean> {
  const [few, many] = [work(small), work(large)];
  let [least, most] = [Infinity, Infinity];
  for (let round = 1; round <= ROUNDS.most; round++) {
    least = Math.min(least, await time(few));
    most = Math.min(most, await time(many));
    if (round >= ROUNDS.least && most < SLACK * large / small * least) return true;
  }
  return false;
}

async function time(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
