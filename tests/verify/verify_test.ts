import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { encodePartition, integrityEntry } from "../../lib/format/partition.ts";
import type { Tlv } from "../../lib/format/tlv.ts";
import {
  build,
  type BuildPlan,
  createCa,
  createDevelopmentCa,
  decodeNvs,
  decodePartition,
  encodeNvs,
  encodeSecurityConfig,
  exportPrivateKey,
  generateKey,
  inspect,
  issueCertificate,
  provision,
  readCertificate,
  type Verdict,
  verify,
} from "../../mod.ts";
import { rsaKey } from "../rsa_keys.ts";
import { shared, sharedTest } from "../vectors.ts";
import { growsLinearly } from "../growth.ts";

const issuer = await createDevelopmentCa();
const good = await provision({ issuer, subject: "CN=device" });
const { entries } = decodePartition(good.image);

const codes = ({ findings }: Verdict) => findings.map(({ code }) => code).sort();
const errors = ({ findings }: Verdict) =>
  findings.filter(({ severity }) => severity === "error").map(({ code }) => code).sort();

/** An image with some entries of the good one replaced, its integrity entry rebuilt. */
function imageOf(list: readonly Tlv[], options = {}): Uint8Array {
  return encodePartition(list, { integrity: true, ...options });
}

const [ca, dev, key] = entries;
const body = [ca!, dev!, key!];

/** Bytes as flash encryption leaves them, after some that are given. */
function encrypted(...first: readonly number[]): Uint8Array {
  const bytes = crypto.getRandomValues(new Uint8Array(8192));
  bytes.set(first);
  return bytes;
}

Deno.test("a private key that is still in an erased NVS entry gives a warning", async () => {
  const { image } = await provision({ issuer, subject: "CN=d", format: "nvs" });
  const key = decodeNvs(image).items.find((item) => item.key === "priv_key")!;
  const header = key.offset - 32;
  const first = (header % 4096 - 64) / 32;
  const span = 1 + Math.ceil((key.value as Uint8Array).length / 32);
  const erased = image.slice();
  for (let slot = first; slot < first + span; slot++) {
    erased[header - header % 4096 + 32 + (slot >> 2)]! &= ~(3 << 2 * (slot & 3));
  }
  const left = (await verify(erased)).findings.filter(({ code }) => code === "KEY_EXPOSED");
  assertEquals(left.map(({ severity, place }) => [severity, place.offset]), [["warning", header]]);
  assertEquals(left[0]!.message.includes(`erased entry "priv_key" at ${header}`), true);
  const wiped = erased.slice().fill(0xFF, header, header + span * 32);
  assertEquals(codes(await verify(wiped)).includes("KEY_EXPOSED"), false);
});

Deno.test("a huge NVS image is read up to 256 KiB, and what follows is reported", async () => {
  const { image } = await provision({ issuer, subject: "CN=d", format: "nvs" });
  const erased = new Uint8Array(0x400000).fill(0xFF);
  erased.set(image);
  assertEquals((await verify(erased)).ok, true);
  const items = Array.from({ length: 126 * 300 }, (_, at) => {
    const namespace = at === 0 ? "esp_secure_cert" : "n";
    return { namespace, key: `k${at}`, type: "u8" as const, value: 1 };
  });
  const { others, findings } = await inspect(encodeNvs(items, { size: 0x400000 }));
  assertEquals(others!.length < 126 * 64, true);
  const [finding] = findings;
  assertEquals([finding?.severity, finding?.code, finding?.place.offset], [
    "error",
    "TOO_LARGE",
    0x40000,
  ]);
});

async function planWith(
  options: Partial<Parameters<typeof issueCertificate>[0]> & { other?: boolean } = {},
): Promise<BuildPlan> {
  const device = await generateKey();
  const deviceCert = await issueCertificate({
    issuer,
    publicKey: device.publicKey,
    subject: "CN=d",
    ...options,
  });
  return {
    deviceCert,
    caCert: issuer.certificate,
    privateKey: await exportPrivateKey(options.other ? await generateKey() : device),
  };
}

Deno.test("a provisioned image is good, but for its plaintext key", async () => {
  const verdict = await verify(good.image, { ca: issuer.certificate });
  assertEquals([verdict.ok, verdict.format], [true, "tlv"]);
  assertEquals(codes(verdict), ["PLAINTEXT_KEY"]);
  assertEquals(verdict.checks.every(({ ok }) => ok), true);
});

