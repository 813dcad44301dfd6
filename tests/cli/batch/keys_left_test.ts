/** No key of a batch is where it does not belong: printed, in a manifest, the journal or a temporary folder. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { exportPrivateKey, generateKey, importPrivateKey, type PrivateKey } from "../../../mod.ts";
import { installed, needing, POSIX, PROCESSES } from "../../needs.ts";
import { CLI, exists, type Outcome, program, seen, start } from "../../process.ts";
import { assertNone, hasKey, type Needle, needlesOf } from "../needles.ts";
import { keyProgram } from "./key_program.ts";
import { runLines } from "./lines_process.ts";
import { cliOutOfDisk, inFolder, issuer, names, outOfDisk } from "./process.ts";

const real = needing(PROCESSES, POSIX);
const text = (path: string) => Deno.readTextFileSync(path);

/** What is beside keys and has them: images only where the key mode stores the key. */
const KEY_FILES = /(^|\/)(secret|keys)\//;
const IMAGES = /(^|\/)images\//;
const UMASKS = ["000", "077", "277"] as const;

/** Every file in a folder, not through links. */
function filesIn(folder: string, inside = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${inside}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(folder, `${inside}${name}/`) : [`${inside}${name}`]
  );
}

/** Looks into every file; those that may have a key are their owner's only. */
function assertLeft(folder: string, needles: readonly Needle[], storesKeys: boolean): void {
  // The CA was there before.
  for (const name of filesIn(folder).filter((each) => each !== "ca/ca.key.pem")) {
    const path = `${folder}/${name}`;
    if (KEY_FILES.test(name)) assertEquals(Deno.statSync(path).mode! & 0o777, 0o600, name);
    else if (IMAGES.test(name) && storesKeys) {
      assertEquals(Deno.statSync(path).mode! & 0o077, 0, name);
    } else assertNone(needles, Deno.readFileSync(path), name);
  }
}

/** The needles of all that is in the `secret` folder of a batch. */
async function secretsOf(batch: string): Promise<Needle[]> {
  const keys: (PrivateKey | Uint8Array)[] = [issuer.key];
  for (const name of names(`${batch}/secret`)) {
    const bytes = await Deno.readFile(`${batch}/secret/${name}`);
    if (name.endsWith(".pem")) keys.push(await importPrivateKey(bytes));
    else if (name.endsWith(".hmac.bin")) keys.push(bytes);
  }
  return needlesOf(...keys);
}

const MODES: readonly (readonly [mode: string, chip: string, storesKeys: boolean])[] = [
  ["plaintext", "esp32", true],
  ["rsa-ds", "esp32c3", false],
  ["ecdsa-peripheral", "esp32h2", false],
  ["hmac-encrypted", "esp32c3", false],
  ["hmac-derived", "esp32c3", false],
];

/** All that is done with a batch of a mode, which is in a folder of its name. */
function linesOf([mode, chip]: typeof MODES[number]): readonly (readonly string[])[] {
  const batch = `${mode}/batch`;
  const keys = ["--key-mode", mode, "--chip", chip, "--ca", "ca"];
  const make = ["bulk", "--count", "2", ...keys, "--workers", "2", "--labels", "-o", batch];
  return [
    [...make, "--json"],
    make,
    ["bulk", "status", batch, "--json"],
    ["bulk", "verify", batch],
    ...["csv", "rainmaker", "aws", "azure"].map((to) => {
      const ca = to === "aws" || to === "azure" ? ["--ca", "ca/ca.pem"] : [];
      return ["bulk", "export", batch, "--to", to, ...ca, "-o", `${mode}/${to}.out`];
    }),
    ["bulk", "merge", batch, "-o", `${mode}/merged`],
    ["inspect", batch, "--json"],
  ];
}

