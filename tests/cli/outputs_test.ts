/** Every command that writes, on a real disk: what its outputs may take the place of, and what a failure leaves. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";
import { LINUX, needing, POSIX } from "../needs.ts";
import { cli, inFolder, type Outcome } from "./batch/batch.ts";
import { cliOutOfDisk, outOfDisk } from "./batch/process.ts";

/** A command line that writes one file, without where it goes. */
interface Writer {
  readonly line: readonly string[];
  /** The files that it reads. */
  readonly inputs: readonly string[];
  /** Files in the folder of --out that it writes; a file goes to --out itself. @default the latter */
  readonly files?: readonly string[];
}

const IMAGE = "d/esp_secure_cert.bin";
const KEY = "d/device.key.pem";
const CERT = "d/device.pem";
const CA = ["ca/ca.pem", "ca/ca.key.pem"] as const;
const DATA = ["--data", "user1=file:data.txt"];
const CHIP = ["--chip", "esp32c3"];

/** A line of each command that writes, for the files of {@linkcode withFiles}. */
const WRITERS: readonly Writer[] = [
  { line: ["keygen"], inputs: [] },
  { line: ["csr", "--key", KEY, "--subject", "CN=x"], inputs: [KEY] },
  {
    line: ["issue", "--csr", "r.csr", "--ca", CA[0], "--ca-key", CA[1]],
    inputs: ["r.csr", ...CA],
  },
  {
    line: ["issue", "--key", KEY, "--subject", "CN=x", "--ca", CA[0], "--ca-key", CA[1]],
    inputs: [KEY, ...CA],
  },
  {
    line: ["build", "--device-cert", CERT, "--ca-cert", CA[0], "--private-key", KEY, ...DATA],
    inputs: [CERT, CA[0], KEY, "data.txt"],
  },
  { line: ["build", "--csv", "x/esp_secure_cert.csv"], inputs: ["x/esp_secure_cert.csv"] },
  { line: ["append", IMAGE, ...DATA], inputs: [IMAGE, "data.txt"] },
  { line: ["convert", IMAGE, "--to", "nvs"], inputs: [IMAGE] },
  { line: ["sign", IMAGE, "--key", KEY], inputs: [IMAGE, KEY] },
  {
    line: ["encrypt", IMAGE, ...CHIP, "--key", "flash.key", "--address", "0xD000"],
    inputs: [IMAGE, "flash.key"],
  },
  {
    line: ["decrypt", IMAGE, ...CHIP, "--key", "flash.key", "--address", "0xD000"],
    inputs: [IMAGE, "flash.key"],
  },
  {
    line: ["ca", "--subject", "CN=x", "--issuer", CA[0], "--issuer-key", CA[1]],
    inputs: CA,
    files: ["ca.pem", "ca.key.pem"],
  },
  {
    line: ["provision", "--id", "x", "--ca", "ca/", "--ca-cert", CERT],
    inputs: [...CA, CERT],
    files: ["device.pem", "device.key.pem", "esp_secure_cert.bin"],
  },
  { line: ["extract", IMAGE], inputs: [IMAGE], files: ["esp_secure_cert.csv"] },
  { line: ["append", IMAGE, "e.bin", ...DATA], inputs: [IMAGE], files: ["e.bin"] },
  { line: ["convert", IMAGE, "e.bin", "--to", "nvs"], inputs: [IMAGE], files: ["e.bin"] },
  {
    line: ["bulk", "export", "batch/", "--to", "csv"],
    inputs: ["batch/manifest.ndjson"],
    files: ["devices.csv"],
  },
];

/** Paths of a line are those of a folder. */
function inside(folder: string, words: readonly string[]): string[] {
  return words.map((word) =>
    word.includes("=file:")
      ? word.replace("file:", `file:${folder}/`)
      : /^\w+\/|^\w+\.(csr|key|bin)$/.test(word)
      ? `${folder}/${word}`
      : word
  );
}

/** Runs something in a folder with a CA, a device, a batch, and what else the lines read. */
async function withFiles(act: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const lines = [
      ["provision", "--id", "d", "--ca", `${folder}/ca`, "-o", `${folder}/d`],
      ["csr", "--key", `${folder}/${KEY}`, "--subject", "CN=x", "-o", `${folder}/r.csr`],
      ["extract", `${folder}/${IMAGE}`, "-o", `${folder}/x`],
      ["bulk", "--count", "1", "--workers", "1", "--ca", `${folder}/ca`, "-o", `${folder}/batch`],
    ];
    for (const line of lines) {
      const { code, stderr } = await cli(...line);
      assertEquals(code, 0, `${line}: ${stderr}`);
    }
    Deno.writeFileSync(`${folder}/flash.key`, new Uint8Array(32).fill(7));
    Deno.writeTextFileSync(`${folder}/data.txt`, "data");
    Deno.copyFileSync(`${folder}/${IMAGE}`, `${folder}/e.bin`);
    await act(folder);
  });
}

/** All that is below a folder: names, and what they have. */
function treeOf(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = `${below}${name}`;
    if (isDirectory) return [`${path}/`, ...treeOf(folder, `${path}/`)];
    // SQLite reads with files of its own.
    if (/sqlite/.test(name)) return [];
    if (isSymlink) return [`${path} -> ${Deno.readLinkSync(`${folder}/${path}`)}`];
    return [`${path} ${Deno.readFileSync(`${folder}/${path}`).toHex()}`];
  }).sort();
}

