/** verify and inspect of several images, or of a folder. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { startHelpers } from "../../lib/cli/threads/share.ts";
import type { ImageReport, ManyTask } from "../../lib/cli/many/check.ts";
import type { ImageFile } from "../../lib/cli/input/images.ts";
import { MemoryWorld } from "./memory_io.ts";

/** Three devices in a folder, one of them without its key. */
async function folder(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  for (const id of ["b", "a"]) {
    await world.run("provision", "--id", id, "-o", id);
    world.put(`d/${id}.bin`, world.bytes(`${id}/esp_secure_cert.bin`));
  }
  world.put("d/hmac_key.bin", new Uint8Array(32));
  world.put("d/.hidden.bin", new Uint8Array(32));
  world.put("d/notes.txt", "x");
  world.put("d/deeper/c.bin", new Uint8Array(32));
  return world;
}

Deno.test("several images, or a folder, get a line each, and one bad one makes the exit code 1", async () => {
  const world = await folder();
  for (const command of ["verify", "inspect"]) {
    const { code, stdout } = await world.run(command, "d");
    assertEquals(code, 0, stdout);
    const [head, ...lines] = stdout.split("\n");
    assertEquals(head!.split(/ +/), ["image", "subject", "expires", "key", "result"]);
    assertEquals(lines[0]!.split(/ +/).filter((_, at) => at !== 2), [
      "d/a.bin",
      "CN=a",
      "plaintext",
      "good",
    ]);
    assertEquals(lines[1]!.startsWith("d/b.bin  CN=b"), true);
    assertStringIncludes(stdout, "warning PLAINTEXT_KEY\n    d/a.bin, d/b.bin: the private key");
    assertStringIncludes(stdout, "2 images: good");
    world.put("bad.bin", "nothing");
    const bad = await world.run(command, "bad.bin", "d", "gone.bin");
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.stdout, "Cannot read gone.bin: no such file");
    assertStringIncludes(bad.stdout, "4 images: 2 BAD");
    const { stdout: json } = await world.run(command, "bad.bin", "d", "gone.bin", "--json");
    const { ok, images } = JSON.parse(json);
    assertEquals(ok, false);
    assertEquals(
      images.map(({ file, format, error }: Record<string, unknown>) => [file, format, !!error]),
      [
        ["bad.bin", "unknown", false],
        ["d/a.bin", "tlv", false],
        ["d/b.bin", "tlv", false],
        ["gone.bin", undefined, true],
      ],
    );
  }
});

Deno.test("a folder without images, and flags for one image", async () => {
  const world = await folder();
  world.put("empty/x.txt", "x");
  assertEquals((await world.run("verify", "empty")).code, 1);
  assertEquals((await world.run("verify", "empty", "d")).code, 1);
  for (const flag of ["--hmac-key=d/hmac_key.bin", "--offset=16"]) {
    for (const files of [["d"], ["d/a.bin", "d/b.bin"]]) {
      assertEquals((await world.run("verify", ...files, flag)).code, 2, flag);
    }
  }
  world.put("one/x.bin", world.bytes("d/a.bin"));
  const one = await world.run("verify", "one", "--hmac-key", "d/hmac_key.bin", "--json");
  assertEquals([one.code, JSON.parse(one.stdout).images.length], [0, 1]);
});

Deno.test("the folder of a batch means its images, and --expires-within finds what ends", async () => {
  const world = await folder();
  world.put("batch/manifest.ndjson", "");
  world.put("batch/images/dev.bin", world.bytes("d/a.bin"));
  const { code, stdout } = await world.run("verify", "batch", "--json");
  assertEquals([code, JSON.parse(stdout).images[0].file], [0, "batch/images/dev.bin"]);
  for (const [days, expected] of [["30", 0], ["36500", 1]] as const) {
    for (const what of ["d", "d/a.bin"]) {
      assertEquals((await world.run("verify", what, "--expires-within", days)).code, expected);
    }
  }
});

Deno.test("inspect lists certificates and keys too", async () => {
  const world = await folder();
  const { code, stdout } = await world.run(
    "inspect",
    "a/device.pem",
    "a/device.key.pem",
    "d/a.bin",
  );
  assertEquals(code, 0);
  const [, certificate, key] = stdout.split("\n");
  assertEquals(certificate!.includes("certificate  good"), true);
  assertEquals(key!.includes("private key  good"), true);
});

