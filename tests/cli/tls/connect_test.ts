/** `connect` against servers that other people made: openssl s_server and mosquitto. */
import { createServer } from "node:tls";
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  createCa,
  encryptFlash,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  type KeyMode,
  provision,
} from "../../../mod.ts";
import { installed, needing, PROCESSES } from "../../needs.ts";
import { takeRsaKeysFromVectors } from "../../rsa_keys.ts";
import { MemoryWorld, type Outcome } from "../memory_io.ts";
import {
  freePort,
  type ServerFiles,
  withListener,
  withMosquitto,
  withOpenssl,
} from "./partners.ts";

takeRsaKeysFromVectors();
const openssl = needing(PROCESSES, installed("openssl"));
const mosquitto = needing(PROCESSES, installed("mosquitto"));

const DAY_MS = 86_400_000;
const longAgo = () => new Date(Date.now() - 30 * DAY_MS);
const STRICT = ["-Verify", "2", "-verify_return_error"];
const VERSIONS = ["-tls1_2", "-tls1_3"];
const NAMES = ["dns:localhost", "ip:127.0.0.1"];

async function newCa(subject: string) {
  const key = await generateKey();
  return { key, certificate: await createCa({ subject, key, days: 400, now: longAgo }) };
}

const [deviceCa, serverCa, otherCa] = [
  await newCa("CN=device CA"),
  await newCa("CN=server CA"),
  await newCa("CN=other CA"),
];

async function serverFiles(
  options: Partial<Parameters<typeof issueCertificate>[0]> = {},
): Promise<ServerFiles> {
  const publicKey = await generateKey();
  const subject = "CN=localhost";
  const certificate = await issueCertificate({
    issuer: serverCa,
    publicKey,
    subject,
    sans: NAMES,
    usage: ["server"],
    ...options,
  });
  return {
    cert: certificate.pem,
    key: new TextDecoder().decode(exportPrivateKey(publicKey)),
    clientCa: deviceCa.certificate.pem,
  };
}

const server = await serverFiles();

/** A world with the image of a device, and the flags that open it. */
async function deviceOf(
  keyMode: KeyMode = "plaintext",
  options: Partial<Parameters<typeof provision>[0]> = {},
) {
  const chip = keyMode === "ecdsa-peripheral" ? "esp32h2" : "esp32s3";
  const { image, efuse, key } = await provision({
    issuer: deviceCa,
    caCert: serverCa.certificate,
    subject: "CN=device-1",
    chip,
    keyMode,
    ...options,
  });
  const world = new MemoryWorld();
  world.put("image.bin", image);
  const flags: string[] = [];
  if (efuse?.hmacKey !== undefined) {
    world.put("hmac_key.bin", efuse.hmacKey);
    flags.push("--hmac-key", "hmac_key.bin");
  }
  if (keyMode === "ecdsa-peripheral") {
    world.put("key.pem", exportPrivateKey(key));
    flags.push("--private-key", "key.pem");
  }
  const connect = (port: number, ...more: readonly string[]) =>
    world.run("connect", "image.bin", `127.0.0.1:${port}`, ...flags, ...more);
  return { world, connect };
}

const plain = await deviceOf();

/** What --json says of a connection. */
async function reportOf(outcome: Promise<Outcome>) {
  const { code, stdout, stderr } = await outcome;
  const report = JSON.parse(stdout);
  assertEquals(code, report.proved ? 0 : 1, stdout + stderr);
  return report;
}

/** That nothing is proved, who refused, and the words for it. */
async function assertRefused(
  outcome: Promise<Outcome>,
  by: string,
  code: string,
): Promise<void> {
  const { failure } = await reportOf(outcome);
  assertEquals([failure.by, failure.code], [by, code], JSON.stringify(failure));
}

const MODES: readonly KeyMode[] = [
  "plaintext",
  "rsa-ds",
  "ecdsa-peripheral",
  "hmac-encrypted",
  "hmac-derived",
];

