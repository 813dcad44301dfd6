/** Every command refuses the certificates that the device refuses, and with --no-verify reports them. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeUtf8, parseBase64 } from "../../lib/bytes/text.ts";
import { readCertificates } from "../../lib/crypto/x509/certificate.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import {
  createDevelopmentCa,
  decodePartition,
  encodePartition,
  exportPrivateKey,
  provision,
} from "../../mod.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { vector } from "../vectors.ts";
import { MemoryWorld } from "./memory_io.ts";

const MUTANTS: readonly { der: string }[] = JSON.parse(
  new TextDecoder().decode(vector("device/mutants.json")),
);
const REFUSED = MUTANTS.map(({ der }) => parseBase64(der))
  .map((der) => ({ der, reason: certificateRefusal(der) }))
  .filter((each): each is { der: typeof each.der; reason: string } => each.reason !== undefined);
/** One that this toolkit reads all the same, and stores when it is asked to. */
const READABLE = REFUSED.find(({ der }) => isReadable(der))!;

function isReadable(der: Uint8Array): boolean {
  try {
    return readCertificates(der).length === 1;
  } catch {
    return false;
  }
}

const issuer = await createDevelopmentCa();
const device = await provision({ issuer, subject: "CN=d" });

const COLUMNS = CONFIG_COLUMNS.join(",");
const { entries } = decodePartition(device.image);
const withoutCa = encodePartition(entries.filter(({ type }) => type === 1 || type === 2));

/** A device's files, and a CA certificate as DER and as PEM. */
function worldWith(der: Uint8Array): MemoryWorld {
  const world = new MemoryWorld();
  world.put("dev.pem", device.certificate.pem);
  world.put("dev.key", exportPrivateKey(device.key));
  world.put("ca.der", der);
  world.put("ca.pem", formatPem("CERTIFICATE", der));
  for (const file of ["ca.der", "ca.pem"]) {
    world.put(`${file}.csv`, `${COLUMNS}\n0,0,${file},file,,,,,\n`);
  }
  world.put("device.bin", withoutCa);
  world.put("ca/ca.pem", formatPem("CERTIFICATE", issuer.certificate.der));
  world.put("ca/ca.key.pem", exportPrivateKey(issuer.key));
  const data = encodeUtf8(`${formatPem("CERTIFICATE", der)}\0`);
  world.put("refused.bin", encodePartition([{ type: 0, data }]));
  return world;
}

const DEVICE = ["--device-cert", "dev.pem", "--private-key", "dev.key"];
/** The ways of a file into an image. */
const WAYS: Readonly<Record<string, (file: string) => readonly string[]>> = {
  "build": (file) => ["build", ...DEVICE, "--ca-cert", file, "-o", "out.bin"],
  "configure": (file) => ["configure", "--skip_flash", ...DEVICE, "--ca-cert", file],
  "provision": (file) => ["provision", "--id", "d", "--ca-cert", file, "-o", "out"],
  "append": (file) => ["append", "device.bin", "--data", `ca=file:${file}`, "-o", "out.bin"],
  "build from a CSV": (file) => ["build", "--csv", `${file}.csv`, "-o", "out.bin"],
  "configure with a CSV": (file) => [
    ...["configure", "--skip_flash", "--esp_secure_cert_csv", `${file}.csv`],
  ],
};

/** The files that a command has written. */
function writtenBy(world: MemoryWorld): string[] {
  return [...world.files.keys()].filter((path) => /out|esp_secure_cert_data/.test(path));
}

for (const [name, line] of Object.entries(WAYS)) {
  Deno.test(`${name} takes no CA certificate that the device refuses`, async () => {
    for (const { der, reason } of REFUSED) {
      for (const file of ["ca.der", "ca.pem"]) {
        const world = worldWith(der);
        const { code, stderr } = await world.run(...line(file));
        assertEquals([code, writtenBy(world)], [1, []], reason);
        assertMatch(stderr, /the device refuses (the CA certificate|it too): /);
        assertStringIncludes(stderr, `: ${reason}`);
      }
    }
  });
}

Deno.test("with --no-verify a refused certificate is written, printed and in the JSON", async () => {
  const convert = (to: string) => ["convert", "refused.bin", "--to", to, "-o", "out.bin"];
  const lines = [
    ...Object.values(WAYS).map((line) => line("ca.pem")),
    ...["cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"].map(convert),
  ];
  for (const line of lines) {
    const refused = await worldWith(READABLE.der).run(...line, "--json");
    assertEquals(refused.code, 1, line[0]);
    const world = worldWith(READABLE.der);
    const { code, stdout, stderr } = await world.run(...line, "--no-verify", "--json");
    assertEquals(code, 0, stderr);
    assert(writtenBy(world).length > 0);
    assertStringIncludes(stderr, "CERT_REFUSED");
    assertStringIncludes(stderr, READABLE.reason);
    const report = JSON.parse(stdout);
    const findings: readonly { code: string }[] = report.findings ?? report.image.findings;
    assert(findings.some(({ code }) => code === "CERT_REFUSED"), stdout);
  }
});
