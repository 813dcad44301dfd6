import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { encodeUtf8, parseBase64 } from "../../../lib/bytes/text.ts";
import { createCa, issueCertificate } from "../../../lib/crypto/x509/issue.ts";
import {
  type Certificate,
  readCertificate,
  readCertificates,
} from "../../../lib/crypto/x509/certificate.ts";
import { followChain, isIssuedBy } from "../../../lib/crypto/x509/chain.ts";
import { generateKey, importPrivateKey, type PrivateKey } from "../../../lib/crypto/keys/keys.ts";
import {
  encodeName,
  encodeSans,
  escapeNameValue,
  formatName,
  formatSans,
} from "../../../lib/crypto/x509/names.ts";
import { createRequest, readRequest } from "../../../lib/crypto/x509/request.ts";
import { childrenOf, derOid, rawOf, readDer, TAG } from "../../../lib/crypto/der.ts";
import { derContext, derElement, derOctets, derSequence, derSet } from "../../der.ts";
import { growsLinearly } from "../../growth.ts";
import { rsaKey } from "../../rsa_keys.ts";
import { decodePartition } from "../../../lib/format/partition.ts";
import { openssl, opensslTest, shared, sharedTest, sharedText } from "../../vectors.ts";

const NOW = () => new Date("2026-11-24T12:00:00.987Z");

async function makeCa(
  options: Partial<Parameters<typeof createCa>[0]> = {},
): Promise<{ key: PrivateKey; certificate: Certificate }> {
  const key = options.key === undefined ? await generateKey() : await importPrivateKey(options.key);
  return { key, certificate: await createCa({ subject: "CN=Root,O=Example", key, ...options }) };
}

Deno.test("names read back as they were written", () => {
  const names = [
    "CN=device 1,O=Example\\, Inc.,C=DE",
    "C=DE,CN=Gerät ü 漢字 🔑",
    "CN=a\\+b\\=c+OU=x,DC=example,DC=org,emailAddress=a@example.org,serialNumber=00-11",
    "1.2.3.4.5=text",
    "CN=\\ lead and trail\\ ",
    "CN=\\#hash\\\\",
  ];
  for (const name of names) {
    const again = formatName(encodeName(name));
    assertEquals(encodeName(again), encodeName(name), name);
  }
  assertEquals(formatName(encodeName("cn = x , o = y")), "CN=x,O=y");
  assertEquals(formatName(encodeName("CN=\\C3\\BC")), "CN=ü");
  assertEquals(formatName(encodeName("")), "");
});

Deno.test("an escaped value is one value of a name, whatever is in it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), (value) => {
      const der = encodeName(`O=x,CN=${escapeNameValue(value)}`);
      assertEquals(der.subarray(-encodeUtf8(value).length), encodeUtf8(value));
      assertEquals(formatName(der), `O=x,CN=${escapeNameValue(value)}`);
    }),
    { seed: 20261124 },
  );
});

Deno.test("bad names are refused with their place", () => {
  for (
    const name of [
      "device",
      "XX=1",
      "CN=",
      "C=GER",
      "C=d",
      `CN=${"x".repeat(65)}`,
      "CN=a\\",
      "CN=a\\zz",
      "CN=a,",
    ]
  ) {
    const error = assertThrows(() => encodeName(name), SecureCertError, undefined, name);
    assertEquals(error.code, "ERR_NAME");
    assertEquals(typeof error.place.offset, "number");
  }
});

Deno.test("subject alternative names read back", () => {
  const sans = [
    "dns:a.example",
    "dns:*.b.example",
    "ip:192.0.2.1",
    "ip:2001:db8::1",
    "ip:::1",
    "uri:urn:dev:1",
    "email:a@b.example",
  ];
  assertEquals(formatSans(encodeSans(sans)), [
    "dns:a.example",
    "dns:*.b.example",
    "ip:192.0.2.1",
    "ip:2001:db8::1",
    "ip:::1",
    "uri:urn:dev:1",
    "email:a@b.example",
  ]);
  for (
    const san of [
      "a.example",
      "dns:",
      "dns:a b",
      "ip:1.2.3",
      "ip:1.2.3.256",
      "ip:1::2::3",
      "ip:12345::",
      "uri:x",
      "email:x",
      "rid:1.2.3",
      "dns:-a",
    ]
  ) {
    assertEquals(
      assertThrows(() => encodeSans([san]), SecureCertError, undefined, san).code,
      "ERR_NAME",
    );
  }
});

