import { concat } from "../../lib/bytes/pack.ts";
import type { Random } from "./random.ts";

/** Changes some bytes. */
type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const MOST_CHANGES = 4;
/** Longer inputs find nothing new, and take longer. */
export const LONGEST = 0x8000;
/** Lengths, counts and offsets go wrong at their limits. */
const ODD_BYTES = [0, 1, 2, 0x10, 0x30, 0x7F, 0x80, 0x84, 0xFE, 0xFF] as const;

/** An input with one to four changes: bits, bytes, numbers at their limits, pieces moved or gone. */
export function mutate(seed: Uint8Array, random: Random): Uint8Array {
  let bytes = seed.slice();
  for (let left = 1 + random.below(MOST_CHANGES); left > 0; left--) {
    bytes = random.pick(MUTATIONS)(bytes, random).slice(0, LONGEST);
  }
  return bytes;
}

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => changed(bytes, random, (byte) => byte ^ 1 << random.below(8)),
  (bytes, random) => changed(bytes, random, () => random.below(256)),
  (bytes, random) => changed(bytes, random, () => random.pick(ODD_BYTES)),
  (bytes, random) => changed(bytes, random, (byte) => byte + random.pick([-1, 1])),
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => concat(bytes, random.bytes(random.below(64))),
  (bytes, random) => concat(bytes, new Uint8Array(random.below(0x2000)).fill(0xFF)),
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return concat(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return concat(bytes.subarray(0, to), bytes.subarray(from));
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return bytes.slice().fill(random.pick(ODD_BYTES), from, to);
  },
  (bytes, random) => {
    const [from, to] = range(bytes, random);
    return bytes.slice().copyWithin(random.below(bytes.length + 1), from, to);
  },
];

/** One byte; near the start as often as anywhere, because headers are there. */
function changed(bytes: Uint8Array, random: Random, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice();
  const at = random.below(random.below(2) === 0 ? Math.min(64, copy.length) : copy.length);
  if (copy.length > 0) copy[at] = change(copy[at]!);
  return copy;
}

function range({ length }: Uint8Array, random: Random): [from: number, to: number] {
  const from = random.below(length + 1);
  return [from, from + random.below(Math.min(length - from, 64) + 1)];
}
