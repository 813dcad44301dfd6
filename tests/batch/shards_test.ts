import { assertEquals, assertMatch } from "@std/assert";
import { areWhole, checkShards, type ShardFacts } from "../../lib/batch/check/shards.ts";

const shards = (...facts: ShardFacts[]) =>
  facts.map((each, at) => ({ path: `s${at + 1}`, facts: each }));
const problemsOf = (...facts: ShardFacts[]) =>
  checkShards(shards(...facts)).map(({ code, message }) => `${code} ${message}`);
const part = (shard: string): ShardFacts => ({ shard });

Deno.test("shards of one profile, CA and signing keys are of one batch, however they are written", () => {
  const key = { type: "ec", curve: "P-256" } as const;
  const profile = { chip: "esp32c3", key, ca: "pki" } as const;
  const same = { key: { curve: "P-256" }, ca: "/mnt/pki", fill: false, chip: "esp32c3" } as const;
  assertEquals(problemsOf({ profile, ca: "a" }, {}, { profile: same, ca: "a" }), []);
  assertEquals(problemsOf({}, { ca: "a" }, { ca: "b" }, { ca: "a" }), [
    "FOREIGN_SHARD s3: its CA is not that of s2",
  ]);
  assertEquals(problemsOf({ signers: "a" }, { signers: "" }), [
    "FOREIGN_SHARD s2: its signing keys are not those of s1",
  ]);
  assertEquals(problemsOf({ labels: "true" }, {}, { labels: "false" }, { labels: "true" }), [
    "FOREIGN_SHARD s3: it has no labels, unlike those of s1",
  ]);
  assertEquals(problemsOf({ profile }, { profile: { ...same, days: 9, key: { type: "rsa" } } }), [
    "FOREIGN_SHARD s2: its profile is not that (days, key) of s1",
  ]);
  // Without days, a certificate ends with its CA.
  assertEquals(problemsOf({ profile }, { profile: { ...same, days: 3650 } }), [
    "FOREIGN_SHARD s2: its profile is not that (days) of s1",
  ]);
  assertEquals(problemsOf({ caCert: "a" }, {}, { caCert: "issuer" }), [
    "FOREIGN_SHARD s3: its devices store another CA than those of s1",
  ]);
});

Deno.test("each part of a list is there once", () => {
  assertEquals(problemsOf(part("2/2"), part("1/2"), {}), []);
  assertEquals(problemsOf(part("1/1"), part("1/1")), []);
  assertEquals(problemsOf(part("1/3"), part("3/3")), ["MISSING_SHARD of 3 parts, 2 are not there"]);
  assertEquals(problemsOf(part("1/2"), part("1/2"), part("2/2")), [
    "DUPLICATE_SHARD s2 is part 1 of 2, as s1 is",
  ]);
  assertEquals(problemsOf(part("1/2"), part("2/3"), part("1/1")), [
    "FOREIGN_SHARD s2 is part 2 of 3, s1 one of 2",
    "FOREIGN_SHARD s3 is part 1 of 1, s1 one of 2",
  ]);
  const [many] = problemsOf(part("2/999999999"));
  assertMatch(many!, /, 20, 21 and 999999978 more are not there$/);
});

Deno.test("shards are known to be whole when each says its part", () => {
  assertEquals(areWhole(shards(part("1/1"))), true);
  assertEquals(areWhole(shards(part("1/2"), {})), false);
});
