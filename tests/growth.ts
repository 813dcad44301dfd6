/** How the cost of some work grows with its input, on a machine that may be busy. */

const ROUNDS = { least: 2, most: 12 } as const;
/** One large work may take so many times as long as many small ones; a quadratic one takes as many. */
const SLACK = 3;

/**
 * Whether the cost of some work grows as its input does: work on one large input takes about as long as
 * work on many small ones of the same total size. The smallest times of several rounds are compared, and
 * the rounds go on while these do not look linear. Both times are about as long, so that other work on the
 * machine slows both; how fast the machine is does not matter.
 *
 * @param work Prepares the work for a size, and returns it.
 * @param sizes A size and one many times as large, so that linear and quadratic are far apart.
 */
export async function growsLinearly(
  work: (size: number) => () => unknown,
  [small, large]: readonly [number, number],
): Promise<boolean> {
  const [few, many] = [work(small), work(large)];
  let [inParts, atOnce] = [Infinity, Infinity];
  for (let round = 1; round <= ROUNDS.most; round++) {
    inParts = Math.min(inParts, await time(few, Math.round(large / small)));
    atOnce = Math.min(atOnce, await time(many, 1));
    if (round >= ROUNDS.least && atOnce < SLACK * inParts) return true;
  }
  return false;
}

async function time(work: () => unknown, times: number): Promise<number> {
  const start = performance.now();
  for (; times > 0; times--) await work();
  return performance.now() - start;
}
