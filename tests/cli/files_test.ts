/** Outputs on a real disk: what is replaced, what is written through, and what a failure leaves. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { areKey } from "../../lib/cli/disk/write.ts";
import { encodePartition, exportPrivateKey, generateKey } from "../../mod.ts";
import { needing, POSIX, PROCESSES } from "../needs.ts";
import { cli, deno, exists, inFolder, type Outcome } from "../process.ts";
import { CLI } from "../process.ts";

const real = needing(PROCESSES, POSIX);

/** A folder with a device, its CA, and short names for what the tests do. */
async function withDevice(
  act: (at: {
    readonly folder: string;
    /** Runs a command line with exactly these words. */
    readonly run: (...line: readonly string[]) => Promise<Outcome>;
    readonly read: (name: string) => Uint8Array;
  }) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const run = (...line: readonly string[]) => cli(line, folder);
    const { code, stderr } = await run("provision", "--id", "d", "-o", "d");
    assertEquals(code, 0, stderr);
    await act({ folder, run, read: (name) => Deno.readFileSync(`${folder}/${name}`) });
  });
}

/** Everything in a folder, sorted. */
function names(folder: string, inside = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${inside}`)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? [`${inside}${name}/`, ...names(folder, `${inside}${name}/`)]
      : [`${inside}${name}`]
  ).sort();
}

real.test("no key is replaced by --force, in any command that writes one", async () => {
  await withDevice(async ({ folder, run, read }) => {
    const ds = ["--chip", "esp32c3", "--key-mode", "hmac-derived"];
    assertEquals((await run("provision", "--id", "e", "-o", "e", ...ds)).code, 0);
    assertEquals((await run("keygen", "-o", "k.pem")).code, 0);
    assertEquals((await run("extract", "d/esp_secure_cert.bin", "-o", "x")).code, 0);
    assertEquals((await run("provision", "--id", "f", "-o", "f")).code, 0);
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ["k.pem", ["keygen", "-o", "k.pem"]],
      ["k.pem", ["keygen", "--form", "der", "-o", "k.pem"]],
      ["ca/ca.key.pem", ["ca", "--subject", "CN=x", "-o", "ca"]],
      ["d/device.key.pem", ["provision", "--id", "d", "-o", "d"]],
      ["e/hmac_key.bin", ["build", ...ds, "-o", "e/esp_secure_cert.bin"]],
      ["x/contents/privkey.pem", ["extract", "f/esp_secure_cert.bin", "-o", "x"]],
    ];
    const found = names(`${folder}/x`).filter((name) => /priv/.test(name));
    for (const [name, line] of cases) {
      const path = name.startsWith("x/") ? `x/${found[0]}` : name;
      const before = read(path);
      const tree = names(folder);
      for (const flags of [[], ["--force"]]) {
        const { code, stderr } = await run(...line, ...flags);
        assertEquals([line[0], code], [line[0], 1], stderr);
        assertEquals(read(path), before, path);
      }
      const { stderr } = await run(...line, "--force");
      assertStringIncludes(stderr, "--force-key to replace it");
      assertEquals(names(folder), tree);
      const { code, stderr: said } = await run(...line, "--force-key");
      assertEquals([line[0], code], [line[0], 0], said);
      assertEquals(read(path).toHex() === before.toHex(), false, path);
      assertEquals(Deno.statSync(`${folder}/${path}`).mode! & 0o777, 0o600);
    }
  });
});

real.test("a key file is not replaced by something else, either", async () => {
  await withDevice(async ({ folder, run, read }) => {
    const key = await generateKey();
    const keys: Record<string, Uint8Array | string> = {
      "a.der": exportPrivateKey(key, { form: "der" }),
      "b.der": exportPrivateKey(key, { form: "der", encoding: "traditional" }),
      "c.bin": crypto.getRandomValues(new Uint8Array(32)),
      "d.hex": `${"0f".repeat(32)}\n`,
      "e.pem": "text\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
    };
    for (const [name, bytes] of Object.entries(keys)) {
      Deno.writeFileSync(
        `${folder}/${name}`,
        typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes,
      );
      const before = read(name);
      for (
        const line of [
          ["csr", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", name],
          ["convert", "d/esp_secure_cert.bin", "--to", "nvs", "-o", name],
          ["append", "d/esp_secure_cert.bin", "--data", "user1=string:x", "-o", name],
        ]
      ) {
        const { code, stderr } = await run(...line, "--force");
        assertEquals(code, 1, stderr);
        assertStringIncludes(stderr, "holds a key");
        assertEquals(/--force-key/.test(stderr), false, "a flag that the command has not");
        assertEquals(read(name), before);
      }
    }
    // Digests, images and requests are not keys.
    const line = ["csr", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", "r.csr"];
    assertEquals((await run(...line)).code, 0);
    assertEquals((await run(...line, "--force")).code, 0);
    const convert = ["convert", "d/esp_secure_cert.bin", "--to", "tlv", "-o", "i.bin"];
    assertEquals((await run(...convert)).code, 0);
    assertEquals((await run(...convert, "--force")).code, 0);
  });
});

Deno.test("keys are known by their bytes", async () => {
  const keys = await Promise.all([
    generateKey(),
    generateKey({ curve: "P-384" }),
    generateKey({ type: "rsa", bits: 2048 }),
  ]);
  for (const key of keys) {
    for (const form of ["pem", "der"] as const) {
      for (const encoding of ["pkcs8", "traditional"] as const) {
        assertEquals(areKey(exportPrivateKey(key, { form, encoding })), true);
      }
    }
    assertEquals(areKey(key.publicKey), false);
  }
  const image = encodePartition([{ type: 51, data: new Uint8Array(9) }], { integrity: false });
  assertEquals([image.length, areKey(image)], [32, false]);
  for (const bytes of [[], [0x30], [0x30, 0x84, 1], [0x30, 3, 2, 1, 9]]) {
    assertEquals(areKey(new Uint8Array(bytes)), false);
  }
});

real.test("nothing is written through a symbolic link", async () => {
  await withDevice(async ({ folder, run, read }) => {
    await Deno.writeTextFile(`${folder}/victim`, "precious");
    const links = ["k.pem", "o.bin", "r.csr", "dangling"];
    for (const name of links) {
      await Deno.symlink(name === "dangling" ? "nowhere" : "victim", `${folder}/${name}`);
    }
    for (
      const line of [
        ["keygen", "-o", "k.pem"],
        ["keygen", "-o", "dangling"],
        ["keygen", "-o", "n.pem", "--public", "o.bin"],
        ["convert", "d/esp_secure_cert.bin", "--to", "nvs", "-o", "o.bin"],
        ["csr", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", "r.csr"],
      ]
    ) {
      for (const force of [[], ["--force"]]) {
        const { code, stderr } = await run(...line, ...force);
        assertEquals(code, 1, stderr);
        assertStringIncludes(stderr, "is a symbolic link, and nothing is written through one");
      }
    }
    // With no more permission than to write, too.
    const write = [
      "run",
      "--no-prompt",
      "--allow-write=k.pem,victim",
      CLI,
      "keygen",
      "-o",
      "k.pem",
    ];
    assertEquals((await deno([...write, "--force-key"], folder)).code, 1);
    assertEquals(new TextDecoder().decode(read("victim")), "precious");
    assertEquals([exists(`${folder}/nowhere`), exists(`${folder}/n.pem`)], [false, false]);
    for (const name of links) assertEquals(Deno.lstatSync(`${folder}/${name}`).isSymlink, true);
  });
});

real.test("another name of a replaced file keeps its content", async () => {
  await withDevice(async ({ folder, run, read }) => {
    for (const permissions of [["-A"], ["--allow-write=o.pem"]]) {
      await Deno.writeTextFile(`${folder}/old`, "old");
      await Deno.link(`${folder}/old`, `${folder}/o.pem`);
      const line = ["run", "--no-prompt", ...permissions, CLI, "keygen", "-o", "o.pem"];
      const { code, stderr } = await deno([...line, "--force-key"], folder);
      assertEquals(code, 0, stderr);
      assertEquals(new TextDecoder().decode(read("old")), "old");
      assertStringIncludes(new TextDecoder().decode(read("o.pem")), "PRIVATE KEY");
      assertEquals(Deno.statSync(`${folder}/o.pem`).mode! & 0o777, 0o600);
      await Deno.remove(`${folder}/o.pem`);
    }
    assertEquals((await run("keygen", "-o", "p.pem")).code, 0);
    assertEquals(names(folder).filter((name) => name.endsWith(".tmp")), []);
  });
});

real.test("an output that is an input is refused, by whatever name", async () => {
  await withDevice(async ({ folder, run, read }) => {
    const image = "d/esp_secure_cert.bin";
    await Deno.symlink(image, `${folder}/link.bin`);
    await Deno.link(`${folder}/${image}`, `${folder}/hard.bin`);
    const before = read(image);
    const append = (
      input: string,
      out: string,
    ) => ["append", input, "--data", "user1=string:x", "-o", out];
    const lines = [
      ...[image, `./${image}`, `d/../${image}`, `${folder}/${image}`, "hard.bin", "link.bin"]
        .map((out) => append(image, out)),
      append("hard.bin", image),
      append("link.bin", image),
      ["convert", image, "--to", "tlv", "-o", image],
      ["csr", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", "d/device.key.pem"],
      ["build", "--private-key", "d/device.key.pem", "-o", "d/device.key.pem", "--no-verify"],
      ["build", "--data", `user1=file:${image}`, "-o", image, "--no-verify"],
      ["keygen", "-o", "n.pem", "--public", "./n.pem"],
    ];
    for (const line of lines) {
      for (const force of [[], ["--force"]]) {
        const { code, stderr } = await run(...line, ...force);
        assertEquals([line, code], [line, 2], stderr);
      }
    }
    assertEquals(read(image), before);
    assertEquals(exists(`${folder}/n.pem`), false);
    // With the permissions of the help.
    const permitted = ["run", "--no-prompt", `--allow-read=${image}`, "--allow-write=hard.bin"];
    const { code, stderr } = await deno([...permitted, CLI, ...append(image, "hard.bin")], folder);
    assertEquals(code, 2, stderr);
  });
});

real.test("a command that fails leaves no file and no folder", async () => {
  await withDevice(async ({ folder, run }) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.writeTextFile(`${folder}/bad.bin`, "no image");
    await Deno.mkdir(`${folder}/full/ca`, { recursive: true });
    await Deno.writeTextFile(`${folder}/full/ca/ca.pem`, "there");
    const tree = names(folder);
    const long = "x".repeat(300);
    for (
      const line of [
        ["ca", "--subject", "CN=x", "-o", `n/o/${long}`],
        ["ca", "--subject", "CN=x", "-o", "file/below"],
        ["ca", "--subject", "CN=x", "-o", "full/ca"],
        ["ca", "--subject", "nonsense", "-o", "n"],
        ["provision", "--id", "p", "--ca", `n/o/${long}`, "-o", "p/q"],
        ["provision", "--id", "p", "--ca", "n/o", "-o", `p/${long}`],
        ["provision", "--id", "p", "--ca", "n/o", "-o", "file/p"],
        ["provision", "--id", "p", "--ca", "full/ca", "-o", "p/q"],
        ["extract", "bad.bin", "-o", "n/o"],
        ["extract", "d/esp_secure_cert.bin", "-o", `n/o/${long}`],
        ["extract", "missing.bin", "-o", "n"],
        ["keygen", "-o", "k.pem", "--public", `${long}.pem`],
        ["keygen", "-o", "k.pem", "--public", "d"],
        ["build", "--csv", "missing.csv", "-o", "n.bin"],
        ["bulk", "--count", "1", "--ca", `n/o/${long}`, "-o", "b/c"],
        ["bulk", "--count", "1", "--key-mode", "rsa-ds", "-o", "b/c"],
        ["bulk", "--devices", "missing.csv", "-o", "b/c"],
        ["bulk", "export", "d", "--to", "csv", "-o", "n/o"],
        ["bulk", "merge", "d", "-o", "n/o"],
        ["configure", "--private-key", "bad.bin", "--skip_flash"],
        ["configure", "--parse_bin", "bad.bin"],
      ]
    ) {
      const { code, stderr } = await run(...line);
      assertEquals(code === 0, false, stderr);
      assertEquals(/Uncaught|^ +at /m.test(stderr), false, stderr);
      assertEquals(names(folder), tree, line.join(" ").slice(0, 80));
    }
  });
});

real.test("key files are their owner's only, whatever the umask", async () => {
  await inFolder(async (folder) => {
    for (const umask of ["000", "022", "077", "277", "777"]) {
      const line = `umask ${umask}; "$0" run -A --no-prompt "$1" keygen -o k${umask}.pem`;
      const args = ["-c", `${line} && ${line} --force-key`, Deno.execPath(), CLI];
      const { success, stderr } = await new Deno.Command("sh", { args, cwd: folder }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      assertEquals(Deno.statSync(`${folder}/k${umask}.pem`).mode! & 0o777, 0o600, umask);
    }
  });
});

real.test("a device is written to, and only when it is said", async () => {
  await withDevice(async ({ run }) => {
    assertEquals((await run("keygen", "-o", "/dev/null")).code, 1);
    assertEquals((await run("keygen", "-o", "/dev/null", "--force")).code, 0);
    const { code, stdout, stderr } = await run("keygen", "-o", "/dev/stdout", "--force");
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, "PRIVATE KEY");
  });
});

needing(PROCESSES, POSIX, exists("/usr/bin/script") ? undefined : "no script").test(
  "no binary and no key goes to a terminal, by whatever name it has",
  async () => {
    await withDevice(async ({ folder }) => {
      const onTerminal = async (line: string) => {
        const command = `'${Deno.execPath()}' run -A --no-prompt '${CLI}' ${line}`;
        const args = ["-qec", command, "/dev/null"];
        const output = await new Deno.Command("script", { args, cwd: folder, stdin: "null" })
          .output();
        return { code: output.code, text: new TextDecoder().decode(output.stdout) };
      };
      for (const out of ["-", "/dev/stdout --force", "/dev/tty --force"]) {
        for (
          const line of [
            `keygen -o ${out}`,
            `keygen --form der -o ${out}`,
            `convert d/esp_secure_cert.bin --to nvs -o ${out}`,
            `extract d/esp_secure_cert.bin -o ${out}`,
          ]
        ) {
          const { code, text } = await onTerminal(line);
          assertEquals(code === 0 || /PRIVATE KEY|\0/.test(text), false, `${line}: ${text}`);
        }
      }
      const csr = await onTerminal(`csr --key d/device.key.pem --subject CN=x -o -`);
      assertStringIncludes(csr.text, "BEGIN CERTIFICATE REQUEST");
    });
  },
);
