/** What the firmware finds in each layout: the end of a chain, types of NVS values, P-192 signatures. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  buildFromCsv,
  convert,
  createDevelopmentCa,
  decodePartition,
  encodeNvs,
  encodePartition,
  encodePartitionTable,
  type NvsItem,
  openSecureCert,
  provision,
  SecureCertError,
  verify,
} from "../../mod.ts";
import { crc32 } from "../../lib/bytes/crc32.ts";
import { concat, equalBytes } from "../../lib/bytes/pack.ts";
import { NVS_CREDENTIAL_NAMESPACES } from "../../lib/format/nvs/credentials.ts";
import { shared, sharedTest, vector } from "../vectors.ts";

const issuer = await createDevelopmentCa();

type Verdict = Awaited<ReturnType<typeof verify>>;

const severityOf = ({ findings }: Verdict, code: string) =>
  findings.find((each) => each.code === code)?.severity;

/** A chain of this many bytes, a multiple of 16. */
const chainOf = (length: number, integrity = false) =>
  encodePartition([{ type: 51, data: new Uint8Array(length - 16 - (integrity ? 48 : 0)) }], {
    integrity,
    size: 0x10000,
  });

Deno.test("a chain that fills its partition is an error, because the reader reads on", async () => {
  const cases: readonly (readonly [number, number | undefined, "error" | "warning" | undefined])[] =
    [
      // Length of the chain, size of the partition, what is found.
      [0x2000, 0x2000, "error"],
      [0x2000, undefined, "error"],
      [0x3000, undefined, "error"],
      [0x1000, 0x1000, "error"],
      [0x1FF0, 0x2000, undefined],
      [0x2000, 0x3000, undefined],
      [0x2000, 0x2010, undefined],
      // Small images without a partition: the documented one has room after it.
      [0x1000, undefined, "warning"],
      [0x1010, undefined, undefined],
      [0x40, undefined, undefined],
      // The magic number of the next entry is 4 bytes.
      [0x1FF0, 0x1FF0, "error"],
      [0x1FF0, 0x1FF3, "error"],
      [0x1FF0, 0x1FF4, undefined],
      [0x2010, 0x2000, "error"],
    ];
  for (const integrity of [false, true]) {
    for (const [length, partitionSize, severity] of cases) {
      const verdict = await verify(chainOf(length, integrity), { partitionSize });
      assertEquals(severityOf(verdict, "TOO_LARGE"), severity, `${length} in ${partitionSize}`);
    }
  }
  // With the rest erased nothing is wrong, whatever the length.
  const filled = new Uint8Array(0x2000).fill(0xFF);
  filled.set(chainOf(0x1FF0));
  assertEquals(severityOf(await verify(filled), "TOO_LARGE"), undefined);
});

Deno.test("a full partition of a flash dump is an error, whatever follows it", async () => {
  for (const follows of [0xFF, 0]) {
    const dump = new Uint8Array(0x10000).fill(0xFF).fill(follows, 0xF000);
    const entry = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 };
    dump.set(encodePartitionTable([entry]), 0x8000);
    dump.set(chainOf(0x2000), 0xD000);
    assertEquals(severityOf(await verify(dump), "TOO_LARGE"), "error");
  }
});

Deno.test("build withholds an image that fills its partition", async () => {
  const header = "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size," +
    "efuse_id,efuse_key\n";
  const row = (length: number) => `51,0,${"00".repeat(length)},hex,,,,,\n`;
  const build = (length: number) =>
    buildFromCsv(header + row(length), { load: () => Promise.resolve(undefined) });
  assertEquals((await build(0x2000 - 64 - 16)).image.length, 0x2000 - 16);
  const error = await assertRejects(() => build(0x2000 - 64), SecureCertError);
  assertEquals(error.code, "ERR_VERIFY");
});

const PARTS = {
  ca_cert: "string",
  dev_cert: "string",
  priv_key: "string",
  cipher_c: "blob",
  iv: "blob",
  rsa_len: "u16",
  ds_key_id: "u8",
} as const;
const TEXT = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const SIZES: Readonly<Record<string, number>> = { cipher_c: 1200, iv: 16 };

function itemOf(namespace: string, key: string, type: string): NvsItem {
  const value = type === "string"
    ? TEXT
    : type === "blob"
    ? new Uint8Array(SIZES[key] ?? 40)
    : type.endsWith("64")
    ? 1n
    : 1;
  return { namespace, key, type, value } as NvsItem;
}

