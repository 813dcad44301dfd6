/** Programs that answer lines: key servers, and CAs whose key only a program has. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  createCa,
  createRequest,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  type PrivateKey,
} from "../../../mod.ts";
import { installed, needing, POSIX, PROCESSES, processes } from "../../needs.ts";
import { assertNone, needlesOf } from "../needles.ts";
import { lineProgram } from "./line_program.ts";
import { cli as runCli, type Outcome } from "./batch.ts";
import {
  command,
  exists,
  inFolder as inFolderWithCa,
  issuer,
  names,
  seen,
  start,
  statesOf,
} from "./process.ts";

const signals = needing(PROCESSES, POSIX);
const BULK = ["bulk", "--count", "3", "--id-template", "d{n}", "--workers", "1", "--ca", "ca"];
const SECRETS = /1234|PIN|token|BEGIN|\n {4}at /;

/** Fails when something printed has what a program said on its standard error, or a key. */
function assertSecret(printed: string, ...keys: readonly PrivateKey[]): void {
  assert(!SECRETS.test(printed), printed);
  assertNone(needlesOf(issuer.key, ...keys), printed, printed);
}

/** Words that name a file of the test's folder. */
const FILES = /^(ca|out|no|none|k|d\.csr|d\.pem|no-.*|hsm\.der|batch)(?=$|[-\/\d])/;

/** Runs the command line in this process, with the files of a folder. */
function cli(line: readonly string[], folder: string): Promise<Outcome> {
  return runCli(...line.map((word) => FILES.test(word) ? `${folder}/${word}` : word));
}

/** The program that signs with the key of the CA. */
const signs = (folder: string, ...faults: string[]) =>
  lineProgram(`ca=${folder}/hsm.der`, ...faults);

/** A folder with a CA in `ca`, whose key is also in `hsm.der`. */
function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  return inFolderWithCa(async (folder) => {
    await Deno.writeFile(`${folder}/hsm.der`, exportPrivateKey(issuer.key, { form: "der" }));
    await act(folder);
  });
}

/** The key of the CA is where only a program has it. */
async function moveKey(folder: string): Promise<void> {
  await Deno.remove(`${folder}/ca/ca.key.pem`);
}

async function makeCa(folder: string, key: Parameters<typeof generateKey>[0]): Promise<void> {
  const made = await generateKey(key);
  const { pem } = await createCa({ subject: "CN=Device CA", key: made });
  await Deno.writeTextFile(`${folder}/ca/ca.pem`, pem);
  await Deno.writeFile(`${folder}/hsm.der`, exportPrivateKey(made, { form: "der" }));
}

async function assertGood(folder: string, batch: string): Promise<void> {
  const verified = await cli(["bulk", "verify", batch, "--ca", "ca/ca.pem"], folder);
  assertEquals(verified.code, 0, verified.stdout + verified.stderr);
}

const KEY_MODES = [
  ["plaintext", []],
  ["plaintext", ["--curve", "P-384"]],
  ["rsa-ds", ["--chip", "esp32c3", "--count", "1"]],
  ["ecdsa-peripheral", ["--chip", "esp32h2"]],
  ["hmac-encrypted", ["--chip", "esp32c6"]],
  ["hmac-derived", ["--chip", "esp32s3"]],
] as const;

for (const [mode, flags] of KEY_MODES) {
  processes.test(`a key server and a CA program make ${mode} devices ${flags.join(" ")}`, async () => {
    await inFolder(async (folder) => {
      await moveKey(folder);
      const programs = [
        "--key-server",
        lineProgram("keys"),
        "--ca-command",
        signs(folder),
      ];
      const line = [
        "bulk",
        "--id-template",
        "d{n}",
        "--workers",
        "2",
        "--key-mode",
        mode,
        "--ca",
        "ca",
      ];
      const count = flags.includes("--count" as never) ? [] : ["--count", "3"];
      const made = await cli([...line, ...count, ...flags, ...programs, "-o", "out"], folder);
      assertEquals(made.code, 0, made.stderr);
      assertMatch(made.stdout, /keys from the key server /);
      const keys = names(`${folder}/out/secret`).filter((name) => name.endsWith(".pem")).map((
        name,
      ) => importPrivateKey(Deno.readFileSync(`${folder}/out/secret/${name}`)));
      assertSecret(made.stdout + made.stderr, ...await Promise.all(keys));
      await assertGood(folder, "out");
    });
  });
}

