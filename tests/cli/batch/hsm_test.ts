/**
 * The examples of programs for a batch, with their real partners: SoftHSM (Debian: `softhsm2`) and Node
 * 26. Skipped where these are absent.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createCa, exportPrivateKey, generateKey } from "../../../mod.ts";
import { installed, LINUX, type Need, needing, PROCESSES } from "../../needs.ts";
import { cli, inFolder, run } from "../../process.ts";

const MODULE = "/usr/lib/softhsm/libsofthsm2.so";
const EXAMPLES = new URL("../../../examples/batch/", import.meta.url);
const pathOf = (name: string) => new URL(name, EXAMPLES).pathname;
const PIN = "271828";
const KINDS = [{ curve: "P-256" }, { curve: "P-384" }, { type: "rsa", bits: 2048 }] as const;

/** The 64-bit library that the example is called with. */
function softHsm(): Need {
  const isThere = (() => {
    try {
      return Deno.statSync(MODULE).isFile;
    } catch {
      return false;
    }
  })();
  return isThere ? installed("softhsm2-util") : `no ${MODULE}`;
}

/** A token with a key in it, and what finds it. */
async function makeToken(folder: string, key: Uint8Array): Promise<Record<string, string>> {
  await Deno.mkdir(`${folder}/tokens`);
  const conf = `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\n`;
  await Deno.writeTextFile(`${folder}/softhsm2.conf`, conf);
  await Deno.writeTextFile(`${folder}/hsm.pin`, `${PIN}\n`);
  await Deno.writeFile(`${folder}/key.pem`, key);
  const env = { SOFTHSM2_CONF: `${folder}/softhsm2.conf` };
  const softhsm = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("softhsm2-util", args, folder, env);
    assertEquals(code, 0, stdout + stderr);
  };
  const pins = ["--so-pin", "314159", "--pin", PIN];
  await softhsm("--init-token", "--free", "--label", "factory", ...pins);
  const where = ["--token", "factory", "--label", "ca", "--id", "01", "--pin", PIN];
  await softhsm("--import", "key.pem", ...where);
  await Deno.remove(`${folder}/key.pem`);
  return env;
}

const hsm = needing(PROCESSES, LINUX, softHsm());

for (const kind of KINDS) {
  const name = "curve" in kind ? kind.curve : `RSA-${kind.bits}`;
  hsm.test(`a ${name} CA in an HSM signs a batch and a single certificate`, async () => {
    await inFolder(async (folder) => {
      const key = await generateKey(kind);
      const { pem } = await createCa({ subject: "CN=HSM CA", key });
      await Deno.mkdir(`${folder}/ca`);
      await Deno.writeTextFile(`${folder}/ca/ca.pem`, pem);
      const env = await makeToken(folder, exportPrivateKey(key));
      const words = ["run", "--no-prompt", "--allow-ffi", "--allow-read=hsm.pin"];
      const program = [Deno.execPath(), ...words, pathOf("pkcs11_ca.ts"), MODULE, "factory"];
      const signs = (label: string) => ["--ca-command", [...program, label, "hsm.pin"].join(" ")];
      const line = ["bulk", "--count", "20", "--ca", "ca", "-o"];
      const made = await cli([...line, "out", ...signs("ca")], folder, env);
      assertEquals(made.code, 0, made.stderr);
      const verified = await cli(["bulk", "verify", "out", "--ca", "ca/ca.pem"], folder);
      assertEquals(verified.code, 0, verified.stdout + verified.stderr);
      const missing = await cli([...line, "none", ...signs("nokey")], folder, env);
      assertEquals(missing.code, 1);
      assertStringIncludes(missing.stderr, "ended with code 1");
      assertEquals(missing.stderr.includes(PIN), false);
      const device = await cli(["keygen", "-o", "device.pem"], folder);
      assertEquals(device.code, 0, device.stderr);
      const flags = ["--key", "device.pem", "--subject", "CN=device", "--ca", "ca/ca.pem"];
      const issued = await cli(["issue", ...flags, ...signs("ca"), "-o", "d.pem"], folder, env);
      assertEquals(issued.code, 0, issued.stderr);
    });
  });
}

needing(PROCESSES, installed("npx")).test("Node 26 makes the keys of a batch", async () => {
  await inFolder(async (folder) => {
    const server = ["--key-server", `npx --yes node@26 ${pathOf("key_server.mjs")}`];
    const line = ["bulk", "--id-template", "d{n}", "--answer-timeout", "300", ...server];
    for (const flags of [["--count", "4"], ["--count", "2", "--type", "rsa"]]) {
      const out = `out${flags.length}`;
      const made = await cli([...line, ...flags, "-o", out], folder);
      assertEquals(made.code, 0, made.stderr);
      assertStringIncludes(made.stdout, "keys from the key server npx");
      const verified = await cli(["bulk", "verify", out, "--ca", "ca/ca.pem"], folder);
      assertEquals(verified.code, 0, verified.stdout + verified.stderr);
    }
  });
});
