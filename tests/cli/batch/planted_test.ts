// deno-lint-ignore-file no-control-regex -- escapes are looked for
/** What somebody may plant in the folder of a batch: links, other names of a file, and paths as ids. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { DEVICE_FOLDERS } from "../../../lib/batch/files.ts";
import { needing, POSIX } from "../../needs.ts";
import { cli, copyFolder, inFolder, makeBatch, setPending } from "./batch.ts";

const posix = needing(POSIX);
const text = (path: string) => Deno.readTextFileSync(path);

const ID = "dev-000001";

/** A batch whose device has a file in every folder that a run writes to. */
interface Kind {
  readonly flags: readonly string[];
  /** Where the files of its device are. */
  readonly places: readonly string[];
}

const KINDS: readonly Kind[] = [
  {
    flags: ["--key-mode", "hmac-derived", "--chip", "esp32c3", "--labels"],
    places: [
      `images/${ID}.bin`,
      `secret/${ID}.key.pem`,
      `secret/${ID}.hmac.bin`,
      `secret/${ID}.salt.bin`,
      `certificates/${ID}.pem`,
      `labels/${ID}.svg`,
      `efuse/${ID}.json`,
    ],
  },
  { flags: ["--csr"], places: [`csr/${ID}.csr`, `secret/${ID}.key.pem`] },
];

/** What a run writes in its place, beside the files of devices. */
const GROWING = ["manifest.ndjson", "manifest.csv", "journal.sqlite", "journal.sqlite-wal"];
const TOP = [...GROWING, ".lock", "images", "secret", "certificates", "labels", "csr", "efuse"];