for (const version of VERSIONS) {
  openssl.test(`every key mode is proved by an HTTPS answer with ${version}`, async () => {
    await withOpenssl(server, [version, ...STRICT, "-www"], async ({ port }) => {
      for (const keyMode of MODES) {
        const { connect } = await deviceOf(keyMode);
        const report = await reportOf(connect(port, "--protocol", "https", "--json"));
        assertEquals(report.proved, true, JSON.stringify(report));
        assertEquals([report.keyMode, report.answer], [keyMode, { kind: "http", status: 200 }]);
        assertEquals(report.tls.protocol, version.replace("-tls1_", "TLSv1."));
        assertEquals(report.server.subject, "CN=localhost");
        assertEquals(report.withoutCertificate.refused, true);
      }
    });
  });

  openssl.test(`keys of other kinds are proved with ${version}`, async () => {
    await withOpenssl(server, [version, ...STRICT, "-www"], async ({ port }) => {
      const keys = [{ curve: "P-384" }, { type: "rsa", bits: 2048 }, { type: "rsa", bits: 4096 }];
      for (const key of keys as Parameters<typeof provision>[0]["key"][]) {
        const { connect } = await deviceOf("plaintext", { key });
        assertEquals((await reportOf(connect(port, "--protocol", "https", "--json"))).proved, true);
      }
    });
  });

  openssl.test(`bare TLS is proved by silence, and refused by an alert, with ${version}`, async () => {
    await withOpenssl(server, [version, ...STRICT], async ({ port }) => {
      const report = await reportOf(plain.connect(port, "--json", "--timeout", "0.5"));
      assertEquals([report.proved, report.answer], [true, { kind: "silence", seconds: 0.5 }]);
      const stranger = await deviceOf("plaintext", { issuer: otherCa });
      await assertRefused(stranger.connect(port, "--json"), "server", "UnknownCA");
    });
  });

  openssl.test(`what the server refuses is named with ${version}`, async () => {
    await withOpenssl(server, [version, ...STRICT, "-www"], async ({ port }) => {
      const expired = await deviceOf("plaintext", { days: 1, now: longAgo, verify: false });
      const line = ["--protocol", "https", "--json"];
      await assertRefused(expired.connect(port, ...line), "server", "CertificateExpired");
      const { stderr } = await expired.connect(port, ...line);
      assertStringIncludes(stderr, "verify: error CERT_EXPIRED");
      const stranger = await deviceOf("plaintext", { issuer: otherCa });
      await assertRefused(stranger.connect(port, ...line), "server", "UnknownCA");
      await assertRefused(
        plain.connect(port, "--protocol", "mqtt", "--json", "--timeout", "0.5"),
        "server",
        "NO_ANSWER",
      );
    });
  });

  openssl.test(`what this side refuses is named with ${version}`, async () => {
    const line = ["--protocol", "https", "--json"];
    await withOpenssl(server, [version, ...STRICT, "-www"], async ({ port }) => {
      plain.world.put("other.pem", otherCa.certificate.pem);
      await assertRefused(
        plain.connect(port, ...line, "--server-ca", "other.pem"),
        "client",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      );
      await assertRefused(
        plain.connect(port, ...line, "--server-name", "broker.example"),
        "client",
        "ERR_TLS_CERT_ALTNAME_INVALID",
      );
      await assertRefused(
        plain.connect(port, ...line, "--server-name", "127.0.0.2"),
        "client",
        "ERR_TLS_CERT_ALTNAME_INVALID",
      );
      const report = await reportOf(plain.connect(port, ...line, "--server-name", "localhost"));
      assertEquals(report.proved, true);
    });
    const expired = await serverFiles({ days: 1, now: longAgo });
    await withOpenssl(expired, [version, ...STRICT, "-www"], async ({ port }) => {
      await assertRefused(plain.connect(port, ...line), "client", "CERT_HAS_EXPIRED");
    });
  });

  openssl.test(`a server that asks for no certificate proves nothing with ${version}`, async () => {
    for (const options of [[], ["-verify", "2"]]) {
      await withOpenssl(server, [version, "-www", ...options], async ({ port }) => {
        for (const protocol of ["https", "tls"]) {
          const line = ["--protocol", protocol, "--timeout", "0.5", "--json"];
          const outcome = plain.connect(port, ...line);
          // -www is an HTTP server: with bare TLS it waits, as others do.
          await assertRefused(outcome, "server", "NO_CERTIFICATE_ASKED");
        }
      });
    }
  });
}

