/** What a batch or the disk refuses works when it is done as the hint says. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { needing, PROCESSES } from "../../needs.ts";
import { deno } from "../../process.ts";
import { cli, inFolder, type Outcome } from "./batch.ts";

/** Runs lines in a folder: `@` before a path is replaced by the folder. */
function runner(folder: string): (line: string) => Promise<Outcome> {
  return (line) => cli(...line.split(" ").map((word) => word.replace(/^@/, `${folder}/`)));
}

async function done(run: (line: string) => Promise<Outcome>, ...lines: string[]): Promise<Outcome> {
  let outcome: Outcome | undefined;
  for (const line of lines) {
    outcome = await run(line);
    assertEquals(outcome.code, 0, `${line}: ${outcome.stdout}${outcome.stderr}`);
  }
  return outcome!;
}

/** What a line prints when it fails. */
async function refused(run: (line: string) => Promise<Outcome>, line: string): Promise<string> {
  const { code, stdout, stderr } = await run(line);
  assertEquals(code === 0, false, line);
  return stdout + stderr;
}

Deno.test("a batch whose certificates come from elsewhere goes on as each command says", async () => {
  await inFolder(async (folder) => {
    const run = runner(folder);
    await done(run, "ca --subject CN=Root -o @ca");
    const begun = await done(run, "bulk --count 2 --csr -o @b");
    const [, flags] = /run again with (--certificates DIR --ca DIR)$/m.exec(begun.stderr) ?? [];
    assert(flags !== undefined, begun.stderr);
    const status = await done(run, "bulk status @b");
    assertStringIncludes(status.stdout, "run bulk again with --certificates DIR");
    const early = await refused(run, "bulk export @b --to csv -o @list");
    assertStringIncludes(early, "hint: run bulk again with --certificates DIR");
    assertEquals(early.includes("--partial"), false);
    const ca = "--ca @ca/ca.pem --ca-key @ca/ca.key.pem";
    await Deno.mkdir(`${folder}/issued`);
    await done(run, `issue --csr @b/csr/dev-000001.csr ${ca} -o @issued/1.pem`);
    const again = `bulk --count 2 ${flags!.replace("DIR", "@issued").replace("DIR", "@ca")} -o @b`;
    const half = await refused(run, again);
    assertStringIncludes(half, "1 have no certificate yet; continue with --certificates DIR");
    assertStringIncludes(await refused(run, "bulk export @b --to csv -o @list"), "give --partial");
    await done(run, "bulk export @b --to csv --partial -o @list");
    await done(run, `issue --csr @b/csr/dev-000002.csr ${ca} -o @issued/2.pem`, again);
    assertStringIncludes(await refused(run, "bulk export @b --to csv -o @list"), "give --force");
    await done(run, "bulk export @b --to csv --force -o @list");
  });
});

Deno.test("shards that were made as the hints say are one batch in the end", async () => {
  await inFolder(async (folder) => {
    const run = runner(folder);
    const shard = (n: number) => `bulk --count 2 --shard ${n}/2 --ca @ca --workers 1 -o @s${n}`;
    assertStringIncludes(await refused(run, shard(1)), "hint: make it first, with the ca command");
    await done(run, "ca --subject CN=Root -o @ca", shard(1), shard(2));
    const merged = await done(run, "bulk merge @s1 @s2 -o @whole");
    const [, next] = /^next: (.*)$/m.exec(merged.stderr) ?? [];
    await done(run, next!);
    const lost = await refused(run, "bulk status @whole");
    assertStringIncludes(lost, "a merged batch has none, and bulk verify checks it");
    const taken = await refused(run, "bulk merge @s1 @s2 -o @whole");
    const [, hint] = /^hint: (.*)$/m.exec(taken) ?? [];
    assertEquals(hint, "give --force to replace what a merge made there");
    await done(run, "bulk merge @s1 @s2 --force -o @whole");
  });
});

Deno.test("devices that failed are made with --retry-failed, and bulk status says why", async () => {
  await inFolder(async (folder) => {
    const run = runner(folder);
    await done(run, "ca --subject CN=Root -o @ca");
    await Deno.mkdir(`${folder}/keys`);
    await done(run, "keygen -o @keys/dev-000001.pem");
    const line = "bulk --count 2 --ca @ca --keys @keys --workers 1 -o @b";
    const first = await refused(run, line);
    assertStringIncludes(first, "1 failed; run again with --retry-failed to try them again");
    const status = await run("bulk status @b");
    assertStringIncludes(status.stdout, "dev-000002: ");
    await done(run, "keygen -o @keys/dev-000002.pem", `${line} --retry-failed`);
    const second = await refused(run, `${line} --subject CN=other`);
    assertStringIncludes(second, "give what the first run had, or another folder");
    await done(
      run,
      line,
      `${line} --subject CN=other-{id}`.replace("@b", "@c").replace("--keys @keys ", ""),
    );
  });
});

Deno.test("what is there is replaced with the flag that the hint names", async () => {
  await inFolder(async (folder) => {
    const run = runner(folder);
    await done(run, "provision --id a --ca @ca -o @d", "provision --id b --ca @ca -o @e");
    const cases = [
      ["keygen -o @d/device.key.pem", "--force-key"],
      ["csr --key @d/device.key.pem --subject CN=x -o @n.csr", "--force"],
      ["extract @d/esp_secure_cert.bin -o @pieces", "--force"],
      ["extract @e/esp_secure_cert.bin -o @pieces", "--force-key"],
      [
        "encrypt @d/esp_secure_cert.bin --chip esp32c3 --address 0 --new-key @k.bin -o @n.enc",
        "--key @k.bin",
      ],
    ] as const;
    for (const [line, flag] of cases) {
      await run(line);
      const text = await refused(run, line);
      const [, named] = /^hint: .*?give (--[a-z-]+)/m.exec(text) ?? [];
      assertEquals(named, flag.split(" ")[0], text);
      const fixed = flag.includes(" ")
        ? line.replace("--new-key @k.bin", `${flag} --force`)
        : `${line} ${flag}`;
      await done(run, fixed);
    }
  });
});

needing(PROCESSES).test("a permission that is missing is named as Deno takes it", async () => {
  await inFolder(async (folder) => {
    await done(runner(folder), "keygen -o @key.pem");
    const script = new URL("../../../cli.ts", import.meta.url).href;
    const lines = [
      ["inspect", "key.pem"],
      ["keygen", "-o", "new.pem"],
      ["csr", "--key", "key.pem", "--subject", "CN=x", "-o", "n.csr"],
      ["provision", "--id", "a", "-o", "d"],
    ];
    for (const line of lines) {
      const given: string[] = [];
      for (;;) {
        const { code, stderr } = await deno(
          ["run", "--no-prompt", ...given, script, ...line],
          folder,
        );
        if (code === 0) break;
        const [, flag, name] = /^hint: add (--allow-(?:read|write)(?:=(\S+))?)/m.exec(stderr) ?? [];
        assert(flag !== undefined && given.length < 12, `${line.join(" ")} ${given}: ${stderr}`);
        // A file for a secret is not named.
        given.push(name === undefined ? `${flag}=key.pem` : flag!);
      }
    }
  });
});
