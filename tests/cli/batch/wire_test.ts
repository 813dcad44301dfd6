/** Messages between the threads of `bulk`. */
import { assertEquals } from "@std/assert";
import { fromWire, toWire } from "../../../lib/cli/threads/threads.ts";

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
