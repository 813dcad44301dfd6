import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readCsvDevices } from "../../lib/batch/list/devices.ts";
import { CliError } from "../../lib/cli/errors.ts";
import {
  collectLimited,
  MAX_INPUT,
  readLimited,
  readLimitedSync,
} from "../../lib/cli/input/limited.ts";
import { growsLinearly } from "../growth.ts";

Deno.test("a file of up to 64 MiB is read, a longer one is refused by its size", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.truncate(path, MAX_INPUT + 1);
    const message = `it has ${MAX_INPUT + 1} bytes; at most 64 MiB are read`;
    await assertRejects(() => readLimited(path), CliError, message);
    assertThrows(() => readLimitedSync(path), CliError, message);
    await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
    assertEquals(await readLimited(path), new Uint8Array([1, 2, 3]));
    assertEquals(readLimitedSync(path), new Uint8Array([1, 2, 3]));
  } finally {
    await Deno.remove(path);
  }
});

Deno.test({
  name: "a device without an end is read up to the limit",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await assertRejects(() => readLimited("/dev/zero"), CliError, "at most 64 MiB are read");
    assertThrows(() => readLimitedSync("/dev/zero"), CliError, "at most 64 MiB are read");
    assertEquals(await readLimited("/dev/null"), new Uint8Array());
  },
});

Deno.test("a stream of small pieces is put together, an endless one is ended", async () => {
  const pieces = Array.from({ length: 200_000 }, (_, at) => new Uint8Array([at & 0xFF]));
  const bytes = await collectLimited(ReadableStream.from(pieces), "input");
  assertEquals(bytes, Uint8Array.from(pieces, ([byte]) => byte!));
  let given = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      given += 0x100000;
      controller.enqueue(new Uint8Array(0x100000));
    },
  });
  await assertRejects(() => collectLimited(endless, "input"), CliError, "at most 64 MiB");
  assertEquals(given <= MAX_INPUT + 0x300000, true);
});

Deno.test("a row of a device list that goes on over many lines takes linear time", async () => {
  const work = (lines: number) => {
    const text = ["id", '"a', ...Array<string>(lines).fill("x,")];
    return async () => {
      for await (const _ of readCsvDevices(text));
    };
  };
  assertEquals(await growsLinearly(work, [1000, 16000]), true);
});
