/** Every command that writes, on a disk that is full at each of its moments. */
import { assertEquals, assertMatch } from "@std/assert";
import { denoIo, type Io, joinPath } from "../../lib/cli/io.ts";
import { loadCommands } from "../../lib/cli/commands.ts";
import { run } from "../../lib/cli/run.ts";
import { installed, LINUX, type Need, needing, PROCESSES, ROOT } from "../needs.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { CLI, exists, run as runProgram } from "../process.ts";
import { cli, inFolder, type Outcome } from "./batch/batch.ts";
import { onDisk } from "./faulty_disk.ts";
import { CHIP, IMAGE, inside, KEY, treeOf, withFiles, WRITERS } from "./writers.ts";

const CREDENTIALS = ["--device-cert", "d/device.pem", "--private-key", KEY] as const;
const HMAC = ["--key-mode", "hmac-encrypted", ...CHIP] as const;

/** Lines that write more files than those of {@linkcode WRITERS}, or others. */
const MORE: readonly (readonly string[])[] = [
  ["keygen", "--public", "out.pub", "-o", "out.pem"],
  ["provision", "--id", "x", "--ca", "new/ca", ...HMAC, "-o", "out"],
  ["build", ...CREDENTIALS, ...HMAC, "-o", "out.bin"],
  ["sign", IMAGE, "--digest", "--public-key", "public.key", "-o", "out.txt"],
  ["encrypt", IMAGE, "--chip", "esp32s3", "--address", "0xD000"]
    .concat("--new-key", "new.key", "--bits", "256", "-o", "out.bin"),
  ["bulk", "merge", "batch/", "--copy", "-o", "out"],
  ...["aws", "azure", "rainmaker"].map((service) => [
    ...["bulk", "export", "batch/", "--to", service, "-o", "out"],
    ...service === "rainmaker" ? [] : ["--ca", "ca/ca.pem"],
  ]),
  ["configure", ...CREDENTIALS, "--configure_ds", "--target_chip", "esp32h2", "--skip_flash"]
    .concat("--priv_key_algo", "ECDSA", "256", "--secure-sign", "--signing-key-file", KEY),
  ["configure", "--parse_bin", IMAGE],
  ["configure", "--append-integrity", "e.bin"],
];

/** Runs a line with its paths, and those that the command has by itself, in a folder. */
async function cliIn(folder: string, line: readonly string[]): Promise<Outcome> {
  if (line[0] !== "configure") return await cli(...inside(folder, line));
  const [out, notes]: [string[], string[]] = [[], []];
  const real = denoIo();
  const path = (name: string) => name.startsWith("/") ? name : joinPath(folder, name);
  const io: Io = {
    ...real,
    read: (name) => real.read(path(name)),
    readIfExists: (name) => real.readIfExists(path(name)),
    write: (files, ...how) =>
      real.write(files.map((file) => ({ ...file, path: path(file.path) })), ...how),
    print: (text) => void out.push(text),
    note: (text) => void notes.push(text),
  };
  const code = await run(inside(folder, line), io);
  return { code, stdout: out.join("\n"), stderr: notes.join("\n") };
}

/** Fails unless a command has failed in one line for want of space. */
function assertFull({ code, stdout, stderr }: Outcome, what: string): void {
  assertEquals([code, stdout], [1, ""], `${what}: ${stderr}`);
  assertMatch(stderr, /^error: Cannot write [^\n]*: no space left on device$/m, what);
  assertEquals(stderr.match(/^error:/gm)?.length, 1, `${what}: ${stderr}`);
  assertEquals(/Uncaught|^ +at /m.test(stderr), false, `${what}: ${stderr}`);
}

/** Runs a line with more and more room until it is enough; with less, the folder stays as it is. */
async function assertAllOrNothing(folder: string, line: readonly string[]): Promise<void> {
  const before = treeOf(folder);
  for (let room = 0;; room++) {
    const { outcome, wasFull } = await onDisk(room, () => cliIn(folder, line));
    const what = `${line.join(" ")}, room for ${room}`;
    if (!wasFull) {
      assertEquals(outcome.code, 0, `${what}: ${outcome.stderr}`);
      // Otherwise the test would show nothing.
      assertEquals(room > 0, true, what);
      return;
    }
    assertFull(outcome, what);
    assertEquals(treeOf(folder), before, what);
  }
}