openssl.test("an older TLS is not spoken", async () => {
  const old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", ...STRICT];
  await withOpenssl(server, old, async ({ port }) => {
    await assertRefused(plain.connect(port, "--json"), "server", "ProtocolVersion");
  });
});

openssl.test("the protocol of --alpn is negotiated, or missed", async () => {
  const line = ["--protocol", "https", "--json", "--alpn"];
  await withOpenssl(server, [...STRICT, "-www", "-alpn", "x-amzn-mqtt-ca"], async ({ port }) => {
    const report = await reportOf(plain.connect(port, ...line, "x-amzn-mqtt-ca"));
    assertEquals([report.proved, report.tls.alpn], [true, "x-amzn-mqtt-ca"]);
    await assertRefused(plain.connect(port, ...line, "other"), "server", "NoApplicationProtocol");
  });
});

mosquitto.test("a broker accepts a device, and no client without a certificate", async () => {
  const lines = ["require_certificate true", "use_identity_as_username true"];
  await withMosquitto(server, lines, async ({ port }) => {
    for (const keyMode of MODES) {
      const { connect } = await deviceOf(keyMode);
      const report = await reportOf(connect(port, "--protocol", "mqtt", "--json"));
      assertEquals([report.proved, report.answer], [true, { kind: "connack", code: 0 }], keyMode);
    }
    const { code, stdout, stderr } = await plain.connect(port, "--protocol", "mqtt");
    assertEquals(code, 0);
    assertStringIncludes(stdout, `proved: 127.0.0.1:${port} takes this device`);
    assertStringIncludes(stdout, "MQTT CONNACK 0, accepted");
    assertStringIncludes(stderr, "is not the library of the device; verify has checked");
    const long = await plain.connect(port, "--protocol", "mqtt", "--client-id", "x".repeat(200));
    assertEquals(long.code, 0, long.stdout);
    const stranger = await deviceOf("plaintext", { issuer: otherCa });
    const refused = stranger.connect(port, "--protocol", "mqtt", "--json");
    await assertRefused(refused, "server", "UnknownCA");
  });
});

mosquitto.test("a broker's return code is a refusal, and a broker that accepts everyone proves nothing", async () => {
  const line = ["--protocol", "mqtt", "--json"];
  const closed = ["require_certificate true", "allow_anonymous false"];
  await withMosquitto(server, closed, async ({ port }) => {
    await assertRefused(plain.connect(port, ...line), "server", "CONNACK_5");
  });
  await withMosquitto(server, ["allow_anonymous true"], async ({ port }) => {
    await assertRefused(plain.connect(port, ...line), "server", "NO_CERTIFICATE_ASKED");
  });
});