Deno.test("every fault of an image is found, and only that one", async () => {
  const flipped = good.image.slice();
  flipped[20]! ^= 1;
  const unending = good.image.slice();
  unending[10] = unending[11] = 0xFF;
  const noNul = { ...key!, data: key!.data.subarray(0, -1) };
  const cases: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
    ["empty", new Uint8Array(), ["NOT_AN_IMAGE"]],
    ["erased", new Uint8Array(4096).fill(0xFF), ["LOOKS_ERASED"]],
    ["zeros", new Uint8Array(4096), ["NOT_AN_IMAGE"]],
    ["random", encrypted(0x7F), ["LOOKS_ENCRYPTED"]],
    ["random that begins as DER", encrypted(0x30, 0x82), ["LOOKS_ENCRYPTED"]],
    ["random that begins as an application", encrypted(0xE9, 0xC0), ["LOOKS_ENCRYPTED"]],
    ["text", new TextEncoder().encode("hello"), ["NOT_AN_IMAGE"]],
    ["shifted", new Uint8Array([0, 0, 0, 0, ...good.image]), ["BAD_MAGIC"]],
    ["flipped", flipped, ["BAD_CHECKSUM", "BAD_INTEGRITY", "CERT_REFUSED"]],
    ["endless", unending, ["OVER_64K"]],
    ["cut", good.image.slice(0, 100), ["TRUNCATED"]],
    ["no integrity match", encodePartition([...body, integrityEntry(new Uint8Array(3))]), [
      "BAD_INTEGRITY",
    ]],
    ["duplicate", imageOf([...body, key!]), ["DUPLICATE_ENTRY"]],
    ["reserved type", imageOf([...body, { type: 254, data: new Uint8Array(1) }]), ["UNKNOWN_TYPE"]],
    ["reserved subtype", imageOf([...body, { type: 51, subtype: 255, data: new Uint8Array(1) }]), [
      "BAD_SUBTYPE",
    ]],
    ["stray", new Uint8Array([...good.image, ...new Uint8Array(16)]), ["STRAY_BYTES"]],
    ["hidden", new Uint8Array([...good.image, ...new Uint8Array(16).fill(0xFF), ...good.image]), [
      "BAD_MAGIC",
    ]],
    ["no NUL", imageOf([ca!, dev!, noNul]), ["PEM_NO_NUL"]],
    ["no key", imageOf([ca!, dev!, { ...key!, data: new Uint8Array(5) }]), ["KEY_REFUSED"]],
    ["no certificate", imageOf([ca!, { ...dev!, data: new Uint8Array(5) }, key!]), [
      "CERT_REFUSED",
    ]],
    [
      "key in peripheral entry",
      imageOf([ca!, dev!, { ...key!, flags: 8 }, {
        type: 6,
        data: encodeSecurityConfig({ efuseKeyId: 2 }),
      }]),
      [
        "KEY_IN_PERIPHERAL_ENTRY",
      ],
    ],
  ];
  for (const [name, image, expected] of cases) {
    const verdict = await verify(image);
    assertEquals(verdict.ok, false, name);
    assertEquals(errors(verdict), expected, name);
    assertEquals((await inspect(image)).findings, verdict.findings, name);
  }
  const partition = await verify(good.image, { partitionSize: 1024 });
  assertEquals(errors(partition), ["TOO_LARGE"]);
});

Deno.test("what is odd and works is a warning", async () => {
  const marked = new Uint8Array([...good.image, 0xFF, 0xFF, 0, 0]);
  const full = encodePartition([{ type: 51, data: new Uint8Array(4080) }]);
  const cases: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
    ["marked", marked, ["NOT_ALIGNED", "PLAINTEXT_KEY", "STRAY_BYTES"]],
    ["full", full, ["NO_CA_CERT", "NO_DEVICE_CERT", "NO_KEY", "TOO_LARGE"]],
    [
      "after integrity",
      new Uint8Array([...good.image, ...encodePartition([{ type: 51, data: new Uint8Array(1) }])]),
      ["BAD_INTEGRITY", "PLAINTEXT_KEY"],
    ],
    ["unknown type", imageOf([...body, { type: 99, data: new Uint8Array(1) }]), [
      "PLAINTEXT_KEY",
      "UNKNOWN_TYPE",
    ]],
    ["last subtype", imageOf([...body, { ...dev!, subtype: 1 }]), [
      "LAST_SUBTYPE",
      "PLAINTEXT_KEY",
    ]],
    [
      "other CA",
      imageOf([
        { ...ca!, data: (await createCa({ subject: "CN=Server", key: issuer.key })).der },
        dev!,
        key!,
      ]),
      ["CA_NOT_ISSUER", "PLAINTEXT_KEY"],
    ],
  ];
  for (const [name, image, expected] of cases) {
    const verdict = await verify(image);
    assertEquals([verdict.ok, codes(verdict)], [true, [...expected]], name);
  }
});

