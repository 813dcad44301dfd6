/** `serve` against `openssl s_client` and against `connect`. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  createCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  provision,
} from "../../../mod.ts";
import { installed, needing, PROCESSES, processes } from "../../needs.ts";
import { CLI, inFolder, type Outcome, outcomeOf, program } from "../../process.ts";
import { endProgram, freePort, linesOf } from "./partners.ts";

const openssl = needing(PROCESSES, installed("openssl"));

async function newCa(subject: string) {
  const key = await generateKey();
  return { key, certificate: await createCa({ subject, key }) };
}

const [deviceCa, otherCa] = [await newCa("CN=device CA"), await newCa("CN=other CA")];

/** Writes a key with its certificate into a folder. */
async function writeDevice(folder: string, name: string, issuer = deviceCa): Promise<string> {
  const key = await generateKey();
  const certificate = await issueCertificate({ issuer, publicKey: key, subject: `CN=${name}` });
  await Deno.writeTextFile(`${folder}/${name}.pem`, certificate.pem);
  await Deno.writeFile(`${folder}/${name}.key.pem`, exportPrivateKey(key), { mode: 0o600 });
  return certificate.serial;
}

interface Server {
  readonly port: string;
  /** The next line of stdout. */
  next(): Promise<string | undefined>;
  /** Ctrl-C, and the exit code. */
  interrupt(): Promise<number>;
  readonly status: Promise<Deno.CommandStatus>;
}

