/** `bulk merge` and `bulk export` as processes that are cut off: out of disk, or by a signal. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { LINUX, needing, PROCESSES } from "../../needs.ts";
import {
  cli,
  cliOutOfDisk,
  command,
  exists,
  inFolder,
  names,
  outOfDisk,
  seen,
  start,
} from "./process.ts";

outOfDisk.test("out of disk, a merge and an export leave nothing, and an earlier merge stays", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "200", "--workers", "1"];
    for (const part of ["1", "2"]) {
      const made = await cli([...line, "--shard", `${part}/2`, "-o", `s${part}`], folder);
      assertEquals(made.code, 0, made.stderr);
    }
    const merge = ["bulk", "merge", "s1", "s2", "-o", "whole", "--copy"];
    // Enough for the files of devices, and not for the manifests.
    const kilobytes = Math.ceil(Deno.statSync(`${folder}/s1/manifest.ndjson`).size / 1024);
    const failed = await cliOutOfDisk(merge, folder, kilobytes);
    assertEquals(failed.code, 1, failed.stderr);
    assertStringIncludes(failed.stderr, "error: Cannot write whole/");
    assertEquals(failed.stderr.includes("    at "), false, failed.stderr);
    assertEquals(names(folder), ["ca", "s1", "s2"]);
    assertEquals((await cli(merge, folder)).code, 0);
    const before = names(`${folder}/whole`);
    assertEquals((await cliOutOfDisk([...merge, "--force"], folder, kilobytes)).code, 1);
    assertEquals([names(`${folder}/whole`), names(`${folder}/whole/.merge`)], [before, []]);
    assertEquals((await cli(["bulk", "verify", "whole"], folder)).code, 0);
    const exported = ["bulk", "export", "whole", "--to", "csv", "-o", "out"];
    const half = await cliOutOfDisk(exported, folder, 40);
    assertEquals(half.code, 1, half.stderr);
    assertEquals(names(folder), ["ca", "s1", "s2", "whole"]);
  });
});

needing(PROCESSES, LINUX).test("SIGTERM ends a merge, which leaves nothing", async () => {
  await inFolder(async (folder) => {
    const made = await cli(["bulk", "--count", "1000", "-o", "s1"], folder);
    assertEquals(made.code, 0, made.stderr);
    const running = start(command(["bulk", "merge", "s1", "-o", "whole", "--copy"], folder));
    assertEquals(await seen(running, () => exists(`${folder}/whole/.merge/images`)), true);
    running.kill("SIGTERM");
    const { code, stderr } = await running.outcome;
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "error: stopped; whole is as it was\n");
    assertEquals(names(folder), ["ca", "s1"]);
  });
});