Deno.test("a full disk leaves no file and no folder, whenever it is full, in any command", async () => {
  await withFiles(async (folder) => {
    const lines = [
      ...WRITERS.map(({ line, files }) => [...line, "-o", files === undefined ? "out" : "new/out"]),
      ...MORE,
    ];
    await cli(...inside(folder, ["keygen", "--public", "public.key", "-o", "private.key"]));
    const before = treeOf(folder);
    for (const line of lines) {
      await assertAllOrNothing(folder, line);
      for (const name of treeOf(folder).filter((name) => !before.includes(name)).reverse()) {
        await Deno.remove(`${folder}/${name.split(" ")[0]}`);
      }
    }
  });
});

Deno.test("a full disk does no harm to what --force replaces, in any command", async () => {
  const flags = new Map((await loadCommands()).map(({ name, flags }) => [name, flags]));
  await withFiles(async (folder) => {
    for (const { line, files = [] } of WRITERS) {
      const name = line.slice(0, line[0] === "bulk" ? 2 : 1).join(" ");
      const force = ["force-key", "force"].find((force) =>
        flags.get(name)!.some(({ name }) => name === force)
      )!;
      const out = files.length === 0 ? "out.bin" : "out";
      const words = [...line, "-o", out, `--${force}`];
      assertEquals((await cliIn(folder, words)).code, 0);
      const made = files.length === 0 ? [out] : files.map((file) => `${out}/${file}`);
      for (const file of made) {
        if (!/key/.test(file)) Deno.writeTextFileSync(`${folder}/${file}`, "what was there");
      }
      // Another name of a file keeps its content, too.
      for (const [at, file] of made.entries()) {
        Deno.linkSync(`${folder}/${file}`, `${folder}/other-${at}`);
      }
      await assertAllOrNothing(folder, words);
      for (const at of made.keys()) await Deno.remove(`${folder}/other-${at}`);
      await Deno.remove(`${folder}/${out}`, { recursive: true });
    }
  });
});

/** Runs a line in a shell, which leads its streams elsewhere. */
function shell(line: string, folder: string): Promise<Outcome> {
  const command = `"$DENO" run -A --no-prompt ${CLI} ${line}`;
  return runProgram("bash", ["-c", command], folder, { DENO: Deno.execPath() });
}

needing(PROCESSES, LINUX, installed("bash")).test(
  "standard output that is full ends a command in a line, and keeps no file",
  async () => {
    await withFiles(async (folder) => {
      const before = treeOf(folder);
      const flash = `${IMAGE} --chip esp32c3 --address 0xD000`;
      const full = [
        "completions bash",
        "chips --json",
        "--help",
        `inspect ${IMAGE}`,
        "keygen -o -",
        `encrypt ${flash} --new-key new.key -o -`,
      ];
      await Promise.all(full.map(async (line) => {
        const { code, stderr } = await shell(`${line} > /dev/full`, folder);
        const error = "error: Cannot write standard output: no space left on device\n";
        assertEquals([code, stderr], [1, error], line);
      }));
      assertEquals(treeOf(folder), before);
      const gone = await shell("completions bash | true; exit ${PIPESTATUS[0]}", folder);
      assertEquals([gone.code, gone.stderr], [0, ""]);
    });
  },
);

needing(PROCESSES, LINUX, installed("bash")).test(
  "a full disk does no harm to a file that may not be read, nor have another name",
  async () => {
    await inFolder(async (folder) => {
      const path = `${folder}/key.pem`;
      assertEquals((await shell("keygen -o key.pem", folder)).code, 0);
      const key = Deno.readFileSync(path);
      const words = `run --allow-write=key.pem --no-prompt ${CLI} keygen -o key.pem --force-key`;
      const script = `trap "" XFSZ; ulimit -f 0; exec "$DENO" ${words}`;
      const env = { DENO: Deno.execPath() };
      const { code, stderr } = await runProgram("bash", ["-c", script], folder, env);
      assertEquals([code, /^error: Cannot write key.pem: /.test(stderr)], [1, true], stderr);
      assertEquals(Deno.readFileSync(path), key);
    });
  },
);

needing(PROCESSES, LINUX, installed("bash")).test(
  "a command does its work when stderr is full",
  async () => {
    await withFiles(async (folder) => {
      assertEquals((await shell("keygen -o new.key 2> /dev/full", folder)).code, 0);
      assertEquals(exists(`${folder}/new.key`), true);
      assertEquals((await shell("nonsense 2> /dev/full", folder)).code, 2);
    });
  },
);

Deno.test("standard output that is not ready is waited for, and loses nothing", async () => {
  const { writeSync } = Deno.stdout;
  const [parts, line]: [Uint8Array[], string] = [[], "x".repeat(10_000)];
  let calls = 0;
  Deno.stdout.writeSync = (bytes) => {
    if (calls++ % 2 === 0) throw new Deno.errors.WouldBlock();
    parts.push(bytes.slice());
    return bytes.length;
  };
  try {
    await denoIo().put(new TextEncoder().encode(line));
  } finally {
    Deno.stdout.writeSync = writeSync;
  }
  assertEquals(new TextDecoder().decode(concat(...parts)), line);
  // A pipe that does not wait takes so much at a time, or nothing.
  assertEquals(parts.every(({ length }) => length <= 4096), true);
});

