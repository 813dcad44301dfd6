/**
 * Gives every decoder and verb inputs with random faults, and reports what ends in anything but a value
 * or a SecureCertError.
 *
 *     deno task fuzz [--seed N] [--count N] [--only NAME] [--input N]
 */
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { readSeeds } from "./seeds.ts";
import { targets } from "./targets.ts";

const STANDARD_COUNT = 100_000;

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    seed: { type: "string" },
    count: { type: "string" },
    only: { type: "string" },
    input: { type: "string" },
  },
});
const seed = Number(flags.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const from = Number(flags.input ?? 0);
const count = flags.input === undefined ? Number(flags.count ?? STANDARD_COUNT) : 1;
console.log(`seed ${seed}, ${count} inputs each`);
let failed = false;
for (const target of targets(await readSeeds())) {
  if (flags.only !== undefined && !target.name.startsWith(flags.only)) continue;
  const { failures, read, slowest } = await fuzz(target, { seed, count, from });
  const memory = Math.round(Deno.memoryUsage().rss / 2 ** 20);
  console.log(
    `${target.name}: ${read} of ${count} read, slowest ${
      slowest.toFixed(0)
    } ms, ${memory} MB in use`,
  );
  for (const { index, problem, input } of failures) {
    failed = true;
    console.log(`  --only "${target.name}" --seed ${seed} --input ${index}: ${problem}`);
    console.log(`  ${input.toBase64().slice(0, 4000)}`);
  }
}
if (failed) Deno.exit(1);
