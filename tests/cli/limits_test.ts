import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { readCsvDevices } from "../../lib/batch/list/devices.ts";
import { CliError } from "../../lib/cli/errors.ts";
import {
  collectLimited,
  MAX_INPUT,
  readLimited,
  readPlain,
  readPlainSync,
} from "../../lib/cli/input/limited.ts";
import { denoIo } from "../../lib/cli/io.ts";
import { besideLoad, csvLoad } from "../../lib/cli/input/files.ts";
import { readLines } from "../../lib/cli/batch/folder/batch.ts";
import { growsLinearly } from "../growth.ts";

Deno.test("a file of up to 64 MiB is read, a longer one is refused by its size", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.truncate(path, MAX_INPUT + 1);
    const message = `it has ${MAX_INPUT + 1} bytes; at most 64 MiB are read`;
    await assertRejects(() => readLimited(path), CliError, message);
    assertThrows(() => readPlainSync(path), CliError, message);
    await Deno.writeFile(path, new Uint8Array([1, 2, 3]));
    assertEquals(await readLimited(path), new Uint8Array([1, 2, 3]));
    assertEquals(readPlainSync(path), new Uint8Array([1, 2, 3]));
  } finally {
    await Deno.remove(path);
  }
});

Deno.test({
  name: "a device without an end is read up to the limit",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await assertRejects(() => readLimited("/dev/zero"), CliError, "at most 64 MiB are read");
    assertEquals(await readLimited("/dev/null"), new Uint8Array());
  },
});

Deno.test({
  name: "a device or a pipe that another file names is refused before it is opened",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    for (const path of ["/dev/zero", "/dev/urandom", "/dev/null"]) {
      const message = `Cannot read ${path}: it is a device or a pipe, not a file`;
      assertThrows(() => readPlainSync(path), CliError, message);
      await assertRejects(() => readPlain(path), CliError, message);
      await assertRejects(() => denoIo().readIfExists(path), CliError, message);
    }
    assertEquals(await denoIo().readIfExists("no such file"), undefined);
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

Deno.test("what one file names has 64 MiB together, and is read once", async () => {
  const read: string[] = [];
  const half = new Uint8Array(MAX_INPUT / 2);
  const io = {
    ...denoIo(),
    readIfExists: (path: string) => {
      read.push(path);
      return Promise.resolve(path.endsWith("gone") ? undefined : half);
    },
  };
  for (const load of [csvLoad("folder/a.csv", io), besideLoad("folder/a.json", io)]) {
    read.length = 0;
    await load("1");
    await load("1");
    await load("2");
    await assertRejects(() => load("3"), CliError, "more than 64 MiB together");
    await assertRejects(() => load("4"), CliError, "Cannot read");
    assertEquals(read, ["folder/1", "folder/2", "folder/3"]);
  }
  const load = besideLoad("folder/a.json", io);
  await assertRejects(() => load("gone"), CliError, "Cannot read folder/gone: no such file");
});

Deno.test("a line without an end is refused, and long lines take linear time", async () => {
  const path = await Deno.makeTempFile();
  const work = (length: number) => {
    const text = "x".repeat(length);
    return async () => {
      await Deno.writeTextFile(path, text);
      for await (const line of readLines(path)) assertEquals(line.length, length);
    };
  };
  try {
    assertEquals(await growsLinearly(work, [0x20000, 0x400000]), true);
    await Deno.writeTextFile(path, "a\n\nb\nc");
    assertEquals(await Array.fromAsync(readLines(path)), ["a", "", "b", "c"]);
    await Deno.writeTextFile(path, "x".repeat(0x500000));
    await assertRejects(() => Array.fromAsync(readLines(path)), CliError, "a line of over 4 MiB");
  } finally {
    await Deno.remove(path);
  }
});