Deno.test("serve ends when the certificate of its CA cannot be written, and leaves none", async () => {
  await withFiles(async (folder) => {
    const line = ["serve", "--client-ca", "ca/ca.pem", "--listen", "127.0.0.1:0", "-o", "out.pem"];
    const before = treeOf(folder);
    for (const room of [0, 1]) {
      const { outcome } = await onDisk(room, () => cliIn(folder, line));
      assertFull(outcome, `room for ${room}`);
      assertEquals(treeOf(folder), before);
    }
  });
});

Deno.test("a batch that cannot begin leaves nothing, and one that has begun is continued", async () => {
  await withFiles(async (folder) => {
    const line = ["bulk", "--count", "1", "--workers", "1", "--ca", "ca/", "-o", "new/out"];
    const before = treeOf(folder);
    let step = 1;
    for (let room = 0;; room += step) {
      const { outcome, wasFull } = await onDisk(room, () => cliIn(folder, line));
      if (!wasFull) break;
      assertFull(outcome, `room for ${room}`);
      if (exists(`${folder}/new`)) {
        step = 5;
        assertEquals((await cliIn(folder, line)).code, 0);
        assertEquals((await cli("bulk", "verify", `${folder}/new/out`)).code, 0);
        Deno.removeSync(`${folder}/new`, { recursive: true });
      }
      assertEquals(treeOf(folder), before);
    }
  });
});

/** Bytes that a tmpfs gives to a file at a time. */
const PAGE = 4096;
/** Pages of the disks of {@linkcode withDisk}; less than a batch takes by itself are of no use. */
const PAGES = 256;

const MOUNTS: Need = [PROCESSES, LINUX, ROOT].every((need) => need === undefined) &&
    !await withDisk(0, () => Promise.resolve())
  ? "no disk can be mounted"
  : undefined;

/** Runs something with a small disk of its own, which has so many pages left; false where none is to be had. */
async function withDisk(left: number, act: (disk: string) => Promise<void>): Promise<boolean> {
  const disk = await Deno.makeTempDir();
  const words = ["-t", "tmpfs", "-o", `size=${PAGES * PAGE}`, "tmpfs", disk];
  const { success } = await new Deno.Command("mount", { args: words }).output();
  try {
    if (!success) return false;
    Deno.writeFileSync(`${disk}/filling`, new Uint8Array((PAGES - left) * PAGE));
    await act(disk);
    return true;
  } finally {
    if (success) await new Deno.Command("umount", { args: [disk] }).output();
    await Deno.remove(disk);
  }
}

needing(PROCESSES, LINUX, ROOT, MOUNTS).test(
  "a real disk that is full ends every command in a line, and keeps nothing",
  async () => {
    await withFiles(async (folder) => {
      const lines = [
        ["keygen", "-o"],
        ["provision", "--id", "x", "--ca", "ca/", "-o"],
        ["extract", IMAGE, "-o"],
        ["bulk", "merge", "batch/", "-o"],
        ["bulk", "export", "batch/", "--to", "csv", "-o"],
        ["bulk", "--count", "2", "--workers", "1", "--ca", "ca/", "--labels", "-o"],
      ];
      for (const line of lines) {
        const isBatch = line[0] === "bulk" && line[1]!.startsWith("-");
        let isDone = false;
        for (let left = 0; !isDone; left += isBatch && left > 3 ? 7 : 1) {
          await withDisk(left, async (disk) => {
            const words = [...inside(folder, line), `${disk}/out`];
            const { code, stdout, stderr } = await cli(...words);
            isDone = code === 0;
            if (isDone) return;
            const what = `${line.join(" ")}, ${left} pages: ${stderr}`;
            assertEquals([code, stdout], [1, ""], what);
            assertMatch(
              stderr,
              /^error: Cannot write [^\n]*: (no space left on device|database or disk is full|disk I\/O error)$/m,
              what,
            );
            const names = [...Deno.readDirSync(disk)].map(({ name }) => name);
            if (!isBatch || left === 0 || !names.includes("out")) {
              return assertEquals(names, ["filling"], what);
            }
            // What has begun is continued when there is room.
            Deno.removeSync(`${disk}/filling`);
            assertEquals((await cli(...words)).code, 0, what);
            assertEquals((await cli("bulk", "verify", `${disk}/out`)).code, 0, what);
          });
        }
      }
    });
  },
);
