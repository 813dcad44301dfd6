import { type BatchProblem, problem } from "./device.ts";

/** What the shards of a batch must have in common, where their journals are there to tell. */
export interface ShardFacts {
  /** The profile, as it was when the devices were made. */
  readonly profile?: Readonly<Record<string, unknown>>;
  /** SHA-256 of the CA certificate's DER, hexadecimal. */
  readonly ca?: string;
  /** The keys that signed the images. */
  readonly signers?: string;
  /** Whether its devices have labels, `true` or `false`. */
  readonly labels?: string;
  /** Which part of the list it is: `i/n`. */
  readonly shard?: string;
}

/** A shard, by its folder. */
export interface Shard {
  readonly path: string;
  readonly facts: ShardFacts;
}

/** Members of a profile that say where something lies, which may be elsewhere on each machine. */
const PLACES = ["ca"];
/** Missing parts that are named. */
const SHOWN = 20;

/**
 * Whether shards are those of one batch: the same CA and profile, and each part once.
 *
 * @param shards All of them, with the facts that are known.
 * @returns Everything that is wrong.
 */
export function judgeShards(shards: readonly Shard[]): BatchProblem[] {
  return [
    ...differing(shards, ({ ca }) => ca, () => "its CA is not that"),
    ...differing(shards, ({ signers }) => signers, () => "its signing keys are not those"),
    ...differing(
      shards,
      ({ profile }) => profile && canonical(profile),
      (first, other) => `its profile is not that (${differingMembers(first, other)})`,
    ),
    ...differing(
      shards,
      ({ labels }) => labels,
      ({ labels }) =>
        `it has ${labels === "true" ? "no labels, unlike those" : "labels, unlike those"}`,
    ),
    ...judgeParts(shards),
  ];
}

/** Whether the shards are known to be all parts of their list. */
export function areWhole(shards: readonly Shard[]): boolean {
  return shards.every(({ facts: { shard } }) => shard !== undefined);
}

/** Shards that have something else than the first that says it. */
function differing(
  shards: readonly Shard[],
  factOf: (facts: ShardFacts) => string | undefined,
  what: (first: ShardFacts, other: ShardFacts) => string,
): BatchProblem[] {
  const [first, ...others] = shards.filter(({ facts }) => factOf(facts) !== undefined);
  return others.filter(({ facts }) => factOf(facts) !== factOf(first!.facts)).map((other) =>
    foreign(`${other.path}: ${what(first!.facts, other.facts)} of ${first!.path}`)
  );
}

function judgeParts(shards: readonly Shard[]): BatchProblem[] {
  const parts = shards.flatMap(({ path, facts: { shard = "" } }) => {
    const [, index, count] = /^([0-9]+)\/([0-9]+)$/.exec(shard) ?? [];
    return count === undefined ? [] : [{ path, index: Number(index), count: Number(count) }];
  });
  const [first] = parts;
  if (first === undefined) return [];
  const others = parts.filter(({ count }) => count !== first.count).map(({ path, index, count }) =>
    foreign(`${path} is part ${index} of ${count}, ${first.path} one of ${first.count}`)
  );
  // Whole lists are no parts of one.
  if (others.length > 0 || first.count === 1) return others;
  const problems: BatchProblem[] = [];
  const seen = new Map<number, string>();
  for (const { path, index } of parts) {
    const other = seen.get(index);
    if (other === undefined) seen.set(index, path);
    else {
      const message = `${path} is part ${index} of ${first.count}, as ${other} is`;
      problems.push(problem("DUPLICATE_SHARD", null, message));
    }
  }
  const left = first.count - seen.size;
  if (left === 0) return problems;
  const missing: number[] = [];
  for (let index = 1; missing.length < Math.min(left, SHOWN); index++) {
    if (!seen.has(index)) missing.push(index);
  }
  const more = left > missing.length ? ` and ${left - missing.length} more` : "";
  const message = `of ${first.count} parts, ${missing.join(", ")}${more} are not there`;
  return [...problems, problem("MISSING_SHARD", null, message)];
}

function differingMembers(a: ShardFacts, b: ShardFacts): string {
  const [left, right] = [a.profile ?? {}, b.profile ?? {}];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].filter((name) =>
    !PLACES.includes(name) && canonical({ it: left[name] }) !== canonical({ it: right[name] })
  ).join(", ");
}

/** A profile as text that does not depend on the order of its members. */
function canonical(profile: Readonly<Record<string, unknown>>): string {
  const sorted = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value;
  const told = Object.entries(profile).filter(([name]) => !PLACES.includes(name));
  return JSON.stringify(Object.fromEntries(told), sorted);
}

function foreign(message: string): BatchProblem {
  return problem("FOREIGN_SHARD", null, message);
}
