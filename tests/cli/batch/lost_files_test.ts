/** `bulk merge` refuses a shard whose files it cannot bring along. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { bulkIn, cli, codesOf, copyFolder, flip, inFolder, swap } from "./batch.ts";
import { needing, NOT_ROOT, POSIX } from "../../needs.ts";

const filesIn = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
const FLAGS = ["--count", "3", "--id-template", "d{n}", "--chip", "esp32c3", "--labels"];

Deno.test("each file that is missing, empty or another's is reported, and nothing is written", async () => {
  await inFolder(async (folder) => {
    const good = await bulkIn(folder, "good", ...FLAGS, "--key-mode", "hmac-derived");
    const names = ["images", "certificates", "secret", "efuse", "labels"].flatMap((inside) =>
      filesIn(`${good}/${inside}`).filter((name) => name.startsWith("d2.")).map((name) =>
        `${inside}/${name}`
      )
    );
    assertEquals(names.length, 7);
    const batch = `${folder}/b`;
    const mergeOf = async (change: (path: string) => void | Promise<void>, path: string) => {
      await copyFolder(good, batch);
      await change(`${batch}/${path}`);
      const { code, stdout } = await cli("bulk", "merge", batch, "-o", `${folder}/w`);
      await Deno.remove(batch, { recursive: true });
      assertEquals([code, filesIn(folder)], [1, ["ca", "ca.pem", "good"]], path);
      assertStringIncludes(stdout, path);
      assertStringIncludes(stdout, " d2: ");
      return stdout;
    };
    for (const name of names) {
      assertStringIncludes(await mergeOf(Deno.removeSync, name), "MISSING_FILE");
      const empty = await mergeOf((path) => Deno.truncateSync(path), name);
      assertStringIncludes(empty, "is empty");
      const folderInPlace = await mergeOf((path) => {
        Deno.removeSync(path);
        Deno.mkdirSync(path);
      }, name);
      assertStringIncludes(folderInPlace, `MISSING_FILE d2: Cannot read ${batch}/${name}: it is a`);
      assertStringIncludes(folderInPlace, "\n1 wrong: 1 MISSING_FILE");
    }
    const [image, certificate] = ["images/d2.bin", "certificates/d2.pem"];
    assertStringIncludes(await mergeOf((path) => flip(path, 100), image), "WRONG_IMAGE");
    const swapped = (path: string) => swap(path, path.replace("/d2.", "/d1."));
    assertStringIncludes(await mergeOf(swapped, image), "WRONG_IMAGE");
    assertStringIncludes(await mergeOf(swapped, certificate), "WRONG_CERTIFICATE");
    const key = "secret/d2.key.pem";
    assertStringIncludes(await mergeOf(swapped, key), `WRONG_KEY d2: ${key} is not the key`);
    assertStringIncludes(await mergeOf((path) => flip(path, 60), key), `WRONG_KEY d2: ${key} is`);
    const short = (path: string) => Deno.truncateSync(path, 31);
    assertStringIncludes(await mergeOf(short, "secret/d2.hmac.bin"), "WRONG_KEY d2: ");
    const junk = (path: string) => Deno.writeTextFileSync(path, "junk");
    assertStringIncludes(await mergeOf(junk, certificate), "WRONG_CERTIFICATE");
    assertStringIncludes(await mergeOf(junk, key), `WRONG_KEY d2: ${key} is not a key`);
    const merged = await cli("bulk", "merge", good, "-o", `${folder}/w`);
    assertEquals(merged.code, 0, merged.stdout);
    assertEquals(await codesOf(`${folder}/w`), []);
  });
});

Deno.test("bulk merge refuses a key that is not its device's, in every key mode", async () => {
  await inFolder(async (folder) => {
    const modes = [
      ["esp32", "plaintext", "rsa"],
      ["esp32c3", "rsa-ds", "rsa"],
      ["esp32h2", "ecdsa-peripheral", "ec"],
      ["esp32c5", "ecdsa-peripheral", "ec", "--curve", "P-384"],
    ] as const;
    for (const [chip, mode, type, ...flags] of modes) {
      const name = `${mode}-${chip}`;
      const kind = ["--chip", chip, "--key-mode", mode, "--type", type, ...flags];
      const batch = await bulkIn(folder, name, "--count", "2", "--id-template", "d{n}", ...kind);
      const keys = filesIn(`${batch}/secret`).filter((file) => /^d2\.key/.test(file));
      assertEquals(keys.length, flags.length === 0 ? 1 : 3);
      for (const file of keys) {
        const [one, two] = [
          `${batch}/secret/${file}`,
          `${batch}/secret/${file.replace("d2", "d1")}`,
        ];
        await swap(one, two);
        const { code, stdout } = await cli("bulk", "merge", batch, "-o", `${folder}/w`);
        assertEquals(code, 1, name);
        assertStringIncludes(stdout, `WRONG_KEY d2: secret/${file} is not`);
        await swap(one, two);
      }
      const merged = await cli("bulk", "merge", batch, "-o", `${folder}/w-${name}`);
      assertEquals(merged.code, 0, merged.stdout);
    }
  });
});

needing(POSIX, NOT_ROOT).test("a file that may not be read is reported by its name", async () => {
  await inFolder(async (folder) => {
    const batch = await bulkIn(folder, "b", ...FLAGS);
    for (const name of ["secret/d2.key.pem", "images/d3.bin"]) {
      Deno.chmodSync(`${batch}/${name}`, 0);
      const { code, stdout } = await cli("bulk", "merge", batch, "-o", `${folder}/w`);
      assertEquals([code, filesIn(folder)], [1, ["b", "ca", "ca.pem"]]);
      assertStringIncludes(stdout, name);
    }
  });
});
