/** Messages between the threads of `bulk`. */
import { assertEquals } from "@std/assert";
import { fromWire, toWire } from "../../../lib/cli/batch/threads/wire.ts";
import type { FromWorker, ToWorker } from "../../../lib/cli/batch/threads/messages.ts";
import { startThread } from "../../../lib/cli/batch/threads/threads.ts";

Deno.test("a message comes out of the wire as it went in, and has no array of bytes in it", () => {
  const part = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
  const message = {
    kind: "made",
    none: null,
    nothing: undefined,
    results: [{ row: { serial: "01", efuseKeyId: 4 }, files: [{ path: "a", bytes: part }] }],
  };
  const wire = toWire(message);
  const { bytes } = wire.results[0]!.files[0]!;
  assertEquals(bytes instanceof ArrayBuffer && bytes.byteLength, 2);
  const back = fromWire<typeof message>(structuredClone(wire));
  assertEquals(back, {
    ...message,
    results: [{ ...message.results[0]!, files: back.results[0]!.files }],
  });
  assertEquals(back.results[0]!.files[0], { path: "a", bytes: new Uint8Array([2, 3]) });
});

Deno.test("a thread answers a call that it cannot do, and lives on", async () => {
  const received = Promise.withResolvers<FromWorker>();
  const start = {
    kind: "start",
    number: 0,
    folder: "nowhere",
    profile: { signingKeys: ["missing"] },
    phase: "all",
    labels: false,
    signingKeys: [],
    syncs: false,
    resumes: false,
    asks: false,
  } as const;
  const worker = startThread(
    new URL("../../../lib/cli/batch/threads/worker.ts", import.meta.url),
    "bulk",
  );
  worker.on("message", (wire) => received.resolve(fromWire<FromWorker>(wire)));
  worker.on("error", received.reject);
  const send = (message: ToWorker) => worker.postMessage(toWire(message));
  send(start);
  send({ kind: "make", call: 7, jobs: [] });
  const message = await received.promise;
  await worker.terminate();
  assertEquals(message.kind === "failed" && [message.call, message.error], [7, {
    kind: "input",
    code: "ERR_PLAN",
    message: "the profile names 1 signing keys, there are 0 signers",
  }]);
});