Deno.test("same inputs and sources give the same certificates", async () => {
  const random = (length: number) => Uint8Array.from({ length }, (_, at) => at + 1);
  const make = async () => {
    const key = await generateKey({ random });
    const certificate = await createCa({ subject: "CN=CA", key, random, now: NOW });
    const device = await generateKey({ random: (length) => random(length).reverse() });
    const request = await createRequest({ key: device, subject: "CN=d" });
    return await issueCertificate({ issuer: { certificate, key }, request, random, now: NOW });
  };
  assertEquals(await make(), await make());
});

Deno.test("dates are UTCTime to 2049, GeneralizedTime after, and may have no end", async () => {
  const end = async (days: number | "forever") => {
    const { certificate } = await makeCa({ days, now: NOW });
    return readCertificate(certificate).notAfter.toISOString();
  };
  assertEquals(await end(1), "2026-11-25T12:00:00.000Z");
  assertEquals(await end(365 * 40), "2066-11-14T12:00:00.000Z");
  assertEquals(await end("forever"), "9999-12-31T23:59:59.000Z");
  const { certificate } = await makeCa({ days: "forever", now: NOW });
  assertEquals(new TextDecoder("latin1").decode(certificate.der).includes("99991231235959Z"), true);
  await assertRejects(() => makeCa({ days: 0 }), RangeError);
});

Deno.test("years below 100 are read, as the device reads them", async () => {
  const { certificate } = await makeCa({ days: "forever", now: NOW });
  const text = new TextDecoder("latin1").decode(certificate.der);
  for (const year of ["0000", "0099"]) {
    const der = certificate.der.slice();
    der.set(encodeUtf8(year), text.indexOf("99991231235959Z"));
    assertEquals(readCertificate(der).notAfter.toISOString(), `${year}-12-31T23:59:59.000Z`);
  }
});

Deno.test("serial numbers are positive and have 20 octets", async () => {
  for (const fill of [0, 0x7F, 0x80, 0xFF]) {
    const { certificate } = await makeCa({ random: (length) => new Uint8Array(length).fill(fill) });
    const { serial } = readCertificate(certificate);
    assertEquals(serial.length, 40);
    assertEquals(parseInt(serial.slice(0, 2), 16) >> 6, 1);
  }
});

Deno.test("a certificate takes key, subject and names from its request", async () => {
  const issuer = await makeCa();
  const key = await generateKey();
  const request = await createRequest({ key, subject: "CN=d,O=x", sans: ["dns:d.example"] });
  for (const form of [request.der, request.pem, encodeUtf8(request.pem)]) {
    assertEquals(await readRequest(form), request);
  }
  assertEquals([request.subject, request.sans], ["CN=d,O=x", ["dns:d.example"]]);
  const info = await issueCertificate({ issuer, request });
  assertEquals([info.subject, info.issuer, info.sans], ["CN=d,O=x", "CN=Root,O=Example", [
    "dns:d.example",
  ]]);
  assertEquals(info.publicKey, key.publicKey);
  const other = await issueCertificate({ issuer, request, subject: "CN=e", sans: [] });
  assertEquals([other.subject, other.sans], ["CN=e", []]);
  const changed = request.der.with(request.der.length - 1, request.der.at(-1)! ^ 1);
  const error = await assertRejects(
    () => issueCertificate({ issuer, request: changed }),
    SecureCertError,
  );
  assertEquals(error.code, "ERR_CERTIFICATE");
});

