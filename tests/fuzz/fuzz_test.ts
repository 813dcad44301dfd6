import { assertEquals } from "@std/assert";
import { fuzz } from "./fuzz.ts";
import { readSeeds } from "./seeds.ts";
import { targets } from "./targets.ts";

/** `deno task fuzz` gives each of them 100,000. */
const COUNT = 40;
const SEED = 1;

Deno.test("any bytes end in a value or a SecureCertError, in every decoder and verb", async () => {
  for (const target of targets(await readSeeds())) {
    const { failures } = await fuzz(target, { seed: SEED, count: COUNT });
    assertEquals(failures.map(({ problem, index }) => `${target.name} ${index}: ${problem}`), []);
  }
});
