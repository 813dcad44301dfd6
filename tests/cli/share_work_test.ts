/** Work that several threads share. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Helper, inGroups, shareWork } from "../../lib/cli/threads/share.ts";

const numbers = Array.from({ length: 40 }, (_, at) => at);

/** Helpers that are functions of this thread. */
function helpersOf(...each: readonly Helper<number, string>[]) {
  let isEnded = false;
  return {
    helpers: { each: each.map((one) => Promise.resolve(one)), end: () => void (isEnded = true) },
    isEnded: () => isEnded,
  };
}

/** Gives way to others so many times. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

Deno.test("answers come in the order of the work, regardless of who is quicker", async () => {
  const by = { here: 0, there: 0 };
  const { helpers, isEnded } = helpersOf(async (work) => {
    by.there++;
    await turns(work % 7);
    return `${work}`;
  });
  const here = async (work: number) => {
    by.here++;
    await turns(10 - work % 5);
    return `${work}`;
  };
  const answers: (readonly [number, string])[] = [];
  for await (const each of shareWork(numbers, { here, helpers })) answers.push(each);
  assertEquals(answers, numbers.map((each) => [each, `${each}`] as const));
  assert(by.here > 0 && by.there > 0);
  assert(isEnded());
});

Deno.test("what a thread has not done that has ended is done here", async () => {
  let asked = 0;
  const { helpers } = helpersOf(async () => {
    await turns(1);
    return asked++ < 3 ? "there" : undefined;
  });
  const here = async () => {
    await turns(3);
    return "here";
  };
  const answers: string[] = [];
  for await (const [, answer] of shareWork(numbers, { here, helpers })) answers.push(answer);
  assertEquals(answers.length, numbers.length);
  assertEquals(answers.filter((each) => each === "there").length, 3);
});

Deno.test("a thread is not given what only this one can do", async () => {
  const { helpers } = helpersOf((work) => {
    assert(work % 3 !== 0, `${work} went to the thread`);
    return Promise.resolve("there");
  });
  const here = () => Promise.resolve("here");
  const isOwn = (work: number) => work % 3 === 0;
  for await (const [work, answer] of shareWork(numbers, { here, helpers, isOwn })) {
    if (isOwn(work)) assertEquals(answer, "here");
  }
});

Deno.test("an error is thrown when nothing is under way any more", async () => {
  let underWay = 0;
  const doer = async (work: number) => {
    underWay++;
    await turns(work === 5 ? 1 : 20);
    underWay--;
    if (work === 5) throw new Error("work 5");
    return "";
  };
  const { helpers, isEnded } = helpersOf(doer, doer);
  const answers: number[] = [];
  await assertRejects(
    async () => {
      for await (const [work] of shareWork(numbers, { here: doer, helpers })) answers.push(work);
    },
    Error,
    "work 5",
  );
  assertEquals([answers, underWay, isEnded()], [[0, 1, 2, 3, 4], 0, true]);
});

Deno.test("work is not taken far ahead of the answers", async () => {
  let taken = 0;
  function* all() {
    for (; taken < 1000; taken++) yield taken;
  }
  let given = 0;
  for await (const [work] of shareWork(all(), { here: () => Promise.resolve(0) })) {
    assertEquals(work, given++);
    assert(taken - given < 5, `${taken} taken, ${given} answered`);
  }
  assertEquals(given, 1000);
});

Deno.test("groups have the size that was asked for, but the last", async () => {
  const groups = await Array.fromAsync(inGroups([1, 2, 3, 4, 5], 2));
  assertEquals(groups, [[1, 2], [3, 4], [5]]);
});
