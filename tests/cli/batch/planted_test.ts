// deno-lint-ignore-file no-control-regex -- escapes are looked for
/** What somebody may plant in the folder of a batch: links, other names of a file, and paths as ids. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { needing, POSIX } from "../../needs.ts";
import { cli, copyFolder, inFolder, makeBatch, setPending } from "./batch.ts";

const posix = needing(POSIX);
const text = (path: string) => Deno.readTextFileSync(path);

/** Makes a batch make its device again. */
async function forgetDevice(batch: string): Promise<void> {
  setPending(batch, 0);
  for (const folder of ["images", "secret", "certificates", "labels"]) {
    await Deno.remove(`${batch}/${folder}`, { recursive: true }).catch(() => {});
    await Deno.mkdir(`${batch}/${folder}`);
  }
}

posix.test("bulk writes through no planted link, wherever it is", async () => {
  await inFolder(async (folder) => {
    const victim = `${folder}/victim`;
    await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    const make = ["bulk", "--ca", `${folder}/ca`, "--count", "1", "--workers", "1", "--labels"];
    const id = "dev-000001";
    const places = [
      `images/${id}.bin`,
      `secret/${id}.key.pem`,
      `certificates/${id}.pem`,
      `labels/${id}.svg`,
      "manifest.ndjson",
      "manifest.csv",
      "journal.sqlite",
      "journal.sqlite-wal",
      ".lock",
      "images",
      "secret",
      "certificates",
      "labels",
    ];
    const made = `${folder}/made`;
    await cli(...make, "-o", made);
    for (const place of places) {
      for (const target of ["victim", "nowhere", "elsewhere"]) {
        const batch = `${folder}/batch`;
        await copyFolder(made, batch);
        await forgetDevice(batch);
        await Deno.mkdir(`${folder}/elsewhere`);
        await Deno.writeTextFile(victim, "precious");
        await Deno.remove(`${batch}/${place}`, { recursive: true }).catch(() => {});
        await Deno.symlink(`${folder}/${target}`, `${batch}/${place}`);
        const { code, stdout, stderr } = await cli(...make, "-o", batch);
        const what = `${place} -> ${target}, ${code}: ${stdout}${stderr}`;
        const isRefused = /is a symbolic link, and nothing is written/.test(stderr);
        if (!place.includes("/")) assertEquals([code, isRefused], [1, true], what);
        assertEquals(text(victim), "precious", what);
        assertEquals([...Deno.readDirSync(`${folder}/elsewhere`)], [], what);
        const beside = [...Deno.readDirSync(folder)].map(({ name }) => name);
        assertEquals(beside.includes("nowhere"), false, what);
        assertEquals(/PRIVATE KEY|Uncaught/.test(stdout + stderr), false, what);
        await Deno.remove(batch, { recursive: true });
        await Deno.remove(`${folder}/elsewhere`, { recursive: true });
      }
    }
  });
});

posix.test("another name of a file in a batch keeps its content", async () => {
  await inFolder(async (folder) => {
    await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    const make = ["bulk", "--ca", `${folder}/ca`, "--count", "1", "--workers", "1"];
    const id = "dev-000001";
    await cli(...make, "-o", `${folder}/made`);
    for (const place of [`images/${id}.bin`, `secret/${id}.key.pem`, `certificates/${id}.pem`]) {
      const batch = `${folder}/batch`;
      await copyFolder(`${folder}/made`, batch);
      await forgetDevice(batch);
      await Deno.writeTextFile(`${folder}/old`, "precious");
      await Deno.link(`${folder}/old`, `${batch}/${place}`);
      await cli(...make, "-o", batch);
      assertEquals(text(`${folder}/old`), "precious", place);
      await Deno.remove(batch, { recursive: true });
    }
  });
});

/** Ids that would lead out of a batch's folder, or name no file. */
const PATHS = [
  "../x",
  "../../etc/passwd",
  "/etc/passwd",
  "a/b",
  "a\\b",
  "..\\x",
  "C:\\x",
  "..",
  ".",
  ".hidden",
  "",
  " a",
  "a.",
  "a\0b",
  "a\nb",
  "a\x1b[2Jb",
  "a\u202Eb",
  "CON",
  "nul.txt",
  "com1",
  "LPT9.x",
  "a*b",
  'a"b',
  "a|b",
  "a".repeat(101),
  "\u{1F600}".repeat(60),
  "a\uD800",
];

Deno.test("no id of a manifest becomes a path unchecked", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/good`, { ids: ["a"] });
    await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    await Deno.writeTextFile(`${folder}/x.bin`, "outside");
    const list = `${folder}/list.ndjson`;
    const inside = JSON.parse(text(`${folder}/good/manifest.ndjson`));
    for (const id of PATHS) {
      const batch = `${folder}/batch`;
      await copyFolder(`${folder}/good`, batch);
      await Deno.writeTextFile(
        `${batch}/manifest.ndjson`,
        `${JSON.stringify({ ...inside, id })}\n`,
      );
      await Deno.writeTextFile(list, `${JSON.stringify({ id })}\n`);
      const tree = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
      const lines = [
        ["verify", batch],
        ["status", batch],
        ["merge", batch, "-o", `${folder}/out`],
        ["export", batch, "--to", "csv", "-o", `${folder}/out`],
        ["export", batch, "--to", "rainmaker", "-o", `${folder}/out`],
        ["verify", `${folder}/good`, "--devices", list],
        ["--devices", list, "--ca", `${folder}/ca`, "-o", `${folder}/out`],
      ];
      for (const line of lines) {
        const { code, stdout, stderr } = await cli("bulk", ...line);
        const what = `${JSON.stringify(id)}, ${line[0]}: ${stdout}${stderr}`;
        // Status counts, and opens no file of a device.
        if (line[0] !== "status") assertEquals(code === 0, false, what);
        assertEquals(/Uncaught|\0|\x1b|\u202E/.test(stdout + stderr), false, what);
        assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), tree, what);
      }
      await Deno.remove(batch, { recursive: true });
    }
  });
});

Deno.test("a manifest's id is said to be wrong with its line", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["a"] });
    const row = JSON.parse(text(`${folder}/b/manifest.ndjson`));
    const rows = [row, { ...row, id: "../x" }].map((each) => `${JSON.stringify(each)}\n`);
    await Deno.writeTextFile(`${folder}/b/manifest.ndjson`, rows.join(""));
    const { stdout, stderr } = await cli("bulk", "verify", `${folder}/b`);
    assertStringIncludes(stdout + stderr, "line 2");
    assertStringIncludes(stdout + stderr, '"../x" has a character that file names cannot have');
  });
});