Deno.test("what may not issue does not issue", async () => {
  const root = await makeCa({ pathLength: 0 });
  const key = await generateKey();
  const device = {
    key,
    certificate: await issueCertificate({
      issuer: root,
      publicKey: key.publicKey,
      subject: "CN=d",
    }),
  };
  const attempts = [
    () => issueCertificate({ issuer: device, publicKey: key.publicKey, subject: "CN=x" }),
    () => issueCertificate({ issuer: { ...root, key }, publicKey: key.publicKey, subject: "CN=x" }),
    () => createCa({ subject: "CN=Below", key, issuer: root }),
    () => createCa({ subject: "", key }),
    () => issueCertificate({ issuer: root, publicKey: key.publicKey }),
  ];
  for (const attempt of attempts) {
    assertEquals((await assertRejects(attempt, SecureCertError)).code, "ERR_CERTIFICATE");
  }
});

Deno.test("chains are followed over intermediates, and broken ones are not", async () => {
  const root = await makeCa();
  const middle = await makeCa({ subject: "CN=Middle", issuer: root });
  const key = await generateKey();
  const leaf = readCertificate(
    await issueCertificate({ issuer: middle, publicKey: key.publicKey, subject: "CN=d" }),
  );
  const [rootInfo, middleInfo] = [root, middle].map(({ certificate }) =>
    readCertificate(certificate)
  );
  const other = readCertificate((await makeCa()).certificate);
  assertEquals(await isIssuedBy(leaf, middleInfo!), true);
  assertEquals(await isIssuedBy(leaf, rootInfo!), false);
  assertEquals((await followChain(leaf, [middleInfo!], [rootInfo!])).problem, undefined);
  assertEquals((await followChain(leaf, [], [middleInfo!])).path.length, 2);
  assertEquals((await followChain(leaf, [], [rootInfo!])).problem, 'no issuer of "CN=d"');
  assertEquals(
    (await followChain(leaf, [middleInfo!], [other])).problem,
    'the key of "CN=Root,O=Example" did not sign "CN=Middle"',
  );
});

Deno.test("any bytes into a reader end in a value or a SecureCertError", async () => {
  const { certificate: { der: certificate } } = await makeCa();
  const { der: request } = await createRequest({
    key: await generateKey(),
    subject: "CN=x",
    sans: ["ip:::1"],
  });
  const flipped = (base: Uint8Array) =>
    fc.tuple(fc.integer({ min: 0, max: base.length - 1 }), fc.integer({ min: 1, max: 255 }))
      .map(([at, mask]) => base.map((byte, index) => index === at ? byte ^ mask : byte));
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 80 }), flipped(certificate), flipped(request));
  await fc.assert(
    fc.asyncProperty(bytes, async (input) => {
      for (const read of [readCertificate, readCertificates, readRequest, importPrivateKey]) {
        try {
          await read(input);
        } catch (error) {
          if (!(error instanceof SecureCertError)) throw error;
        }
      }
    }),
    { seed: 20261124, numRuns: 600 },
  );
  for (let length = 0; length < certificate.length; length++) {
    assertThrows(() => readCertificate(certificate.subarray(0, length)), SecureCertError);
  }
});

/** Keys of a root, its intermediate and a device. */
const CHAINS: readonly (() => Promise<readonly PrivateKey[]>)[] = [
  () => Promise.all([1, 2, 3].map(() => generateKey())),
  () => Promise.all([1, 2, 3].map(() => generateKey({ curve: "P-384" }))),
  () => Promise.all([1, 2, 3].map((number) => rsaKey(2048, number))),
  () => Promise.all([rsaKey(4096, 1), rsaKey(4096, 2), rsaKey(3072)]),
];

