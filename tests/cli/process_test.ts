/** The command line as a process: permissions, files, exit codes, and imports from a URL. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { formatPem } from "../../lib/bytes/pem.ts";
import { loadCommands } from "../../lib/cli/commands.ts";
import { VERSION } from "../../lib/cli/help.ts";
import { generateKey, importPrivateKey } from "../../mod.ts";
import { LINUX, needing, PROCESSES, processes } from "../needs.ts";
import { CLI, deno, inFolder } from "../process.ts";
import { makeBatch } from "./batch/batch.ts";

const ROOT = new URL("../../", import.meta.url);

const runCli = (permissions: readonly string[], line: readonly string[], cwd: string) =>
  deno(["run", "--no-prompt", ...permissions, CLI, ...line], cwd);

/** Words of a command line as a shell splits them, as far as the documentation uses it. */
function words(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted?.replace(/\\(["\\$`])/g, "$1") ?? plain!
  );
}

/** Runs a documented command line, which must succeed. */
async function runLine(line: string, cwd: string): Promise<void> {
  const [program, ...rest] = words(line);
  assertEquals(program, "deno", line);
  const args = rest.map((word) => word === "cli.ts" ? CLI : word).toSpliced(1, 0, "--no-prompt");
  const { code, stderr } = await deno(args, cwd);
  assertEquals(code, 0, `${line}\n${stderr}`);
}

for (const name of ["docs/batch.md", "docs/flash_encryption.md"]) {
  processes.test(`every command of ${name} runs`, async () => {
    const page = await Deno.readTextFile(new URL(name, ROOT));
    const lines = [...page.matchAll(/```sh\n([\s\S]*?)```/g)]
      .flatMap(([, block]) => block!.trim().split("\n"));
    await inFolder(async (folder) => {
      for (const line of lines) await runLine(line, folder);
    });
    assertEquals(lines.length >= 4, true);
  });
}

processes.test("the example of every --help runs with the permissions it names", async () => {
  await inFolder(async (folder) => {
    const at = (name: string) => `${folder}/${name}`;
    await runCli(["-A"], ["provision", "--id", "made", "-o", "made", "--ca", "ca"], folder);
    await Deno.copyFile(at("made/esp_secure_cert.bin"), at("given.bin"));
    await Deno.mkdir(at("dumps"));
    await Deno.copyFile(at("given.bin"), at("dumps/given.bin"));
    for (const { name, examples } of await loadCommands()) {
      for (const { permissions, line } of examples) {
        if (["completions", "connect", "serve"].includes(name)) continue;
        if (name === "ca") await Deno.rename(at("ca"), at("old_ca"));
        if (name === "issue") await makePublicKey(folder);
        if (name === "sign") await Deno.copyFile(at("device.key.pem"), at("signing.key.pem"));
        if (name === "diff") await Deno.copyFile(at("esp_secure_cert.bin"), at("dump.bin"));
        if (name === "bulk") await Deno.remove(at("batch"), { recursive: true });
        if (name === "verify" || name === "bulk status") await prepareBatch(folder);
        if (name === "build") await Deno.copyFile(at("ca/ca.pem"), at("ca.pem"));
        await runLine(`deno run ${permissions} cli.ts ${line}`, folder);
      }
    }
  });
});

/** A public key without its private half, as the example of `issue` certifies it. */
async function makePublicKey(folder: string): Promise<void> {
  const { publicKey } = await generateKey();
  await Deno.writeTextFile(`${folder}/device.pub.pem`, formatPem("PUBLIC KEY", publicKey));
}

/** The folder that the examples of `bulk status` and its like read, when no example has made one. */
async function prepareBatch(folder: string): Promise<void> {
  const made = [...Deno.readDirSync(folder)].some(({ name }) => name === "batch");
  if (made) return;
  const issuer = {
    certificate: await Deno.readFile(`${folder}/ca/ca.pem`),
    key: await importPrivateKey(await Deno.readFile(`${folder}/ca/ca.key.pem`)),
  };
  await makeBatch(`${folder}/batch`, { ids: ["dev-1", "dev-2"], issuer });
}

processes.test("--help and --version need no permission, and the version is that of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  assertEquals(version, VERSION);
  await inFolder(async (folder) => {
    assertEquals((await runCli([], ["--help"], folder)).code, 0);
    assertEquals((await runCli([], ["build", "--help"], folder)).code, 0);
    assertEquals((await runCli([], ["--version"], folder)).stdout.trim(), VERSION);
  });
});

processes.test("files that cannot be read or written end in one line and a fitting code", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/dir`);
    await Deno.writeTextFile(`${folder}/there`, "old");
    const cases: readonly (readonly [readonly string[], readonly string[], string])[] = [
      [["-A"], ["inspect", "missing"], "error: Cannot read missing: no such file"],
      [["-A"], ["inspect", "dir"], "error: no image in dir: it has no file *.bin"],
      [["-A"], ["extract", "dir", "-o", "new"], "error: Cannot read dir: it is a folder"],
      [[], ["inspect", "there"], "hint: add --allow-read=there"],
      [[], ["keygen", "-o", "new"], "hint: add --allow-write=new"],
      [["-A"], ["keygen", "-o", "there"], "hint: give --force-key to replace it"],
      [
        ["-A"],
        ["keygen", "-o", "no/where"],
        "error: Cannot write no/where: its folder does not exist",
      ],
      [["-A"], ["keygen", "-o", "there/below"], "error: Cannot write there/below"],
    ];
    for (const [permissions, line, text] of cases) {
      const { code, stdout, stderr } = await runCli(permissions, line, folder);
      assertEquals([code, stdout], [1, ""], line.join(" "));
      assertStringIncludes(stderr, text);
      assertEquals(stderr.includes("    at "), false, stderr);
    }
    assertEquals(await Deno.readTextFile(`${folder}/there`), "old");
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["dir", "there"]);
  });
});

processes.test("secrets are mode 0600, replaced or new, and a forced replacement leaves no other file", async () => {
  await inFolder(async (folder) => {
    const path = `${folder}/key.pem`;
    await runCli(["-A"], ["keygen", "-o", "key.pem"], folder);
    const first = await Deno.readTextFile(path);
    if (Deno.build.os !== "windows") {
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
      await Deno.chmod(path, 0o644);
    }
    for (const permissions of [["-A"], ["--allow-write=key.pem"]]) {
      const { code, stderr } = await runCli(
        permissions,
        ["keygen", "-o", "key.pem", "--force-key"],
        folder,
      );
      assertEquals(code, 0, stderr);
      assertEquals(await Deno.readTextFile(path) === first, false);
      if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    }
    assertEquals([...Deno.readDirSync(folder)].length, 1);
  });
});

needing(PROCESSES, LINUX).test(
  "a full disk ends in one line, and what was there stays",
  async () => {
    await inFolder(async (folder) => {
      const { code, stderr } = await runCli(
        ["-A"],
        ["keygen", "-o", "/dev/full", "--force"],
        folder,
      );
      assertEquals(code, 1);
      assertStringIncludes(stderr, "error: Cannot write /dev/full: no space left on device");
    });
  },
);

processes.test("mod.ts and cli.ts run from a URL on another machine, with no import map", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      try {
        const text = await Deno.readTextFile(new URL(pathname.slice(1), ROOT));
        return new Response(text, { headers: { "content-type": "application/typescript" } });
      } catch {
        return new Response("not found", { status: 404 });
      }
    },
  );
  const host = `127.0.0.1:${server.addr.port}`;
  try {
    await inFolder(async (folder) => {
      const script = `import { encodeTlv } from "http://${host}/mod.ts";
        console.log(encodeTlv({ type: 51, data: new Uint8Array(1) }).length);`;
      await Deno.writeTextFile(`${folder}/script.ts`, script);
      const flags = ["run", "--no-prompt", "--check", `--allow-import=${host}`];
      const imported = await deno([...flags, "script.ts"], folder);
      assertEquals([imported.code, imported.stdout], [0, "32\n"], imported.stderr);
      const example = `import { describe } from "http://${host}/examples/inspect_image.ts";
        console.log(await describe(new Uint8Array()));`;
      await Deno.writeTextFile(`${folder}/example.ts`, example);
      const described = await deno([...flags, "example.ts"], folder);
      assertStringIncludes(described.stdout, "the file is empty", described.stderr);
      const line = [
        ...flags,
        "--allow-write=key.pem",
        `http://${host}/cli.ts`,
        "keygen",
        "-o",
        "key.pem",
      ];
      const ran = await deno(line, folder);
      assertEquals(ran.code, 0, ran.stderr);
      const batch = ["bulk", "--count", "3", "--workers", "2", "-o", "batch", "--json"];
      const folders = ["--allow-read=ca,batch", "--allow-write=ca,batch"];
      const made = await deno([...flags, ...folders, `http://${host}/cli.ts`, ...batch], folder);
      assertEquals(made.code, 0, made.stderr);
      const { summary } = JSON.parse(made.stdout.trimEnd().split("\n").at(-1)!);
      assertEquals([summary.workers, summary.counts.verified], [2, 3], made.stdout);
      assertEquals(made.stderr.match(/a development CA in ca/g)?.length, 1);
    });
  } finally {
    await server.shutdown();
  }
});

processes.test("the examples run as their first line says", async () => {
  const order = [
    "provision_device",
    "build_from_files",
    "inspect_image",
    "read_flash_dump",
    "issue_from_csr",
    "key_in_hardware",
    "rotate_certificate",
    "compare_dumps",
    "sign_with_external_process",
    "migrate_from_python_tool",
    "make_batch",
    "demo",
  ];
  const names = [...Deno.readDirSync(new URL("examples/", ROOT))]
    .filter(({ isFile }) => isFile).map(({ name }) => name.replace(".ts", ""));
  assertEquals(names.sort(), order.toSorted());
  await inFolder(async (folder) => {
    for (const name of order) {
      const text = await Deno.readTextFile(new URL(`examples/${name}.ts`, ROOT));
      const [first] = text.split("\n");
      const line = first!.replace(/^\/\/ /, "").replace(
        /examples\/\S+/,
        new URL(`examples/${name}.ts`, ROOT).href,
      );
      await runLine(line, folder);
      if (name === "demo") await runLine(line, folder);
    }
    assertEquals((await Deno.stat(`${folder}/demo-out/device-2/esp_secure_cert.bin`)).isFile, true);
  });
});