processes.test("a CA program signs with P-384 and RSA keys of every size, and with no other key", async () => {
  await inFolder(async (folder) => {
    await moveKey(folder);
    const line = [...BULK, "--ca-command", signs(folder), "-o"];
    const kinds = [{ curve: "P-384" }, { type: "rsa" }, { type: "rsa", bits: 4096 }] as const;
    for (const [at, kind] of kinds.entries()) {
      await makeCa(folder, kind);
      const { code, stderr } = await cli([...line, `out${at}`], folder);
      assertEquals(code, 0, stderr);
      await assertGood(folder, `out${at}`);
    }
    await makeCa(folder, { curve: "P-521" });
    const refused = await cli([...line, "no"], folder);
    assertEquals(refused.code, 2);
    assertStringIncludes(
      refused.stderr,
      "signs with RSA, P-256 and P-384; the key of the CA is P-521",
    );
    assert(!names(folder).includes("no"));
  });
});

/** What ends the run, and what only a device: the faults, and what is said. */
const RUN_FAULTS: readonly (readonly [string, RegExp])[] = [
  ["fail=3", /ended with code 3$/m],
  ["signal=SIGKILL", /was ended by SIGKILL$/m],
  ["twice", /printed more than one line for a line$/m],
  ["more", /printed more than one line for a line$/m],
  ["flood", /printed more than 65536 bytes for a line$/m],
  ["hang", /gave no answer within 1 s$/m],
  ["leave", /ended with code 5$/m],
];

for (const kind of ["key-server", "ca-command"]) {
  const honest = (folder: string) => kind === "key-server" ? "keys" : `ca=${folder}/hsm.der`;
  const what = kind === "key-server" ? "the key server" : "the CA command";
  for (const [fault, expected] of RUN_FAULTS) {
    signals.test(`--${kind} with ${fault} ends the run, which continues later`, async () => {
      await inFolder(async (folder) => {
        await moveKey(folder);
        const flags = kind === "key-server" ? ["--ca-command", signs(folder)] : [];
        // The trial before the first key needs a signature too.
        const after = `after=${kind === "key-server" ? 1 : 2}`;
        const limit = fault === "hang" ? ["--answer-timeout", "1"] : [];
        const line = [...BULK, ...flags, "-o", "out"];
        const broken = lineProgram(
          honest(folder),
          after,
          fault === "leave" ? `leave=${folder}/left.pid` : fault,
        );
        const { code, stdout, stderr } = await cli(
          [...line, `--${kind}`, broken, ...limit],
          folder,
        );
        if (fault === "leave") {
          Deno.kill(Number(await Deno.readTextFile(`${folder}/left.pid`)), "SIGKILL");
        }
        assertEquals(code, 1, stdout + stderr);
        const errors = stderr.split("\n").filter((text) => text.startsWith("error:"));
        assertEquals(errors.length, 1, stderr);
        assertMatch(errors[0]!, expected);
        assertStringIncludes(errors[0]!, `${what} ${Deno.execPath()}`);
        assertMatch(
          stderr,
          /hint: .*run it by hand and type: (ec P-256|ecdsa-sha256 [A-Za-z0-9+/=]+)$/m,
        );
        assertSecret(stdout + stderr);
        // What came too late may have been taken for the next answer, whose device failed then.
        const retry = ["--retry-failed", `--${kind}`, lineProgram(honest(folder))];
        const again = await cli([...line, ...retry], folder);
        assertEquals(again.code, 0, again.stderr);
        assertEquals(statesOf(`${folder}/out`), Array(3).fill("verified"));
        await assertGood(folder, "out");
      });
    });
  }
}

