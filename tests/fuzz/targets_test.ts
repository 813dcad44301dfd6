import { assertEquals } from "@std/assert";
import * as batch from "../../lib/batch/mod.ts";
import * as toolkit from "../../mod.ts";
import { readSeeds } from "./seeds.ts";
import { targets } from "./targets.ts";

/** Exported functions that are given nothing that others wrote. */
const WITHOUT_TARGET: Readonly<Record<string, string>> = {
  bulk: "takes what its readers made of a list, a profile and files",
  bulkProfileSchema: "takes nothing",
  createCa: "takes names of its caller, as createRequest does",
  createDevelopmentCa: "takes nothing of others",
  encryptDsParameters: "takes a key that was read",
  exportAws: "makes an exporter",
  exportAzure: "makes an exporter",
  exportCsv: "makes an exporter",
  exportRainmaker: "makes an exporter",
  generateKey: "takes nothing",
  keyModesOf: "takes an entry of a table",
  keyName: "takes a key that was read",
  memoryBatch: "takes nothing",
  tlvSize: "takes a number",
};

/** Formatters and encoders are the second half of the targets of their decoders and readers. */
const SECOND_HALF = /^(encode|format|export|report)/;

Deno.test("every exported function that is given bytes or text of others has a target", async () => {
  const names = new Set(
    targets(await readSeeds()).map(({ name }) => name.split(" ")[0]!),
  );
  const exported = Object.entries({ ...toolkit, ...batch })
    .filter(([name, value]) => typeof value === "function" && /^[a-z]/.test(name))
    .map(([name]) => name);
  const missing = exported.filter((name) =>
    !names.has(name) && !SECOND_HALF.test(name) && !(name in WITHOUT_TARGET)
  );
  assertEquals(missing, [], "a target in tests/fuzz, or a reason why it needs none");
  const stale = Object.keys(WITHOUT_TARGET).filter((name) =>
    names.has(name) || !exported.includes(name)
  );
  assertEquals(stale, []);
});

Deno.test("the names of targets are those by which `--only` finds them", async () => {
  const names = targets(await readSeeds()).map(({ name }) => name);
  assertEquals(names.length, new Set(names).size);
});
