import { countOf } from "../../bytes/errors.ts";
import { type BulkShard, parseShard } from "../list/list.ts";
import { type BulkProfile, differingMembers } from "../profile/profile.ts";
import { type BatchProblem, problem } from "./problem.ts";

/** What the shards of a batch must have in common, as far as their journals are there. */
export interface ShardFacts {
  /** The profile, as it was when the devices were made. */
  readonly profile?: BulkProfile;
  /** SHA-256 of the CA certificate's DER, hexadecimal. */
  readonly ca?: string;
  /** SHA-256 of what its devices store as their CA, hexadecimal, or `issuer`. */
  readonly caCert?: string;
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

/** Missing parts that are named. */
const SHOWN = 20;

/**
 * Whether shards are those of one batch: the same CA and profile, and each part once.
 *
 * @param shards All of them, with the facts that are known.
 * @returns Everything that is wrong.
 */
export function checkShards(shards: readonly Shard[]): BatchProblem[] {
  return [
    ...differing(shards, ({ ca }) => ca, () => "its CA is not that"),
    ...differing(shards, ({ caCert }) => caCert, () => "its devices store another CA than those"),
    ...differing(shards, ({ signers }) => signers, () => "its signing keys are not those"),
    ...differingProfiles(shards),
    ...differing(
      shards,
      ({ labels }) => labels,
      ({ labels }) =>
        `it has ${labels === "true" ? "no labels, unlike those" : "labels, unlike those"}`,
    ),
    ...checkParts(shards),
  ];
}

/** Whether the shards are known to be all parts of their list. */
export function areWhole(shards: readonly Shard[]): boolean {
  return shards.every(({ facts: { shard } }) => shard !== undefined);
}

/** Shards that have another fact than the first that has it. */
function differing(
  shards: readonly Shard[],
  factOf: (facts: ShardFacts) => string | undefined,
  what: (first: ShardFacts) => string,
): BatchProblem[] {
  const [first, ...others] = shards.filter(({ facts }) => factOf(facts) !== undefined);
  return others.filter(({ facts }) => factOf(facts) !== factOf(first!.facts)).map(({ path }) =>
    foreign(`${path}: ${what(first!.facts)} of ${first!.path}`)
  );
}

function differingProfiles(shards: readonly Shard[]): BatchProblem[] {
  const [first, ...others] = shards.filter(({ facts }) => facts.profile !== undefined);
  return others.flatMap(({ path, facts }) => {
    const names = differingMembers(first!.facts.profile!, facts.profile!);
    if (names.length === 0) return [];
    return [foreign(`${path}: its profile is not that (${names.join(", ")}) of ${first!.path}`)];
  });
}

interface Part extends BulkShard {
  readonly path: string;
}

function checkParts(shards: readonly Shard[]): BatchProblem[] {
  const parts = shards.flatMap(({ path, facts: { shard = "" } }): Part[] => {
    const part = parseShard(shard);
    return part === undefined ? [] : [{ path, ...part }];
  });
  const [first] = parts;
  if (first === undefined) return [];
  const others = parts.filter(({ count }) => count !== first.count).map(({ path, index, count }) =>
    foreign(`${path} is part ${index} of ${count}, ${first.path} one of ${first.count}`)
  );
  // Whole lists are not parts of one.
  if (others.length > 0 || first.count === 1) return others;
  const seen = new Map<number, string>();
  const twice = parts.flatMap(({ path, index, count }) => {
    const other = seen.get(index);
    seen.set(index, other ?? path);
    if (other === undefined) return [];
    const message = `${path} is part ${index} of ${count}, as ${other} is`;
    return [problem("DUPLICATE_SHARD", null, message)];
  });
  return [...twice, ...missingParts(seen, first.count)];
}

function missingParts(seen: ReadonlyMap<number, string>, count: number): BatchProblem[] {
  const left = count - seen.size;
  if (left === 0) return [];
  const missing: number[] = [];
  for (let index = 1; missing.length < Math.min(left, SHOWN); index++) {
    if (!seen.has(index)) missing.push(index);
  }
  const more = left > missing.length ? ` and ${left - missing.length} more` : "";
  const message = `of ${countOf(count, "part")}, ${missing.join(", ")}${more} are not there`;
  return [problem("MISSING_SHARD", null, message)];
}

function foreign(message: string): BatchProblem {
  return problem("FOREIGN_SHARD", null, message);
}