Deno.test("a certificate that signed itself was not issued by a CA of the same name", async () => {
  const key = await generateKey();
  const stored = await createCa({ subject: "CN=Test CA", key: await generateKey() });
  const own = await createCa({ subject: "CN=Test CA", key });
  const image = imageOf([
    { type: 0, data: stored.der },
    { type: 1, data: own.der },
    { type: 2, data: exportPrivateKey(key, { form: "der" }) },
  ]);
  const verdict = await verify(image);
  assertEquals([verdict.ok, codes(verdict)], [
    true,
    ["CA_NOT_ISSUER", "CERT_PURPOSE", "CERT_PURPOSE", "PLAINTEXT_KEY"],
  ]);
  assertEquals(
    verdict.findings.find(({ code }) => code === "CA_NOT_ISSUER")?.message,
    `"CN=Test CA" is its own issuer, and the device stores the CA "CN=Test CA": it trusts servers with a certificate of that CA, such as a cloud service`,
  );
  assertEquals(errors(await verify(image, { ca: stored.der })), ["CHAIN_BROKEN"]);
});

sharedTest("cust_flash_tlv.bin is good, though its CA is not the issuer", async () => {
  const image = shared("espressif/qemu_test/cust_flash_tlv/cust_flash_tlv.bin");
  const { ok, findings } = await verify(image, { now: () => new Date("2026-12-01") });
  assertEquals([ok, findings.filter(({ code }) => /^C/.test(code)).map(({ code }) => code)], [
    true,
    ["CA_NOT_ISSUER"],
  ]);
});

Deno.test("the end of a certificate is a warning within 90 days, or an error as asked", async () => {
  const { image } = await provision({ issuer, subject: "CN=dev", days: 30 });
  const found = async (days?: number, now?: Date) => {
    const { findings } = await verify(image, { expiresWithin: days, now: now && (() => now) });
    return findings.filter(({ code }) => code !== "PLAINTEXT_KEY")
      .map(({ severity, code }) => `${severity} ${code}`);
  };
  assertEquals(await found(), ["warning CERT_EXPIRES_SOON"]);
  assertEquals(await found(29), []);
  assertEquals(await found(0), []);
  assertEquals(await found(30), ["error CERT_EXPIRES_SOON"]);
  const later = new Date(Date.now() + 31 * 86_400_000);
  assertEquals(await found(undefined, later), ["error CERT_EXPIRED"]);
  await assertRejects(() => verify(image, { expiresWithin: -1 }), RangeError);
});

Deno.test("an image with an error is withheld, and no-verify overrides that", async () => {
  const other = await createDevelopmentCa();
  const past = () => new Date("2020-01-01");
  const weak = await rsaKey(1024);
  const plans: readonly (readonly [string, BuildPlan])[] = [
    ["KEY_MISMATCH", await planWith({ other: true })],
    ["CHAIN_BROKEN", { ...await planWith(), caCert: other.certificate }],
    ["CERT_EXPIRED", await planWith({ now: past, days: 30 })],
    ["CERT_NOT_YET_VALID", await planWith({ now: () => new Date("2090-01-01") })],
    ["CERT_WEAK", {
      ...await planWith({ publicKey: weak.publicKey }),
      privateKey: await exportPrivateKey(weak),
    }],
  ];
  for (const [code, plan] of plans) {
    const error = await assertRejects(() => build(plan), SecureCertError, code);
    assertEquals(error.code, "ERR_VERIFY");
    assertEquals(errors(error.verdict as Verdict), [code]);
    const insisted = await build(plan, { verify: false });
    assertEquals(insisted.verdict.ok, false);
  }
  const chained = { ...await planWith(), caCert: other.certificate };
  assertEquals((await build(chained, { ca: issuer.certificate })).verdict.ok, true);
});

Deno.test("a plan lists all that is wrong with it", async () => {
  const plan = {
    deviceCert: new Uint8Array(3),
    data: [
      { type: 300, data: new Uint8Array() },
      { type: 50, data: new Uint8Array() },
      { type: 51, subtype: 254, data: new Uint8Array() },
      { type: 51, data: new Uint8Array(1) },
      { type: 51, data: new Uint8Array(1) },
      { type: 52, data: new Uint8Array(70000) },
    ],
  };
  const error = await assertRejects(() => build(plan), SecureCertError);
  assertEquals(error.code, "ERR_PLAN");
  for (
    const part of [
      "device certificate: ",
      "type 300",
      "type 50",
      "subtype 254",
      "a second one",
      "70000 bytes",
    ]
  ) {
    assertEquals(error.message.includes(part), true, part);
  }
});