/** Runs something while `serve` runs in a folder that has the CA of its clients. */
async function whileServing(
  options: readonly string[],
  act: (folder: string, server: Server) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/ca.pem`, deviceCa.certificate.pem);
    const port = freePort();
    const address = `127.0.0.1:${port}`;
    const permissions = ["--allow-read=ca.pem", "--allow-write=server_ca.pem"];
    const line = ["serve", "--client-ca", "ca.pem", "-o", "server_ca.pem", "--listen", address];
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        ...permissions,
        `--allow-net=${address}`,
        CLI,
        ...line,
        ...options,
      ],
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    const [out, notes] = [linesOf(child.stdout), linesOf(child.stderr)];
    try {
      assertStringIncludes(await notes.next() ?? "", "made a development certificate");
      assertStringIncludes(await notes.next() ?? "", `listening on ${address}`);
      const interrupt = async () => {
        child.kill("SIGINT");
        return (await child.status).code;
      };
      await act(folder, { port: `${port}`, next: out.next, interrupt, status: child.status });
    } finally {
      await endProgram(child);
      await Promise.all([out.close(), notes.close()]);
    }
  });
}

/** `openssl s_client`, which sends a text and leaves when the server closes. */
async function client(
  folder: string,
  port: string,
  options: readonly string[],
  text: string,
): Promise<Outcome> {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", "server_ca.pem"];
  const child = new Deno.Command("openssl", {
    args: [...args, "-verify_return_error", "-ign_eof", "-quiet", ...options],
    cwd: folder,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text)).catch(() => {});
  const outcome = await outcomeOf(child.output());
  await writer.close().catch(() => {});
  return outcome;
}

const GET = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";
const withKey = (name: string) => ["-cert", `${name}.pem`, "-key", `${name}.key.pem`];

for (const version of ["-tls1_2", "-tls1_3"]) {
  openssl.test(`serve lets in who has a certificate of its CA, with ${version}`, async () => {
    await whileServing([], async (folder, server) => {
      const serial = await writeDevice(folder, "device");
      await writeDevice(folder, "stranger", otherCa);
      const { stdout } = await client(folder, server.port, [version, ...withKey("device")], GET);
      assertStringIncludes(stdout, "HTTP/1.1 200 OK");
      assertStringIncludes(stdout, '"subject": "CN=device"');
      const protocol = version.replace("-tls1_", "TLSv1.");
      const line = `CN=device, serial ${serial}, ${protocol}, `;
      assertStringIncludes(await server.next() ?? "", line);
      assertStringIncludes(await server.next() ?? "", "HTTPS GET /who HTTP/1.1: answered 200");

      const bare = await client(folder, server.port, [version], GET);
      assertEquals(bare.stdout.includes("200 OK"), false);
      assertStringIncludes(await server.next() ?? "", "not let in: it showed no certificate");

      const other = await client(folder, server.port, [version, ...withKey("stranger")], GET);
      assertEquals(other.stdout.includes("200 OK"), false);
      const refused = "not let in: its certificate is not from the client CA";
      assertStringIncludes(await server.next() ?? "", refused);
      assertEquals(await server.interrupt(), 0);
    });
  });
}

openssl.test("a client that does not trust the server is reported", async () => {
  await whileServing(["--once", "--json"], async (folder, server) => {
    await writeDevice(folder, "device");
    await Deno.copyFile(`${folder}/ca.pem`, `${folder}/server_ca.pem`);
    await client(folder, server.port, withKey("device"), GET);
    const { accepted, kind } = JSON.parse(await server.next() ?? "");
    assertEquals([accepted, kind], [false, "refusing"]);
    assertEquals((await server.status).code, 1);
  });
});

openssl.test("MQTT is answered, that of version 5 too", async () => {
  const connects = [
    ["\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06sensor", "\x20\x02\x00\x00"],
    ["\x10\x13\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x06sensor", "\x20\x03\x00\x00\x00"],
  ] as const;
  await whileServing([], async (folder, server) => {
    await writeDevice(folder, "device");
    for (const [connect, connack] of connects) {
      const text = `${connect}\xc0\x00\xe0\x00`;
      // What is over 0x7F goes as it is: the last packets ask for a PINGRESP, and leave.
      const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
      const { stdout } = await clientBytes(folder, server.port, bytes);
      assertEquals(stdout, `${connack}\xd0\x00`);
      assertStringIncludes(await server.next() ?? "", "CN=device");
      assertStringIncludes(await server.next() ?? "", 'MQTT CONNECT as "sensor": accepted');
    }
  });
});

/** As {@linkcode client}, of bytes; the answer has a character a byte. */
async function clientBytes(folder: string, port: string, bytes: Uint8Array<ArrayBuffer>) {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", "server_ca.pem"];
  const child = new Deno.Command("openssl", {
    args: [...args, "-ign_eof", "-quiet", ...withKey("device")],
    cwd: folder,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(bytes);
  const { stdout } = await child.output();
  await writer.close().catch(() => {});
  return { stdout: String.fromCharCode(...stdout) };
}

processes.test("connect proves an image at serve --once with each protocol", async () => {
  const { image } = await provision({ issuer: deviceCa, subject: "CN=device-1" });
  for (const protocol of ["mqtt", "https", "tls"]) {
    await whileServing(["--once", "--json"], async (folder, server) => {
      await Deno.writeFile(`${folder}/image.bin`, image);
      const address = `127.0.0.1:${server.port}`;
      const line = ["connect", "image.bin", address, "--server-ca", "server_ca.pem", "--json"];
      const { code, stdout, stderr } = await outcomeOf(
        program(Deno.execPath(), [
          ...["run", "--no-prompt", "--allow-read=.", `--allow-net=${address}`, CLI],
          ...[...line, "--protocol", protocol, "--timeout", "1"],
        ], folder).output(),
      );
      const report = JSON.parse(stdout);
      assertEquals([code, report.proved], [0, true], stdout + stderr);
      assertEquals(report.withoutCertificate.code, "CertificateRequired");
      const guest = JSON.parse(await server.next() ?? "");
      assertEquals([guest.accepted, guest.subject], [true, "CN=device-1"]);
      assertEquals(guest.request?.kind, protocol === "tls" ? undefined : protocol);
      assertEquals(await server.next(), undefined);
      assertEquals((await server.status).code, 0);
    });
  }
});

processes.test("what keeps serve from listening is said", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/ca.pem`, deviceCa.certificate.pem);
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serve = (permission: string, ...line: readonly string[]) => {
      const args = ["run", "--no-prompt", "--allow-read=.", permission, CLI, "serve", ...line];
      return outcomeOf(program(Deno.execPath(), args, folder).output());
    };
    const address = `127.0.0.1:${taken.addr.port}`;
    for (
      const [permission, line, code, text] of [
        [
          `--allow-net=${address}`,
          ["--client-ca", "ca.pem", "--listen", address],
          1,
          "something listens there",
        ],
        [
          "--allow-net=x",
          ["--client-ca", "ca.pem", "--listen", address],
          1,
          `hint: add --allow-net=${address}`,
        ],
        ["--allow-net=x", [], 2, "serve needs --client-ca"],
        ["--allow-net=x", ["--client-ca", "ca.pem", "--server-cert", "a"], 2, "go together"],
        [
          "--allow-net=x",
          ["--client-ca", "ca.pem", "--listen", "a b"],
          2,
          "--listen is a host with a port",
        ],
      ] as const
    ) {
      const outcome = await serve(permission, ...line);
      assertEquals(outcome.code, code, outcome.stderr);
      assertStringIncludes(outcome.stderr, text);
    }
  });
});

processes.test("the CA of a development certificate replaces nothing, and serve ends", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/ca.pem`, deviceCa.certificate.pem);
    await Deno.writeTextFile(`${folder}/there.pem`, "old");
    const serve = (...line: readonly string[]) => {
      const args = ["run", "--no-prompt", "-A", CLI, "serve", "--client-ca", "ca.pem", ...line];
      return outcomeOf(program(Deno.execPath(), args, folder).output());
    };
    for (
      const [out, force, code] of [["there.pem", [], 1], ["ca.pem", ["--force"], 2], [
        "-",
        [],
        2,
      ]] as const
    ) {
      const outcome = await serve("--listen", "127.0.0.1:0", "-o", out, ...force);
      assertEquals([outcome.code, outcome.stdout], [code, ""], outcome.stderr);
      assertEquals(outcome.stderr.includes("listening"), false);
    }
    assertEquals(await Deno.readTextFile(`${folder}/there.pem`), "old");
    assertEquals(await Deno.readTextFile(`${folder}/ca.pem`), deviceCa.certificate.pem);
  });
});