/** A batch that makes its device again. */
async function withBatch(
  { flags, places }: Kind,
  act: (at: { readonly folder: string; readonly made: string; readonly line: string[] }) => unknown,
): Promise<void> {
  await inFolder(async (folder) => {
    await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`);
    const made = `${folder}/made`;
    const line = ["bulk", "--ca", `${folder}/ca`, "--count", "1", "--workers", "1", ...flags];
    await cli(...line, "-o", made);
    for (const place of places) await Deno.remove(`${made}/${place}`);
    setPending(made, 0);
    await act({ folder, made, line });
  });
}

/** Runs a batch, whose folder goes afterwards; gives its outcome in words. */
async function runCopy(
  made: string,
  line: readonly string[],
  plant: (batch: string) => unknown,
): Promise<{ readonly what: string; readonly code: number; readonly stderr: string }> {
  const batch = `${made}-copy`;
  await copyFolder(made, batch);
  for (const name of [...DEVICE_FOLDERS]) await Deno.mkdir(`${batch}/${name}`, { recursive: true });
  await plant(batch);
  const { code, stdout, stderr } = await cli(...line, "-o", batch);
  await Deno.remove(batch, { recursive: true });
  const what = `${code}: ${stdout}${stderr}`;
  assertEquals(/PRIVATE KEY|Uncaught/.test(what), false, what);
  return { what, code, stderr };
}

/**
 * What a run may find in its places: it replaces what has nothing in it, and labels and eFuse plans, which
 * it makes again. Other files of a device that it has not made are left to people, and no key is made.
 */
function split(places: readonly string[]): { readonly own: string[]; readonly others: string[] } {
  const isOwn = (place: string) => /^(labels|efuse)\//.test(place);
  return { own: places.filter(isOwn), others: places.filter((place) => !isOwn(place)) };
}

posix.test("bulk writes through no planted link, wherever it is", async () => {
  for (const [at, kind] of KINDS.entries()) {
    await withBatch(kind, async ({ folder, made, line }) => {
      const victim = `${folder}/victim`;
      await Deno.mkdir(`${folder}/elsewhere`);
      await Deno.writeTextFile(victim, "precious");
      await Deno.writeTextFile(`${folder}/empty`, "");
      const tree = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
      const plant = async (target: string, places: readonly string[]) => {
        const outcome = await runCopy(made, line, async (batch) => {
          for (const place of places) {
            await Deno.remove(`${batch}/${place}`, { recursive: true }).catch(() => {});
            await Deno.symlink(`${folder}/${target}`, `${batch}/${place}`);
          }
        });
        const what = `${places} -> ${target}, ${outcome.what}`;
        assertEquals([text(victim), text(`${folder}/empty`)], ["precious", ""], what);
        assertEquals([...Deno.readDirSync(`${folder}/elsewhere`)], [], what);
        assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), tree, what);
        return outcome;
      };
      for (const target of ["victim", "empty", "nowhere", "elsewhere"]) {
        const isNothing = target === "nowhere" || target === "empty";
        const { own, others } = split(kind.places);
        const { code, what } = await plant(target, isNothing ? kind.places : own);
        assertEquals(code, 0, what);
        for (const place of isNothing ? [] : others) {
          assertEquals((await plant(target, [place])).code, 1, place);
        }
        // What a run refuses at once does not depend on the key mode.
        if (at > 0) continue;
        for (const place of TOP) {
          const { code, stderr, what } = await plant(target, [place]);
          const isRefused = /is a symbolic link, and nothing is written/.test(stderr);
          assertEquals([code, isRefused], [1, true], `${place}: ${what}`);
        }
      }
    });
  }
});

posix.test("another name of a file in a batch keeps its content", async () => {
  for (const [at, kind] of KINDS.entries()) {
    await withBatch(kind, async ({ folder, made, line }) => {
      const link = async (
        places: readonly string[],
        from: (batch: string, place: string) => string,
      ) => {
        const kept = new Map<string, Uint8Array>();
        const outcome = await runCopy(made, line, async (batch) => {
          for (const place of places) {
            const other = `${folder}/${place.replaceAll("/", "-")}`;
            await Deno.writeFile(other, Deno.readFileSync(from(batch, place)));
            await Deno.remove(`${batch}/${place}`).catch(() => {});
            await Deno.link(other, `${batch}/${place}`);
            kept.set(other, Deno.readFileSync(other));
          }
        });
        for (const [other, bytes] of kept) {
          assertEquals(Deno.readFileSync(other), bytes, `${other}, ${outcome.what}`);
          await Deno.remove(other);
        }
        return outcome;
      };
      await Deno.writeTextFile(`${folder}/old`, "precious");
      await Deno.writeTextFile(`${folder}/empty`, "");
      const { own, others } = split(kind.places);
      for (const [places, from] of [[own, "old"], [kind.places, "empty"]] as const) {
        const { code, what } = await link(places, () => `${folder}/${from}`);
        assertEquals(code, 0, what);
      }
      for (const place of others) await link([place], () => `${folder}/old`);
      if (at > 0) return;
      // As in a backup made of hard links.
      for (const place of ["manifest.ndjson", "manifest.csv", "journal.sqlite"]) {
        const { code, stderr } = await link([place], (batch, place) => `${batch}/${place}`);
        assertEquals(code, 1, place);
        assertStringIncludes(stderr, `${place} has another name (a hard link)`);
      }
    });
  }
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
    const batch = `${folder}/batch`;
    await copyFolder(`${folder}/good`, batch);
    const lists = PATHS.map((id) => `${JSON.stringify({ id })}\n`);
    await Deno.writeTextFile(list, lists.join(""));
    const tree = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const assertSafe = async (id: string, line: readonly string[]) => {
      const { code, stdout, stderr } = await cli("bulk", ...line);
      const what = `${JSON.stringify(id)}, ${line[0]}: ${stdout}${stderr}`;
      // Status counts, and opens no file of a device.
      if (line[0] !== "status") assertEquals(code === 0, false, what);
      assertEquals(/Uncaught|\0|\x1b|\u202E/.test(stdout + stderr), false, what);
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), tree, what);
      return stdout;
    };
    for (const [at, id] of PATHS.entries()) {
      const row = `${JSON.stringify({ ...inside, id })}\n`;
      await Deno.writeTextFile(`${batch}/manifest.ndjson`, row);
      await assertSafe(id, ["verify", batch]);
      await assertSafe(id, ["export", batch, "--to", "rainmaker", "-o", `${folder}/out`]);
      // They read a manifest as those two do.
      if (at > 0) continue;
      await assertSafe(id, ["status", batch]);
      await assertSafe(id, ["merge", batch, "-o", `${folder}/out`]);
      await assertSafe(id, ["export", batch, "--to", "csv", "-o", `${folder}/out`]);
    }
    await assertSafe("list", ["verify", `${folder}/good`, "--devices", list]);
    const make = ["--devices", list, "--ca", `${folder}/ca`, "-o", `${folder}/out`, "--json"];
    const { error } = JSON.parse(await assertSafe("list", make));
    assertEquals(error.problems.length, PATHS.length, "each is refused");
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

posix.test("a merge and an export touch no file beside theirs, whatever it is called", async () => {
  await inFolder(async (folder) => {
    await makeBatch(`${folder}/b`, { ids: ["a"] });
    const out = `${folder}/out`;
    const victim = `${folder}/victim`;
    await Deno.writeTextFile(victim, "precious");
    for (const plant of ["file", "link", "broken link"]) {
      await Deno.mkdir(out);
      const names = ["devices.csv.tmp", ".devices.csv", ".tmp"];
      for (const name of names) {
        if (plant === "file") Deno.writeTextFileSync(`${out}/${name}`, "mine");
        else Deno.symlinkSync(plant === "link" ? victim : `${folder}/none`, `${out}/${name}`);
      }
      for (const force of [[], ["--force"]]) {
        const line = ["bulk", "export", `${folder}/b`, "--to", "csv", "-o", out, ...force];
        assertEquals((await cli(...line)).code, 0);
        const left = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
        assertEquals(left, [...names, "devices.csv"].sort());
        for (const name of names) {
          const { isSymlink } = Deno.lstatSync(`${out}/${name}`);
          assertEquals(
            isSymlink ? "link" : text(`${out}/${name}`),
            plant === "file" ? "mine" : "link",
          );
        }
      }
      await Deno.remove(out, { recursive: true });
      await Deno.mkdir(out);
      if (plant === "file") Deno.writeTextFileSync(`${out}/.lock`, "mine");
      else Deno.symlinkSync(plant === "link" ? victim : `${folder}/none`, `${out}/.lock`);
      for (const line of [["merge", `${folder}/b`], ["--count", "1", "--ca", `${folder}/ca`]]) {
        const { code, stderr } = await cli("bulk", ...line, "-o", out);
        assertEquals(code, 1, stderr);
        assertStringIncludes(stderr, ".lock is ");
        assertEquals([...Deno.readDirSync(out)].map(({ name }) => name), [".lock"]);
      }
      assertEquals([text(victim), [...Deno.readDirSync(folder)].length], ["precious", 4]);
      await Deno.remove(out, { recursive: true });
    }
  });
});