Deno.test("append and convert write several images into a folder, or none", async () => {
  const world = await folder();
  const images = ["d/a.bin", "d/b.bin"];
  const append = await world.run("append", ...images, "--data", "user1=string:x", "-o", "out");
  assertEquals(append.code, 0, append.stderr);
  const convert = await world.run("convert", ...images, "--to", "nvs", "-o", "nvs", "--json");
  assertEquals([convert.code, JSON.parse(convert.stdout).images.length], [0, 2]);
  for (const path of ["out/a.bin", "out/b.bin", "nvs/a.bin", "nvs/b.bin"]) {
    assertEquals((await world.run("verify", path)).code, 0, path);
  }
  world.put("e/a.bin", world.bytes("d/a.bin"));
  world.put("e/bad.bin", "nothing");
  const before = world.files.size;
  for (const command of [["convert", "--to", "nvs"], ["append", "--integrity"]]) {
    const out = ["-o", "never"];
    assertEquals((await world.run(...command, "d/a.bin", "e/a.bin", ...out)).code, 2);
    assertEquals((await world.run(...command, "d/a.bin", "-", ...out)).code, 2);
    const bad = await world.run(...command, "d/a.bin", "e/bad.bin", ...out);
    assertEquals(bad.code, 1);
    assertStringIncludes(bad.stderr, "e/bad.bin");
  }
  assertEquals(world.files.size, before);
});

Deno.test("another thread checks as this one does, and one that is gone says so", async () => {
  const image = new URL("../vectors/plain/ecp256.bin", import.meta.url).pathname;
  const thread = new URL("../../lib/cli/many/worker.ts", import.meta.url);
  const task: ManyTask = { kind: "verify", now: Date.UTC(2027, 0) };
  const helpers = await startHelpers<ManyTask, ImageFile[], ImageReport[]>(thread, task);
  // With one core there is none.
  for (const starting of helpers.each) {
    const check = await starting;
    const reports = await check?.([{ path: image }, { path: "/no/such/file" }]);
    assertEquals(reports?.map(({ json }) => "error" in json), [false, true]);
    assertEquals(reports?.[0]?.json.format, "tlv");
    helpers.end();
    assertEquals(await check?.([{ path: image }]), undefined);
  }
  helpers.end();
});

Deno.test("on a terminal the list fits its width, and elsewhere names are whole", async () => {
  const world = new MemoryWorld();
  const subject = "CN=device-0001,O=A Company with a Long Name,OU=Sensors and Actuators,C=DE";
  await world.run("provision", "--id", "a", "--subject", subject, "-o", "a");
  const path = "production/lot-2026-11/of-a-factory-far-away/device-0001.bin";
  world.put(path, world.bytes("a/esp_secure_cert.bin"));
  world.put("b.bin", world.bytes("a/esp_secure_cert.bin"));
  const piped = await world.run("verify", path, "b.bin");
  assertStringIncludes(piped.stdout, `${path}  ${subject}  `);
  world.terminal = true;
  for (const columns of [80, 120]) {
    world.columns = columns;
    for (const command of ["verify", "inspect"]) {
      const { stdout } = await world.run(command, path, "b.bin", "--color", "never");
      for (const line of stdout.split("\n")) assert([...line].length <= columns, line);
      assertMatch(stdout, /…\S*device-0001\.bin {2}CN=device-0001,.*… {2}\d{4}-/);
    }
  }
});

Deno.test("a file has its own name, whatever it is made of", async () => {
  const world = await folder();
  const path = `d/${"0123456789abcdef".repeat(2)}.bin`;
  world.put(path, world.bytes("d/a.bin"));
  for (const command of ["verify", "inspect"]) {
    const { stdout } = await world.run(command, "d", "--json");
    assertEquals(JSON.parse(stdout).images[0].file, path);
  }
});

Deno.test("what is not checked in some of the images is said once, with the flag", async () => {
  const world = await folder();
  const flags = ["--key-mode", "ecdsa-peripheral", "--chip", "esp32h2"];
  await world.run("provision", "--id", "c", ...flags, "-o", "c");
  world.put("d/c.bin", world.bytes("c/esp_secure_cert.bin"));
  world.put("d/d.bin", world.bytes("c/esp_secure_cert.bin"));
  const { code, stdout } = await world.run("verify", "d");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "not checked in 2 images: what the chip has for this key mode");
  assertStringIncludes(stdout, "give --chip");
  assert(!(await world.run("verify", "d", "--chip", "esp32h2")).stdout.includes("not checked"));
});