Deno.test("each credential in NVS has the type that the firmware asks for, in both namespaces", async () => {
  for (const namespace of NVS_CREDENTIAL_NAMESPACES) {
    for (const [key, right] of Object.entries(PARTS)) {
      for (const type of ["string", "blob", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"]) {
        const items = Object.entries(PARTS).map(([each, own]) =>
          itemOf(namespace, each, each === key ? type : own)
        );
        const found = (await verify(encodeNvs(items))).findings
          .filter(({ code }) => code === "NVS_TYPE");
        assertEquals(
          found.map(({ severity }) => severity),
          type === right ? [] : ["error"],
          `${namespace} ${key} ${type}`,
        );
        if (type !== right) assertEquals(found[0]!.message.includes(key), true);
      }
    }
  }
});

Deno.test("the getter of a value of another type gives an error", async () => {
  const image = encodeNvs([
    itemOf("esp_secure_cert", "dev_cert", "blob"),
    itemOf("esp_secure_cert", "ca_cert", "string"),
  ]);
  const device = openSecureCert(image);
  await assertRejects(() => device.deviceCert(), SecureCertError);
  assertEquals(new TextDecoder().decode(await device.caCert()), TEXT + "\0");
});

/** An NVS image in which the entries of a key have another one, which its writer would refuse. */
function renamed(image: Uint8Array, from: string, to: string): Uint8Array {
  const [before, after] = [from, to].map((key) => new TextEncoder().encode(key));
  const renamed = image.slice();
  for (let at = 64; at < renamed.length; at += 32) {
    if (!equalBytes(renamed.subarray(at + 8, at + 8 + before!.length), before!)) continue;
    renamed.set(after!, at + 8);
    const entry = renamed.subarray(at, at + 32);
    const crc = crc32(concat(entry.subarray(0, 4), entry.subarray(8)), 0xFFFFFFFF);
    new DataView(renamed.buffer).setUint32(at + 4, crc, true);
  }
  return renamed;
}

Deno.test("of two values of one key that one decides which the firmware keeps", async () => {
  const own = "esp_secure_cert";
  const [blob, text] = [itemOf(own, "dev_cerX", "blob"), itemOf(own, "dev_cert", "string")];
  const read = async (...items: readonly NvsItem[]) => {
    const image = renamed(encodeNvs(items), "dev_cerX", "dev_cert");
    const value = openSecureCert(image).deviceCert().then(() => "value", () => "error");
    return [severityOf(await verify(image), "NVS_TYPE") ?? "none", await value];
  };
  // In the page that is written to, the firmware drops the earlier of two when it opens it.
  assertEquals(await read(blob, text), ["none", "value"]);
  assertEquals(await read(text, blob), ["error", "error"]);
  // A page that has the key with another type is left, and the next one asked.
  const filler = Array.from({ length: 124 }, (_, at): NvsItem => ({
    namespace: "n",
    key: `k${at}`,
    type: "u8",
    value: 1,
  }));
  assertEquals(await read(blob, ...filler, text), ["none", "value"]);
  // Another namespace is not looked at.
  const other = itemOf("pre_prov", "dev_cert", "blob");
  assertEquals(await read(text, other), ["none", "value"]);
});

Deno.test("a value of another type is not called absent, and one of another namespace is", async () => {
  const codes = async (...items: readonly NvsItem[]) =>
    (await verify(encodeNvs(items))).findings.map(({ code }) => code)
      .filter((code) => code === "NVS_TYPE" || code.startsWith("NO_"));
  const own = "esp_secure_cert";
  const blobs = ["ca_cert", "dev_cert", "priv_key"].map((key) => itemOf(own, key, "blob"));
  assertEquals(await codes(...blobs), ["NVS_TYPE", "NVS_TYPE", "NVS_TYPE"]);
  const found = await codes(...blobs.slice(0, 1), itemOf("pre_prov", "dev_cert", "string"));
  assertEquals(found, ["NVS_TYPE", "NO_DEVICE_CERT", "NO_KEY"]);
});

sharedTest("a reported image with binary values in NVS says what is wrong with it", async () => {
  const verdict = await verify(shared("reports/nvs-5910-binary-not-string/i.bin"));
  const found = verdict.findings.filter(({ code }) => code === "NVS_TYPE");
  assertEquals(found.map(({ message }) => message.split(" ")[0]), [
    "ca_cert",
    "dev_cert",
    "priv_key",
  ]);
  assertEquals(verdict.ok, false);
});

Deno.test("a chain that fills its partition converts to a larger one", async () => {
  const { image } = await provision({ issuer, subject: "CN=d" });
  const room = 0x2000 - image.length - 16;
  const full = encodePartition([...decode(image), { type: 51, data: new Uint8Array(room) }]);
  assertEquals(full.length, 0x2000 - 48);
  const whole = encodePartition([...decode(image), { type: 51, data: new Uint8Array(room + 48) }]);
  assertEquals(severityOf(await verify(whole), "TOO_LARGE"), "error");
  const { image: larger, verdict } = await convert(whole, { to: "tlv", size: 0x3000 });
  assertEquals([severityOf(verdict, "TOO_LARGE"), larger.length > 0x2000], [undefined, true]);
});

const decode = (image: Uint8Array) =>
  decodePartition(image).entries.filter(({ type }) => type !== 9);

Deno.test("P-192 signatures are a warning, other schemes none", async () => {
  for (const scheme of ["ecdsa192", "ecdsa256", "ecdsa384", "rsa3072"]) {
    const verdict = await verify(vector(`sign_${scheme}.bin`));
    const wanted = scheme === "ecdsa192" ? "warning" : undefined;
    assertEquals(severityOf(verdict, "P192_REMOVED"), wanted, scheme);
    assertEquals(
      verdict.findings.filter(({ code }) => code === "P192_REMOVED").length,
      wanted === undefined ? 0 : 1,
    );
  }
});
