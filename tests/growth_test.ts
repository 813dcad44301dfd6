import { assertEquals } from "@std/assert";
import { growsLinearly } from "./growth.ts";

/** Work whose steps are a power of its size. */
const steps = (power: number) => (size: number) => () => {
  let sum = 0;
  for (let step = size ** power; step > 0; step--) sum += step;
  return sum;
};

Deno.test("growth distinguishes linear work from quadratic", async () => {
  assertEquals(await growsLinearly(steps(1), [100_000, 1_600_000]), true);
  assertEquals(await growsLinearly(steps(2), [300, 4800]), false);
});
