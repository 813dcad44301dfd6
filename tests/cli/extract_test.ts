/** `extract` and `build --csv` on the command line. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { equalBytes } from "../../lib/bytes/pack.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { encodePartition } from "../../lib/format/partition.ts";
import { MemoryWorld } from "./memory_io.ts";

const HEADER = CONFIG_COLUMNS.join(",");

async function provisioned(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const { code, stderr } = await world.run("provision", "--id", "d", "--ca", "ca", "-o", "made");
  assertEquals(code, 0, stderr);
  return world;
}

Deno.test("an extracted image is built again, byte for byte", async () => {
  const world = await provisioned();
  const image = world.bytes("made/esp_secure_cert.bin");
  const out = await world.run("extract", "made/esp_secure_cert.bin", "-o", "out", "--json");
  assertEquals(out.code, 0, out.stderr);
  const { csv, files } = JSON.parse(out.stdout);
  assertEquals(csv, "out/esp_secure_cert.csv");
  assertEquals(files, [
    "out/esp_secure_cert.csv",
    "out/contents/cacert_0_0.pem",
    "out/contents/devcert_1_0.pem",
    "out/contents/privkey_2_0.pem",
  ]);
  assertEquals(world.files.get("out/contents/privkey_2_0.pem")?.secret, true);
  assertEquals(
    new TextDecoder().decode(world.bytes("out/contents/devcert_1_0.pem")).endsWith("\n"),
    true,
  );
  const built = await world.run("build", "--csv", csv, "-o", "again.bin");
  assertEquals(built.code, 0, built.stderr);
  assertStringIncludes(built.stderr, "the very one that was extracted");
  assert(equalBytes(world.bytes("again.bin"), image));
});

Deno.test("extract warns of a CSV with a value that the device refuses", async () => {
  const world = await provisioned();
  world.put("bad.bin", encodePartition([{ type: 0, data: new Uint8Array([0x30, 0]) }]));
  const out = await world.run("extract", "bad.bin", "-o", "out");
  assertEquals(out.code, 0, out.stderr);
  assertStringIncludes(out.stderr, "warning: build --csv refuses out/esp_secure_cert.csv");
  assertStringIncludes(
    out.stderr,
    "line 3:31: data_value: the device refuses the CA certificate: ",
  );
  const line = "build --csv out/esp_secure_cert.csv";
  assertStringIncludes(out.stderr, `${line} --no-verify`);
  const refused = await world.run(...line.split(" "), "-o", "again.bin");
  assertEquals([refused.code, world.files.has("again.bin")], [1, false]);
  assertStringIncludes(refused.stderr, "line 3:31: data_value: the device refuses");
  assertStringIncludes(refused.stderr, "store it anyway with --no-verify");
  const built = await world.run(...line.split(" "), "--no-verify", "-o", "again.bin");
  assertEquals(built.code, 0, built.stderr);
  assert(equalBytes(world.bytes("again.bin"), world.bytes("bad.bin")));
});

Deno.test("an extracted folder is not replaced without --force", async () => {
  const world = await provisioned();
  const line = ["extract", "made/esp_secure_cert.bin", "-o", "out"];
  assertEquals((await world.run(...line)).code, 0);
  assertEquals((await world.run(...line)).code, 1);
  assertEquals((await world.run(...line, "--force")).code, 0);
  assertEquals((await world.run("extract", "made/device.pem", "-o", "no")).code, 1);
  assertEquals([...world.files.keys()].some((name) => name.startsWith("no/")), false);
});

Deno.test("files of a CSV are next to it, else in the working folder", async () => {
  const world = new MemoryWorld();
  world.put("f/in.csv", `${HEADER}\n51,0,a.bin,file,,,,,\n52,0,b.bin,file,,,,,\n`);
  world.put("f/a.bin", "beside");
  world.put("a.bin", "not this one");
  world.put("b.bin", "working folder");
  const { code, stderr } = await world.run("build", "--csv", "f/in.csv", "-o", "i.bin");
  assertEquals(code, 0, stderr);
  const text = new TextDecoder().decode(world.bytes("i.bin"));
  assertStringIncludes(text, "beside");
  assertStringIncludes(text, "working folder");
});

Deno.test("all problems of a CSV are listed, and nothing is written", async () => {
  const world = new MemoryWorld();
  world.put("in.csv", `${HEADER}\n51,0,a.bin,file,,,,,\n51,0,x,text,,,,,\n254,0,a,string,,,,,\n`);
  const { code, stderr } = await world.run("build", "--csv", "in.csv", "-o", "i.bin");
  assertEquals([code, world.files.has("i.bin")], [1, false]);
  for (const place of ["line 2:6:", "line 3:1:", "line 3:8:", "line 4:1:"]) {
    assertStringIncludes(stderr, place);
  }
  const json = await world.run("build", "--csv", "in.csv", "-o", "i.bin", "--json");
  assertEquals(JSON.parse(json.stdout).error.code, "ERR_CSV");
});

Deno.test("--data follows the rows; flags that the rows replace do not go with --csv", async () => {
  const world = new MemoryWorld();
  world.put("in.csv", `${HEADER}\n51,0,a,string,,,,,\n`);
  const line = ["build", "--csv", "in.csv", "-o", "i.bin"];
  assertEquals((await world.run(...line, "--data", "user2=string:b", "--no-integrity")).code, 0);
  const text = new TextEncoder();
  assertEquals(
    world.bytes("i.bin"),
    encodePartition([
      { type: 51, data: text.encode("a") },
      { type: 52, data: text.encode("b") },
    ]),
  );
  assertEquals((await world.run(...line, "--private-key", "k.pem")).code, 2);
});