Deno.test("a bundle is kept whole, and a chain over an intermediate holds", async () => {
  const middleKey = await generateKey();
  const middle = {
    key: middleKey,
    certificate: await createCa({ subject: "CN=Middle", key: middleKey, issuer }),
  };
  const plan = await planWith({ issuer: middle });
  const bundle = new TextEncoder().encode(
    `leading text\n${readCertificate(plan.deviceCert!).pem}${middle.certificate.pem}`,
  );
  const { image, verdict } = await build({ ...plan, deviceCert: bundle });
  assertEquals(codes(verdict), ["PLAINTEXT_KEY"]);
  const report = await inspect(image);
  assertEquals(report.entries[1]?.certificates?.map(({ subject }) => subject), [
    "CN=d",
    "CN=Middle",
  ]);
});

Deno.test("every truncation and every flipped bit of an image is noticed", async () => {
  const image = encodePartition([...body, { type: 51, data: new Uint8Array(20) }], {
    integrity: true,
    fill: true,
    size: 0x800,
  });
  const before = JSON.stringify(await verify(image));
  for (let length = 0; length < decodePartition(image).used; length += 7) {
    assertEquals((await verify(image.subarray(0, length))).ok, false, `cut to ${length}`);
  }
  const bits = fc.integer({ min: 0, max: image.length * 8 - 1 });
  await fc.assert(
    fc.asyncProperty(bits, async (bit) => {
      const changed = image.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      assertEquals(JSON.stringify(await verify(changed)) === before, false, `bit ${bit}`);
    }),
    { seed: 20261124, numRuns: 200 },
  );
  // Every bit of the header, and of what follows one of each byte.
  for (let bit = 0; bit < 64 * 8; bit += bit < 16 * 8 ? 1 : 9) {
    const changed = image.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assertEquals((await verify(changed)).ok, false, `bit ${bit} of the first entry`);
  }
});

Deno.test("any bytes get a verdict and a report", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.uint8Array({ maxLength: 400 }).map((tail) =>
      new Uint8Array([...good.image.subarray(0, 12), ...tail])
    ),
    fc.array(
      fc.record({
        type: fc.integer({ min: 0, max: 12 }),
        flags: fc.constantFrom(0, 8, 0x40, 0x80, 0xFF),
        data: fc.uint8Array({ maxLength: 64 }),
      }),
    ).map((list) => encodePartition(list)),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (image) => {
      assertEquals(typeof (await verify(image)).ok, "boolean");
      JSON.stringify(await inspect(image));
    }),
    { seed: 20261124, numRuns: 400 },
  );
});

Deno.test("a report shows no private key unless asked", async () => {
  const quiet = JSON.stringify(await inspect(good.image));
  assertEquals(quiet.includes("PRIVATE KEY"), false);
  const loud = await inspect(good.image, { showSecrets: true });
  assertEquals(loud.entries[2]?.privateKey?.secret?.includes("BEGIN EC PRIVATE KEY"), true);
});

Deno.test("a verdict takes time linear in the length of the image", async () => {
  const check = (count: number) => {
    const image = new Uint8Array(count * 16);
    for (let at = 0; at < image.length; at += 16) image.set([0x11, 0xBA, 0x5E, 0xBA], at);
    return () => verify(image);
  };
  assertEquals(await growsLinearly(check, [2000, 32_000]), true);
});

sharedTest("a published image is read, and its expired certificates are reported", async () => {
  const report = await inspect(shared("espressif/tools/esp_secure_cert.bin"), {
    now: () => new Date("2026-01-01"),
  });
  const kinds = ["certificate", "certificate", "certificate", "privateKey", "userData", "userData"];
  assertEquals(report.entries.map(({ kind }) => kind), [...kinds, "integrity"]);
  assertEquals(report.credentials.key, "RSA-2048");
  const verdict = await verify(shared("espressif/tools/esp_secure_cert.bin"), {
    now: () => new Date("2027-01-01"),
  });
  assertEquals(errors(verdict).includes("CERT_EXPIRED"), true);
});

Deno.test("every single bit of a small image is noticed, or is where nothing is read", async () => {
  const image = encodePartition([{ type: 51, data: new Uint8Array(20) }], {
    integrity: true,
    fill: true,
    size: 256,
  });
  const before = JSON.stringify(await verify(image));
  for (let bit = 0; bit < image.length * 8; bit++) {
    const changed = image.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    const verdict = await verify(changed);
    // Inside the chain it is an error; after it the erased flash is no longer erased.
    assertEquals(verdict.ok, false, `bit ${bit}`);
    assertEquals(JSON.stringify(verdict) === before, false, `bit ${bit}`);
  }
});