/** Runs something while a server of Node lets in who has a certificate, and closes without a word. */
async function withClosing(act: (port: number) => Promise<void>): Promise<void> {
  const { cert, key, clientCa: ca } = server;
  const options = { cert, key, ca, requestCert: true, rejectUnauthorized: false };
  const node = createServer(options, (socket) => {
    socket.on("error", () => socket.destroy());
    if (!socket.authorized) return socket.destroy();
    socket.on("data", () => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
  });
  await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
  try {
    await act((node.address() as { port: number }).port);
  } finally {
    await new Promise<void>((resolve) => node.close(() => resolve()));
  }
}

Deno.test("a server that closes without a reason refuses, too", async () => {
  await withClosing(async (port) => {
    const line = ["--protocol", "https", "--json"];
    const report = await reportOf(plain.connect(port, ...line));
    assertEquals([report.proved, report.answer], [true, { kind: "http", status: 204 }]);
    assertEquals(report.withoutCertificate.code, "CLOSED");
    const stranger = await deviceOf("plaintext", { issuer: otherCa });
    await assertRefused(stranger.connect(port, ...line), "server", "CLOSED");
  });
});

Deno.test("an image in encrypted flash is proved, with its key", async () => {
  const { world } = await deviceOf();
  const image = world.bytes("image.bin");
  const flash = new Uint8Array(0x2000).fill(0xFF);
  flash.set(image);
  const key = new Uint8Array(32).fill(7);
  const place = { chip: "esp32c3", address: 0xD000 } as const;
  world.put("flash.bin", encryptFlash(flash, { ...place, key }));
  world.put("flash.key", key);
  await withClosing(async (port) => {
    const line = ["connect", "flash.bin", `127.0.0.1:${port}`, "--protocol", "https", "--json"];
    const flags = ["--flash-key", "flash.key", "--chip", "esp32c3", "--address", "0xD000"];
    assertEquals((await reportOf(world.run(...line, ...flags))).proved, true);
  });
});

Deno.test("a message says what is not a TLS server", async () => {
  const line = ["--json", "--timeout", "0.3"];
  const text = new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n");
  await withListener(async (connection) => void await connection.write(text), async ({ port }) => {
    await assertRefused(plain.connect(port, ...line), "network", "ERR_SSL_WRONG_VERSION_NUMBER");
  });
  await withListener(() => Promise.resolve(), async ({ port }) => {
    await assertRefused(plain.connect(port, ...line), "network", "NO_ANSWER");
  });
  const closing = async (connection: Deno.TcpConn) => {
    await connection.read(new Uint8Array(4096));
    connection.close();
  };
  await withListener(closing, async ({ port }) => {
    await assertRefused(plain.connect(port, ...line), "server", "CLOSED");
  });
  await assertRefused(plain.connect(freePort(), ...line), "network", "ECONNREFUSED");
});

Deno.test("what keeps an image from connecting is said before it connects", async () => {
  for (const keyMode of ["rsa-ds", "hmac-encrypted", "hmac-derived"] as const) {
    const { world } = await deviceOf(keyMode);
    const missing = await world.run("connect", "image.bin", "localhost:1");
    assertEquals(missing.code, 1);
    assertStringIncludes(missing.stderr, "need the HMAC key");
    assertStringIncludes(missing.stderr, "hint: give the eFuse key of this device with --hmac-key");
    world.put("wrong.bin", new Uint8Array(32).fill(1));
    const wrong = await world.run("connect", "image.bin", "localhost:1", "--hmac-key", "wrong.bin");
    assertEquals(wrong.code, 1);
    assertStringIncludes(wrong.stderr, "hint: give the eFuse key of this device with --hmac-key");
  }
  const { world } = await deviceOf("ecdsa-peripheral");
  const missing = await world.run("connect", "image.bin", "localhost:1");
  assertStringIncludes(
    missing.stderr,
    "hint: give the key that is in the eFuse with --private-key",
  );
  const small = await deviceOf("plaintext", { key: { curve: "P-192" } });
  const unknown = await small.connect(1);
  assertEquals(unknown.code, 1);
  assertStringIncludes(unknown.stderr, "does not sign with P-192 keys: nothing is proved");
});

Deno.test("what the command line says wrong of a server is a mistake", async () => {
  const { world } = plain;
  for (
    const [line, text] of [
      ["https://example.org", "not a URL"],
      ["localhost:0", "the port of HOST[:PORT] is a number from 1 to 65535"],
      ["localhost:99999", "the port of HOST[:PORT] is a number from 1 to 65535"],
      ["local host", "HOST[:PORT] is a host with a port"],
      ["localhost --timeout 0", "--timeout is a number of seconds over 0"],
      ["localhost --timeout never", "--timeout is a number of seconds over 0"],
      ["localhost --client-id x", "--client-id goes with --protocol mqtt"],
      ["localhost --protocol mqtts", "hint: did you mean mqtt?"],
    ] as const
  ) {
    const words = line === "local host" ? [line] : line.split(" ");
    const { code, stderr } = await world.run("connect", "image.bin", ...words);
    assertEquals(code, 2, line);
    assertStringIncludes(stderr, text, line);
  }
});
