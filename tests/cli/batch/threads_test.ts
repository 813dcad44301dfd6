/** Threads of `bulk`: those that cannot do what they are asked, and those that end. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import type { BulkResult } from "../../../lib/batch/mod.ts";
import { Worker } from "../../../lib/cli/threads/deps.ts";
import {
  type FromWorker,
  packError,
  type ToWorker,
  type WorkerStart,
} from "../../../lib/cli/batch/threads/messages.ts";
import { openThread, type ThreadPort } from "../../../lib/cli/batch/threads/pool.ts";
import { fromWire, startThread, toWire, type Wire } from "../../../lib/cli/threads/threads.ts";
import { CliError } from "../../../lib/cli/errors.ts";

const START: WorkerStart = {
  kind: "start",
  number: 0,
  folder: "batch",
  profile: {},
  phase: "all",
  labels: false,
  signingKeys: [],
  syncs: false,
  resumes: false,
  asks: false,
};

/** A thread that does what a test says. */
function fakeThread(answer: (message: ToWorker, tell: (message: FromWorker) => void) => void) {
  const listeners = new Map<string, (value: never) => void>();
  const emit = (event: string, value?: unknown) => listeners.get(event)?.(value as never);
  const port: ThreadPort = {
    postMessage: (wire) =>
      answer(
        fromWire<ToWorker>(wire as Wire<ToWorker>),
        (message) => emit("message", toWire(message)),
      ),
    on: (event: string, listener: (value: never) => void) => void listeners.set(event, listener),
    terminate: () => emit("exit"),
  };
  return { port, emit };
}

const lostWith = async (promise: Promise<unknown>, text: string) => {
  const error = await assertRejects(() => promise, CliError);
  assertStringIncludes(error.message, `a thread that makes devices ended: ${text}`);
  assertStringIncludes(error.hint!, "run bulk again with the same flags");
};

Deno.test("a thread that does not answer ends its calls, one that is busy does not", async () => {
  const results: readonly BulkResult[] = [];
  let asked = 0;
  const busy = fakeThread((message, tell) => {
    if (message.kind === "start") tell({ kind: "ready" });
    if (message.kind !== "ping") return;
    // It is asked more often than a silent thread would be.
    if (++asked < 40) tell({ kind: "pong" });
    else tell({ kind: "made", call: 0, results: JSON.stringify(results) });
  });
  const thread = openThread(busy.port, START, { pingMs: 1 });
  assertEquals(await thread.make([]), results);
  assertEquals([thread.isReady, thread.underWay, thread.lost], [true, 0, undefined]);
  thread.end();
  const silent = fakeThread((message, tell) => {
    if (message.kind === "start") tell({ kind: "ready" });
  });
  const gone = openThread(silent.port, START, { pingMs: 1 });
  assertEquals(gone.isReady, true);
  const calls = [gone.make([]), gone.make([])];
  await Promise.all(calls.map((call) => lostWith(call, "it does not answer")));
  assertEquals([gone.isReady, gone.underWay, gone.lost instanceof CliError], [false, 0, true]);
  gone.end();
});

Deno.test("a thread that ends says why, or that it did without an error", async () => {
  for (
    const [event, value, text] of [
      ["exit", 1, "without an error"],
      ["error", new Error("JS heap out of memory\n  at x"), "JS heap out of memory"],
      ["error", "nothing", "nothing"],
    ] as const
  ) {
    const { port, emit } = fakeThread((message, tell) => {
      if (message.kind === "start") tell({ kind: "ready" });
    });
    const thread = openThread(port, START);
    const call = thread.make([]);
    emit(event, value);
    await lostWith(call, text);
    assertStringIncludes((thread.lost as CliError).message, text);
    thread.end();
  }
});

Deno.test("a thread that cannot begin, or ends before it does, says why", async () => {
  const error = new SecureCertError("ERR_KEY", "not a key");
  const unfit = fakeThread((message, tell) => {
    if (message.kind === "start") tell({ kind: "unfit", error: packError(error) });
  });
  const thread = openThread(unfit.port, START);
  await thread.opened;
  assertEquals(thread.isReady, false);
  assertEquals(packError(thread.lost), packError(error));
  thread.end();
  const { port, emit } = fakeThread(() => {});
  const gone = openThread(port, START);
  emit("exit");
  await gone.opened;
  assertEquals([gone.isReady, gone.lost instanceof CliError], [false, true]);
  gone.end();
  const silent = openThread(fakeThread(() => {}).port, START, { pingMs: 1 });
  await silent.opened;
  assertStringIncludes((silent.lost as CliError).message, "it does not answer");
  silent.end();
});

/** A thread that is there, and ends in some way when it is given work. */
const moduleOf = (end: string) =>
  new URL(
    "data:text/javascript," + encodeURIComponent(
      `import { parentPort } from "node:worker_threads";
      import process from "node:process";
      parentPort.on("message", async ({ kind }) => {
        if (kind === "start") parentPort.postMessage({ kind: "ready" });
        if (kind !== "make") return;
        await crypto.subtle.digest("SHA-256", new Uint8Array(1));
        ${end}
      });`,
    ),
  );

for (
  const [name, end] of [
    ["its heap is full", "const all = []; for (;;) all.push(new Array(1000).fill(Math.random()));"],
    ["it leaves", "process.exit(3);"],
    ["it throws", "throw new Error('x');"],
  ] as const
) {
  Deno.test(`a real thread ends: ${name}`, async () => {
    const limits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 };
    const worker = new Worker(moduleOf(end), { resourceLimits: limits, env: {} });
    const thread = openThread(worker, START, { pingMs: 100 });
    const isReady = Promise.withResolvers<void>();
    worker.on("message", () => isReady.resolve());
    await isReady.promise;
    await lostWith(thread.make([]), "");
    thread.end();
    await worker.terminate();
  });
}

Deno.test("a thread that cannot begin says why, answers calls all the same, and lives on", async () => {
  const worker = startThread(
    new URL("../../../lib/cli/batch/threads/worker.ts", import.meta.url),
    "bulk",
  );
  const send = (message: ToWorker) => worker.postMessage(toWire(message));
  const answer = async (...messages: readonly ToWorker[]) => {
    const received = Promise.withResolvers<FromWorker>();
    worker.once("message", (wire) => received.resolve(fromWire<FromWorker>(wire)));
    worker.once("error", received.reject);
    messages.forEach(send);
    return await received.promise;
  };
  const start = { ...START, folder: "nowhere", profile: { signingKeys: ["missing"] } };
  const unfit = await answer(start);
  const failed = await answer({ kind: "make", call: 7, jobs: [] });
  const alive = await answer({ kind: "ping" });
  await worker.terminate();
  const error = {
    kind: "input",
    code: "ERR_PLAN",
    message: "the profile names 1 signing key, there are 0 signers",
  } as const;
  assertEquals(unfit, { kind: "unfit", error });
  assertEquals(failed, { kind: "failed", call: 7, error });
  assertEquals(alive, { kind: "pong" });
});