opensslTest("openssl accepts every certificate, strictly, and every request", async () => {
  const folder = await Deno.makeTempDir();
  const write = async (name: string, { pem }: { readonly pem: string }) => {
    await Deno.writeTextFile(`${folder}/${name}`, pem);
    return `${folder}/${name}`;
  };
  for (const makeKeys of CHAINS) {
    const [rootKey, middleKey, key] = await makeKeys();
    const root = await makeCa({ key: rootKey!, days: "forever" });
    const subject = "CN=Middle\\, GmbH+OU=x,C=DE";
    const middle = await makeCa({ key: middleKey!, subject, issuer: root });
    const sans = ["dns:d.example", "ip:192.0.2.7", "ip:2001:db8::7", "uri:urn:dev:7"];
    const request = await createRequest({
      key: key!,
      subject: "CN=Gerät 7,O=Example\\, Inc.",
      sans,
    });
    const leaf = await issueCertificate({ issuer: middle, request, usage: ["client", "server"] });
    const paths = [
      await write("root.pem", root.certificate),
      await write("middle.pem", middle.certificate),
      await write("leaf.pem", leaf),
    ];
    await openssl([
      "verify",
      "-x509_strict",
      "-CAfile",
      paths[0]!,
      "-untrusted",
      paths[1]!,
      "-purpose",
      "sslclient",
      paths[2]!,
    ]);
    await openssl(["verify", "-x509_strict", "-CAfile", paths[0]!, paths[0]!]);
    const csr = await write("leaf.csr", request);
    await openssl(["req", "-verify", "-noout", "-in", csr]);
    const show = [
      "-noout",
      "-subject",
      "-serial",
      "-enddate",
      "-ext",
      "subjectAltName,keyUsage,basicConstraints,extendedKeyUsage",
      "-nameopt",
      "utf8,sep_comma_plus,esc_2253",
    ];
    const text = new TextDecoder().decode(await openssl(["x509", "-in", paths[2]!, ...show]));
    const info = leaf;
    assertEquals(text.includes(`serial=${info.serial.toUpperCase()}`), true, text);
    assertEquals(text.includes("subject=CN=Gerät 7,O=Example\\, Inc."), true, text);
    assertEquals(
      text.includes(
        "DNS:d.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, URI:urn:dev:7",
      ),
      true,
      text,
    );
    assertEquals(text.includes("X509v3 Key Usage: critical"), true, text);
    assertEquals(
      text.includes("TLS Web Client Authentication, TLS Web Server Authentication"),
      true,
      text,
    );
  }
  await Deno.remove(folder, { recursive: true });
});

opensslTest("certificates that openssl made are read, RSA-PSS among them", async () => {
  const folder = await Deno.makeTempDir();
  const key = `${folder}/key.pem`;
  await openssl(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key]);
  for (const extra of [[], ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]]) {
    const pem = await openssl([
      "req",
      "-x509",
      "-key",
      key,
      "-subj",
      "/C=DE/CN=x y/emailAddress=a@b.c",
      "-days",
      "3",
      "-sha256",
      ...extra,
    ]);
    const info = readCertificate(pem);
    assertEquals(info.subject, "C=DE,CN=x y,emailAddress=a@b.c");
    assertEquals(await isIssuedBy(info, info), true);
  }
  await Deno.remove(folder, { recursive: true });
});

interface Parsed {
  readonly code: number;
}

sharedTest("what the device parses is read", async () => {
  const { cases } = JSON.parse(sharedText("device/mutants.json")) as {
    cases: readonly (Parsed & { der: string })[];
  };
  assertEquals(cases.length, 160);
  for (const { der, code } of cases) {
    if (code >= 0) {
      assertEquals(readCertificate(parseBase64(der)).der.length, parseBase64(der).length);
    }
  }
  const manifest = JSON.parse(sharedText("device/MANIFEST.json")) as readonly {
    name: string;
    kind: string;
    parsed: Record<"ca" | "dev" | "key", Parsed>;
  }[];
  const images = manifest.filter(({ kind }) => kind === "parse");
  assertEquals(images.length > 60, true);
  for (const { name, parsed } of images) {
    // The device skips a block that it does not parse, and takes the first of two keys.
    if (name === "rawkey-ec-twokeys") continue;
    const { entries } = decodePartition(shared(`device/${name}.bin`));
    const data = (type: number) => entries.find((each) => each.type === type)!.data;
    if (parsed.ca.code === 0) readCertificates(data(0));
    if (parsed.dev.code === 0) readCertificates(data(1));
    if (parsed.key.code === 0) await importPrivateKey(data(2));
  }
});