/** Runs a line that must fail and change nothing. */
async function assertRefused(
  folder: string,
  line: readonly string[],
  codes: readonly number[],
): Promise<Outcome> {
  const before = treeOf(folder);
  const outcome = await cli(...line);
  const what = `${line.join(" ")}: ${outcome.code} ${outcome.stderr}`;
  assertEquals(codes.includes(outcome.code), true, what);
  assertEquals(treeOf(folder), before, what);
  return outcome;
}

Deno.test("every command with --out is in the table", async () => {
  const names = (await loadCommands()).filter(({ flags }) =>
    flags.some(({ name }) => name === "out")
  )
    .map(({ name }) => name);
  const listed = new Set(
    WRITERS.map(({ line }) => line.slice(0, line[0] === "bulk" ? 2 : 1).join(" ")),
  );
  // Batches have tests of their own (planted_test.ts, merge_test.ts, target_test.ts); serve does not end.
  const others = ["serve", "bulk", "bulk merge"];
  assertEquals(names.filter((name) => !listed.has(name)), others);
});

needing(POSIX).test(
  "an output that is an input is refused under any name, and nothing changes",
  async () => {
    await withFiles(async (folder) => {
      Deno.mkdirSync(`${folder}/sub`);
      for (const { line, inputs, files } of WRITERS) {
        for (const [at, input] of inputs.entries()) {
          const own = `${folder}/${input}`;
          Deno.symlinkSync(own, `${folder}/link`);
          Deno.linkSync(own, `${folder}/hard`);
          const names = [own, `${folder}/./${input}`, `${folder}/sub/../${input}`];
          const outs = files === undefined
            ? [...names, `${folder}/link`, `${folder}/hard`]
            : planted(folder, own, files, at);
          for (const out of outs) {
            const words = [...inside(folder, line), "-o", out];
            for (const force of [[], ["--force"]]) {
              const { stderr } = await assertRefused(folder, [...words, ...force], [2]);
              assertStringIncludes(stderr, "is an input of this command");
            }
          }
          for (const name of ["link", "hard"]) Deno.removeSync(`${folder}/${name}`);
        }
      }
    });
  },
);

needing(POSIX).test(
  "--force replaces no key and writes through no link, in any command",
  async () => {
    await withFiles(async (folder) => {
      const flags = new Map((await loadCommands()).map(({ name, flags }) => [name, flags]));
      const key = Deno.readFileSync(`${folder}/${KEY}`);
      for (const { line, files } of WRITERS) {
        const name = line.slice(0, line[0] === "bulk" ? 2 : 1).join(" ");
        const replacesKeys = flags.get(name)!.some(({ name }) => name === "force-key");
        for (const file of files ?? [""]) {
          const out = `${folder}/out`;
          const place = file === "" ? out : `${out}/${file}`;
          if (file !== "") Deno.mkdirSync(out);
          const words = [...inside(folder, line), "-o", out];
          const forces = ["--force", ...replacesKeys ? ["--force-key"] : []];
          Deno.writeFileSync(place, key);
          await assertRefused(folder, [...words, "--force"], [1]);
          Deno.removeSync(place);
          for (const target of ["data.txt", "nowhere", "d"]) {
            Deno.symlinkSync(`${folder}/${target}`, place);
            for (const force of forces) {
              const { stderr } = await assertRefused(folder, [...words, force], [1, 2]);
              assertEquals(/symbolic link|is an input|is a folder/.test(stderr), true, stderr);
            }
            Deno.removeSync(place);
          }
          await Deno.remove(out, { recursive: true }).catch(() => {});
        }
      }
    });
  },
);

needing(LINUX).test("a write that fails leaves no file and no folder, in any command", async () => {
  await withFiles(async (folder) => {
    const long = "x".repeat(300);
    for (const { line, files } of WRITERS) {
      const words = inside(folder, line);
      const outs = [`${folder}/data.txt/o`, `${folder}/${long}`, `${folder}/none/${long}`];
      for (const out of outs) await assertRefused(folder, [...words, "-o", out, "--force"], [1]);
      if (files === undefined) {
        await assertRefused(folder, [...words, "-o", "/dev/full", "--force"], [1]);
        await assertRefused(folder, [...words, "-o", `${folder}/none/o`, "--force"], [1]);
        continue;
      }
      // The last file that is written fails, after others.
      const out = `${folder}/out`;
      Deno.mkdirSync(`${out}/${files.at(-1)}`, { recursive: true });
      await assertRefused(folder, [...words, "-o", out, "--force"], [1]);
      await Deno.remove(out, { recursive: true });
    }
  });
});

outOfDisk.test("a full disk leaves no file and no folder", async () => {
  await withFiles(async (folder) => {
    const lines = [
      ["keygen", "-o", "o.pem"],
      ["provision", "--id", "p", "--ca", "n/ca", "-o", "n/p"],
      ["extract", IMAGE, "-o", "n/x"],
      ["encrypt", IMAGE, ...CHIP, "--new-key", "n.key", "--address", "0xD000", "-o", "n.bin"],
      ["configure", "--parse_bin", IMAGE],
    ];
    const before = treeOf(folder);
    await Promise.all(lines.map(async (line) => {
      const { code, stderr } = await cliOutOfDisk(line, folder, 0);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, "error: Cannot write");
    }));
    assertEquals(treeOf(folder), before);
  });
});

/** Folders in which an output's place is another name of an input. */
function planted(folder: string, input: string, files: readonly string[], at: number): string[] {
  return files.flatMap((file) =>
    (["link", "symlink"] as const).map((kind) => {
      const out = `${folder}/planted-${at}-${crypto.randomUUID()}`;
      Deno.mkdirSync(out);
      Deno[`${kind}Sync`](input, `${out}/${file}`);
      return out;
    })
  );
}