for (
  const [what, script] of [
    ["output", "read line; exec >&-; exec sleep 60"],
    ["input", "read line; exec <&-; echo error; exec sleep 60"],
  ] as const
) {
  needing(PROCESSES, installed("sh")).test(
    `a program that closes its ${what} and runs on ends the run with that`,
    async () => {
      await inFolder(async (folder) => {
        const flags = ["--key-server", `sh -c '${script}'`, "-o", "out"];
        const { code, stderr } = await cli([...BULK, ...flags], folder);
        assertEquals(code, 1);
        assertStringIncludes(stderr, `error: the key server sh closed its standard ${what}\n`);
      });
    },
  );
}

const DEVICE_FAULTS: readonly (readonly [string, RegExp])[] = [
  ["refuse", /^failed d2: the key server made no key for it$/m],
  ["garbage", /^failed d2: the key server did not answer with a key in base64$/m],
  ["bytes", /^failed d2: the key server did not answer with a key in base64$/m],
  ["empty", /^failed d2: .*: the file is empty$/m],
  ["say=AAAA", /^failed d2: .*private key.*$/m],
];

for (const [fault, expected] of DEVICE_FAULTS) {
  processes.test(`a key server with ${fault} costs its device, which is made again`, async () => {
    await inFolder(async (folder) => {
      const line = [...BULK, "-o", "out"];
      const flags = ["--key-server", lineProgram("keys", "after=1", fault)];
      const { code, stdout, stderr } = await cli([...line, ...flags], folder);
      assertEquals(code, 1);
      assertMatch(stderr, expected);
      assertEquals(statesOf(`${folder}/out`), ["verified", "failed", "failed"]);
      assertEquals(names(`${folder}/out/secret`), ["d1.key.pem"]);
      assertSecret(stdout + stderr);
      const retry = ["--retry-failed", "--key-server", lineProgram("keys")];
      const again = await cli([...line, ...retry], folder);
      assertEquals(again.code, 0, again.stderr);
      await assertGood(folder, "out");
    });
  });
}

processes.test("a key that is repeated, of another kind, of two halves or the CA's costs its device", async () => {
  await inFolder(async (folder) => {
    const first = async (fault: string, out: string, ...keys: PrivateKey[]) => {
      const server = ["--key-server", lineProgram("keys", fault)];
      const { code, stderr } = await cli(
        [...BULK, ...server, "-o", `out-${out}`],
        folder,
      );
      assertEquals(code, 1);
      assertSecret(stderr, ...keys);
      return { stderr, states: statesOf(`${folder}/out-${out}`) };
    };
    const repeated = await first("repeat", "a");
    assertEquals(repeated.states, ["verified", "failed", "failed"]);
    assertMatch(repeated.stderr, /^failed d2: .*key.* of d1/m);
    assertEquals(names(`${folder}/out-a/secret`), ["d1.key.pem"]);
    const longer = await generateKey({ curve: "P-384" });
    const other = await first(`say=${longer.pkcs8.toBase64()}`, "b", longer);
    assertMatch(other.stderr, /^failed d1: .*P-384.*P-256/m);
    const [one, two] = await Promise.all([generateKey(), generateKey()]);
    const mixed = one.pkcs8.slice();
    // The public key at the end of the one is that of the other.
    mixed.set(two.pkcs8.subarray(-65), mixed.length - 65);
    const halves = await first(`say=${mixed.toBase64()}`, "c", one);
    assertMatch(halves.stderr, /^failed d1: .*(halves|belong|public key)/m);
    const own = await Deno.readTextFile(`${folder}/ca/ca.key.pem`);
    const ca = own.replace(/-----[^-]+-----|\s/g, "");
    assertMatch((await first(`say=${ca}`, "d")).stderr, /^failed d1: its key is that of the CA$/m);
  });
});