for (const [third, umask] of UMASKS.entries()) {
  const modes = MODES.filter((_, at) => at % UMASKS.length === third);
  const title = modes.map(([mode]) => mode).join(", ");
  real.test(`finished batches leave their keys where they belong: ${title}`, async () => {
    await inFolder(async (folder) => {
      await Deno.mkdir(`${folder}/tmp`);
      const outcomes = await runLines(modes.flatMap(linesOf), { folder, umask });
      for (const { code, stdout, stderr } of outcomes) assertEquals(code, 0, stdout + stderr);
      for (const [mode, , storesKeys] of modes) {
        const batch = `${folder}/${mode}/batch`;
        const needles = await secretsOf(batch);
        assertEquals(names(`${folder}/${mode}/merged/secret`), names(`${batch}/secret`));
        for (const { stdout, stderr } of outcomes) assertNone(needles, stdout + stderr, "printed");
        assertLeft(`${folder}/${mode}`, needles, storesKeys);
        assertLeft(`${folder}/tmp`, needles, storesKeys);
        for (const image of names(`${batch}/images`)) {
          const bytes = await Deno.readFile(`${batch}/images/${image}`);
          assertEquals(hasKey(needles, bytes), storesKeys, image);
        }
      }
    });
  });
}

real.test("ready keys and those of a program are in no output, also when the run fails", async () => {
  const keys = await Promise.all(Array.from({ length: 3 }, () => generateKey()));
  const needles = needlesOf(...keys, issuer.key);
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/tmp`);
    await Deno.mkdir(`${folder}/keys`);
    for (const [at, key] of keys.entries()) {
      const mode = { mode: 0o600 };
      await Deno.writeFile(`${folder}/keys/${at}.pem`, exportPrivateKey(key), mode);
    }
    const pem = text(`${folder}/keys/0.pem`);
    const hex = keys[0]!.pkcs8.toHex();
    const said = [`say=${hex}`, `say=${keys[0]!.pkcs8.toBase64()}`];
    await Deno.writeTextFile(`${folder}/row.csv`, `id,privateKey\na,"${pem}"\n`);
    await Deno.writeTextFile(`${folder}/id.csv`, `id\n"${pem}"\n${hex}\n${hex}\n`);
    await Deno.writeTextFile(
      `${folder}/chip.csv`,
      `id,chip,keyMode,efuseKeyId\na,${hex},${hex},${hex}\n`,
    );
    await Deno.writeTextFile(`${folder}/head.csv`, `id,"${pem}"\na,b\n`);
    await Deno.writeTextFile(`${folder}/note.csv`, `id,note\na,"${pem}"\n`);
    const first = JSON.stringify({ id: "a", [pem]: { a: 1 } });
    await Deno.writeTextFile(
      `${folder}/row.ndjson`,
      `${first}\n{"id":"b",${JSON.stringify(pem)}\n`,
    );
    const failing: readonly (readonly string[])[] = [
      ["--count", "1", "--key-command", keyProgram(...said, "fail=3")],
      ["--count", "2", "--key-command", keyProgram(...said, "print=row.csv")],
      ["--count", "2", "--key-command", keyProgram(...said, "print=keys/0.pem")],
      [
        "--count",
        "1",
        "--key-command",
        keyProgram("print=keys/0.pem"),
        "--key-mode",
        "rsa-ds",
        "--chip",
        "esp32c3",
      ],
      ["--count", "4", "--keys", "keys", "--key-mode", "rsa-ds", "--chip", "esp32c3"],
      ["--count", "1", "--keys", pem],
      ["--count", "1", "--key-command", hex],
      ["--count", "1", "--profile", "keys/0.pem"],
      ["--count", "1", "--ca", "keys/0.pem"],
      ["--devices", "keys/0.pem"],
      ["--devices", "row.csv"],
      ["--devices", "id.csv"],
      ["--devices", "chip.csv"],
      ["--devices", "head.csv"],
      ["--devices", "note.csv"],
      ["--devices", "row.ndjson"],
    ];
    const lists = ["row.csv", "id.csv", "chip.csv", "head.csv", "note.csv", "row.ndjson"];
    const words = failing.map((
      line,
      at,
    ) => ["bulk", ...line, "--workers", "1", ...at % 2 === 0 ? ["--json"] : [], "-o", `out${at}`]);
    for (const [third, umask] of UMASKS.entries()) {
      const lines = words.filter((_, at) => at % 3 === third);
      for (const [at, outcome] of (await runLines(lines, { folder, umask })).entries()) {
        const { code, stdout, stderr } = outcome;
        assertEquals([code === 0, /Uncaught/.test(stderr)], [false, false], stdout + stderr);
        assertNone(needles, stdout + stderr, lines[at]!.join(" ").slice(0, 100));
      }
    }
    for (const name of lists) await Deno.remove(`${folder}/${name}`);
    assertLeft(folder, needles, true);
    const good = ["bulk", "--count", "3", "--keys", "keys", "-o", "batch", "--json"];
    const [{ code, stdout, stderr }] = await runLines([good], { folder }) as [Outcome];
    assertEquals(code, 0, stderr);
    assertNone(needles, stdout + stderr, "printed");
    assertLeft(folder, needles, true);
    assertEquals(names(`${folder}/batch/secret`).length, 3);
  });
});

outOfDisk.test("a batch that is out of disk or killed has its keys nowhere else", async () => {
  const key = await generateKey();
  const needles = needlesOf(key, issuer.key);
  await inFolder(async (folder) => {
    await Deno.writeFile(`${folder}/k.pem`, exportPrivateKey(key), { mode: 0o600 });
    const line = ["bulk", "--count", "1", "--key-command", keyProgram("print=k.pem")];
    for (const limit of [0, 16, 64, 200]) {
      const words = [...line, "-o", `disk${limit}`];
      const { stdout, stderr } = await cliOutOfDisk(words, folder, limit);
      assertNone(needles, stdout + stderr, `${limit} KiB`);
    }
    const many = ["bulk", "--count", "400", "--workers", "1", "-o", "killed"];
    const words = ["run", "-A", "--no-prompt", CLI, ...many];
    const running = start(program(Deno.execPath(), words, folder));
    await seen(running, () => exists(`${folder}/killed/secret/dev-000020.key.pem`));
    running.kill("SIGKILL");
    const { stdout, stderr } = await running.outcome;
    const made = await secretsOf(`${folder}/killed`).catch(() => []);
    const all = [...made.slice(0, 500), ...needles];
    assertNone(all, stdout + stderr, "killed");
    await Deno.remove(`${folder}/k.pem`);
    assertEquals(exists(`${folder}/killed/journal.sqlite-wal`), true);
    assertLeft(folder, all, true);
  });
});

needing(PROCESSES, installed("strace")).test(
  "a key file is its owner's only from its first moment",
  async () => {
    await inFolder(async (folder) => {
      await Deno.mkdir(`${folder}/tmp`);
      const hmac = ["--key-mode", "hmac-encrypted", "--chip", "esp32c3"];
      const bulk = ["bulk", "--count", "2", "--workers", "1", "--ca", "ca"];
      const lines = [
        ["keygen", "-o", "k.pem"],
        ["keygen", "-o", "k.pem", "--force-key"],
        ["ca", "--subject", "CN=x", "-o", "ca2"],
        ["csr", "--key", "k.pem", "--subject", "CN=x", "-o", "x.csr"],
        ["provision", "--id", "d", "-o", "d", ...hmac],
        ["encrypt", "d/esp_secure_cert.bin", "--chip", "esp32c3", "--address", "0xD000"]
          .concat("--new-key", "flash.key", "-o", "flash.bin"),
        [...bulk, "-o", "batch"],
        ["bulk", "merge", "batch", "--copy", "-o", "merged"],
      ];
      const tracer = ["strace", "-f", "-qq", "-e", "trace=open,openat,creat", "-o", "trace"];
      for (const { code, stderr } of await runLines(lines, { folder, tracer })) {
        assertEquals(code, 0, stderr);
      }
      const made = text(`${folder}/trace`).split("\n").filter((call) =>
        /O_CREAT/.test(call) && !/ENOENT|EEXIST/.test(call)
      );
      // The first is replaced, for which its new file has another name.
      const secrets = [/"k\.pem"/, /"\.\w+\.tmp"/, /ca2\/ca\.key\.pem"/, /d\/device\.key\.pem"/]
        .concat(/d\/hmac_key\.bin"/, /flash\.key"/, /batch\/secret\//, /batch\/images\//)
        .concat(/merged\/\.merge\/secret\//);
      for (const secret of secrets) {
        const calls = made.filter((call) => secret.test(call));
        assertEquals(calls.length > 0, true, `${secret}`);
        for (const call of calls) assertStringIncludes(call, ", 0600", call);
      }
    });
  },
);