/** The same bytes over and over. */
function repeat(bytes: Uint8Array, times: number): Uint8Array {
  const all = new Uint8Array(bytes.length * times);
  for (let at = 0; at < all.length; at += bytes.length) all.set(bytes, at);
  return all;
}

/** Sequences within sequences. */
function nested(levels: number): Uint8Array {
  const bytes = new Uint8Array(6 * levels);
  // Lengths are longer than needed, so that each level takes six bytes.
  for (let at = 0; at < bytes.length; at += 6) {
    const length = bytes.length - at - 6;
    bytes.set([0x30, 0x84, length >>> 24, length >>> 16, length >>> 8, length], at);
  }
  return bytes;
}

Deno.test("a certificate is read in linear time, whatever is in it", async () => {
  const { certificate: { der } } = await makeCa();
  const [signedPart, ...outer] = childrenOf(readDer(der, "test"));
  const fields = childrenOf(signedPart!).map(rawOf);
  const withField = (at: number, field: Uint8Array) =>
    derSequence(derSequence(...fields.with(at, new Uint8Array(field))), ...outer.map(rawOf));
  const extension = (oid: string, value: Uint8Array) => derSequence(derOid(oid), derOctets(value));
  const withExtensions = (extensions: Uint8Array) =>
    withField(7, derContext(3, derSequence(extensions)));
  const attribute = (oid: Uint8Array) =>
    derSet(derSequence(derElement(TAG.oid, oid), derElement(TAG.utf8String, encodeUtf8("x"))));
  const san = derElement(0x82, encodeUtf8("a.example"));
  const made: Readonly<Record<string, (size: number) => Uint8Array>> = {
    arcs: (size) => withField(5, derSequence(attribute(new Uint8Array(size).fill(1)))),
    "one long arc": (size) => withField(5, derSequence(attribute(new Uint8Array(size).fill(0x81)))),
    attributes: (size) => withField(5, derSequence(repeat(attribute(Uint8Array.of(1)), size))),
    names: (size) => withExtensions(extension("2.5.29.17", derSequence(repeat(san, size)))),
    levels: (size) => withExtensions(extension("1.2.3", nested(size))),
    extensions: (size) => withExtensions(repeat(extension("1.2.3", new Uint8Array()), size)),
  };
  for (const [name, make] of Object.entries(made)) {
    const work = (size: number) => {
      const bytes = make(size);
      return () => readCertificate(bytes);
    };
    assertEquals(await growsLinearly(work, [2000, 64_000]), true, name);
  }
});

sharedTest("an algorithm of 59,000 arcs is refused in a short line", async () => {
  const [entry] = decodePartition(shared("hostile/oid_arcs.bin")).entries;
  const error = await assertRejects(() => importPrivateKey(entry!.data), SecureCertError);
  assertEquals([error.code, error.message.length < 200], ["ERR_UNSUPPORTED", true]);
});

sharedTest("published and golden certificates are read", async () => {
  const ca = readCertificate(shared("generated/inputs/ca.pem"));
  for (const name of ["ecp256", "ecp384", "ecp192", "rsa1024", "rsa2048", "rsa4096"]) {
    for (const form of ["pem", "der"]) {
      const info = readCertificate(shared(`generated/inputs/${name}.crt.${form}`));
      assertEquals(info.subject, `CN=dev-${name}`);
      assertEquals(info.key, name.replace("rsa", "RSA-").replace("ecp", "P-"));
      assertEquals(await isIssuedBy(info, ca), true, name);
    }
  }
  assertEquals(readCertificate(shared("espressif/tools/client.crt")).issuer, "CN=Test CA");
});