const CA_FAULTS: readonly (readonly [string, RegExp])[] = [
  ["refuse", /the CA command refused to sign$/m],
  ["garbage", /the CA command did not answer with a signature in base64$/m],
  ["bytes", /the CA command did not answer with a signature in base64$/m],
  ["empty", /not of the issuer's key$/m],
  ["say=MAYCAQECAQE=", /not of the issuer's key$/m],
  // The signature of another certificate.
  ["repeat", /not of the issuer's key$/m],
];

for (const [fault, expected] of CA_FAULTS) {
  processes.test(`a CA program with ${fault} is found before the first key, or costs its device`, async () => {
    await inFolder(async (folder) => {
      await moveKey(folder);
      const line = [...BULK, "-o", "out"];
      const faulty = (
        after: number,
      ) => ["--ca-command", signs(folder, `after=${after}`, fault)];
      if (fault !== "repeat") {
        const before = await cli([...line, ...faulty(0)], folder);
        assertEquals(before.code, 1);
        assertMatch(before.stderr, expected);
        assert(!names(folder).includes("out"));
      }
      const { code, stdout, stderr } = await cli(
        [...line, ...faulty(fault === "repeat" ? 0 : 2)],
        folder,
      );
      assertEquals(code, 1, stdout + stderr);
      assertMatch(stderr, expected);
      assertSecret(stdout + stderr);
      const states = fault === "repeat"
        ? Array(3).fill("failed")
        : ["verified", "failed", "failed"];
      // Which device is certified first is not known.
      assertEquals(statesOf(`${folder}/out`).toSorted(), states.toSorted());
      const retry = ["--retry-failed", "--ca-command", signs(folder)];
      const again = await cli([...line, ...retry], folder);
      assertEquals(again.code, 0, again.stderr);
      await assertGood(folder, "out");
    });
  });
}

processes.test("a CA program with another key than ca.pem's is found before the first key", async () => {
  await inFolder(async (folder) => {
    const other = exportPrivateKey(await generateKey(), { form: "der" });
    await Deno.writeFile(`${folder}/hsm.der`, other);
    const flags = ["--ca-command", signs(folder), "-o", "out"];
    const { code, stderr } = await cli([...BULK, ...flags], folder);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "no key was made");
    assert(!names(folder).includes("out"));
  });
});

processes.test("programs and flags that do not go together are errors of usage", async () => {
  await inFolder(async (folder) => {
    const wrong = async (code: number, expected: string, ...flags: string[]) => {
      const { code: found, stderr } = await cli([...BULK, ...flags, "-o", "out"], folder);
      assertStringIncludes(stderr, expected);
      assertEquals(found, code, stderr);
      assert(!names(folder).includes("out"));
      return stderr;
    };
    await wrong(2, "not from --keys and --key-server", "--keys", "k", "--key-server", "x");
    await wrong(
      2,
      "not from --key-command and --key-server",
      "--key-command",
      "k",
      "--key-server",
      "x",
    );
    await wrong(2, "--key-server is empty", "--key-server", " ");
    await wrong(2, "--ca-command is empty", "--ca-command", " ");
    await wrong(2, "with --csr they come from elsewhere", "--ca-command", "x", "--csr");
    await wrong(2, 'from 1 to 86400; not "0"', "--key-server", "x", "--answer-timeout", "0");
    await wrong(1, "Cannot run nosuchprogram: no such program", "--key-server", "nosuchprogram");
    await wrong(1, "Cannot run nosuchprogram: no such program", "--ca-command", "nosuchprogram");
    const denied = await cli([...BULK, "--key-server", `${folder}/ca/ca.pem`, "-o", "out"], folder);
    assertMatch(denied.stderr, /^error: Cannot run .*ca\.pem: the system denies it$/m);
    await Deno.remove(`${folder}/out`, { recursive: true });
    for (const flag of ["--key-server", "--ca-command", "--key-command"]) {
      const quoted = await wrong(1, "Cannot run nosuch …: no such", flag, "'nosuch --pin 1234'");
      assertStringIncludes(quoted, "hint: the first word of the line is the program");
      assertSecret(quoted);
      assertSecret(await wrong(1, "Cannot run CODE=…: no such", flag, "CODE=1234 ./nosuch"));
      assertSecret(
        await wrong(1, "Cannot run CODE=…: no such", flag, "CODE=1234 ./nosuch", "--json"),
      );
    }
    await Deno.remove(`${folder}/ca`, { recursive: true });
    await wrong(1, "no CA in", "--ca-command", "deno");
  });
});

/** Whether programs that left marks have ended. */
function haveEnded(folder: string, mark: string): boolean {
  const ids = names(folder).filter((name) => name.startsWith(`${mark}.`));
  assert(ids.length > 0);
  return ids.every((name) => {
    try {
      Deno.kill(Number(name.split(".")[1]), "SIGCONT");
      return false;
    } catch {
      return true;
    }
  });
}

for (const flag of ["key-server", "ca-command"]) {
  signals.test(`SIGTERM ends a --${flag} that hangs, and its devices stay as they were`, async () => {
    await inFolder(async (folder) => {
      await moveKey(folder);
      const [honest, after] = flag === "key-server" ? ["keys", 1] : [`ca=${folder}/hsm.der`, 2];
      const words = lineProgram(
        honest,
        `mark=${folder}/runs`,
        "stubborn",
        `after=${after}`,
        "hang",
      );
      const ca = flag === "ca-command" ? [] : ["--ca-command", signs(folder)];
      const running = start(command([...BULK, ...ca, `--${flag}`, words, "-o", "batch"], folder));
      const images = `${folder}/batch/images`;
      const isOneMade = () => exists(images) && names(images).some((name) => name.endsWith(".bin"));
      assert(await seen(running, isOneMade));
      running.kill("SIGTERM");
      const { code, stderr } = await running.outcome;
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, "stopped; run the same command again to continue");
      assert(haveEnded(folder, "runs"));
      const { stdout } = await cli(["bulk", "status", "batch", "--json"], folder);
      const { pending, failed, verified } = JSON.parse(stdout).states;
      assertEquals([pending, failed, verified], [2, 0, 1]);
    });
  });
}

processes.test("issue asks a program for the signature", async () => {
  await inFolder(async (folder) => {
    await moveKey(folder);
    const key = await generateKey();
    const request = await createRequest({ key, subject: "CN=device" });
    await Deno.writeTextFile(`${folder}/d.csr`, request.pem);
    const line = ["issue", "--csr", "d.csr", "--ca", "ca/ca.pem", "-o", "d.pem"];
    const made = await cli([...line, "--ca-command", signs(folder)], folder);
    assertEquals(made.code, 0, made.stderr);
    const both = await cli(
      [...line, "--force", "--ca-key", "hsm.der", "--ca-command", "x"],
      folder,
    );
    assertEquals(both.code, 2);
    const own = issuer.key.pkcs8;
    const keys = [own.toBase64(), own.toHex()].map((key) =>
      [`say=${key}`, /issuer.s key$|base64$/] as const
    );
    for (const [fault, expected] of [...RUN_FAULTS, ...CA_FAULTS, ...keys]) {
      if (fault === "repeat" || fault.startsWith("leave")) continue;
      const words = signs(folder, fault);
      const flags = ["--ca-command", words, "--answer-timeout", fault === "hang" ? "1" : "60"];
      const out = [
        "issue",
        "--csr",
        "d.csr",
        "--ca",
        "ca/ca.pem",
        "-o",
        `no-${fault.slice(0, 4)}.pem`,
      ];
      const { code, stderr, stdout } = await cli([...out, ...flags], folder);
      assertEquals([code, stdout], [1, ""], stderr);
      assertMatch(stderr, expected);
      assertSecret(stderr);
      assert(!names(folder).some((name) => name.startsWith("no-")), fault);
    }
  });
});
