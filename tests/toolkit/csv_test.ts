import { assert, assertEquals, assertRejects } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat, equalBytes } from "../../lib/bytes/pack.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { decodePartition } from "../../lib/format/partition.ts";
import { buildFromCsv } from "../../lib/toolkit/build.ts";
import { formatProblems, type Load, planFromCsv } from "../../lib/toolkit/plan/entry.ts";
import { planEntries } from "../../lib/toolkit/plan/planner.ts";
import {
  type Bytes,
  createDevelopmentCa,
  decodeDsData,
  decryptDsParameters,
  decryptEntry,
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  issueCertificate,
  openSecureCert,
} from "../../mod.ts";
import { parsePem } from "../../lib/bytes/pem.ts";
import { createDerivedKey } from "../../lib/crypto/peripherals/hmac.ts";
import { rsaPkcs8 } from "../rsa_keys.ts";

const HEADER = CONFIG_COLUMNS.join(",");
const utf8 = (text: string) => new TextEncoder().encode(text);

const issuer = await createDevelopmentCa();
const key = await generateKey();
const deviceCert = await issueCertificate({ issuer, publicKey: key.publicKey, subject: "CN=d" });
const hmacKey = crypto.getRandomValues(new Uint8Array(32));
const FILES: Readonly<Record<string, Uint8Array>> = {
  "ca.der": issuer.certificate.der,
  "ca.pem": utf8(issuer.certificate.pem),
  "dev.pem": utf8(deviceCert.pem),
  "key.pem": await exportPrivateKey(key),
  "rsa.der": rsaPkcs8(1024),
  "hmac.bin": hmacKey,
  "short.bin": hmacKey.subarray(1),
  "blob.bin": new Uint8Array([1, 2, 3]),
};
const load: Load = (path) => Promise.resolve(FILES[path]);
const csv = (...rows: readonly string[]) => [HEADER, ...rows].join("\n");
const entriesOf = (image: Bytes) => decodePartition(image).entries;

/** What is wrong with some rows, files and values included. */
async function problems(...rows: readonly string[]): Promise<string[]> {
  const plan = await planFromCsv(csv(...rows), load);
  const planned = await planEntries(plan.entries, { chip: "esp32s3", allowWeak: true });
  return formatProblems([...plan.problems, ...planned.problems]).split("\n  ");
}

Deno.test("rows become entries in their order, with an integrity entry after them", async () => {
  const text = csv(
    "ESP_SECURE_CERT_CA_CERT_TLV,0,ca.pem,file,,,,,",
    "1,0,dev.pem,file,,,,,",
    "2,0,key.pem,file,plaintext,,,,",
    "51,0,  hello  ,string,,,,,",
    "52,0,0102 03,hex,,,,,",
    "53,0,AQID,base64,,,,,",
    "54,3,blob.bin,file,,,,,",
  );
  const { image, verdict } = await buildFromCsv(text, { load });
  const entries = entriesOf(image);
  assertEquals(entries.map(({ type, subtype }) => [type, subtype]), [
    [0, 0],
    [1, 0],
    [2, 0],
    [51, 0],
    [52, 0],
    [53, 0],
    [54, 3],
    [9, 0],
  ]);
  assertEquals(verdict.ok, true);
  assertEquals(entries[0]!.data, concat(FILES["ca.pem"]!, new Uint8Array(1)));
  const traditional = await exportPrivateKey(key, { encoding: "traditional" });
  assertEquals(entries[2]!.data, concat(traditional, new Uint8Array(1)));
  assertEquals(entries.slice(3, 7).map(({ data }) => data.length), [5, 3, 3, 3]);
});

Deno.test("every problem of every row and file is reported at once, with line and column", async () => {
  assertEquals(
    await problems(
      "0,0,missing.pem,file,,,,,",
      "1,0,blob.bin,file,,,,,",
      "2,0,key.pem,file,rsa_ds,RSA,2048,1,hmac.bin",
      "2,1,rsa.der,file,rsa_ds,RSA,2048,,missing.bin",
      "2,2,rsa.der,file,rsa_ds,RSA,2048,,hmac.bin",
      "2,3,rsa.der,file,rsa_ds,RSA,1024,1,short.bin",
      "2,4,key.pem,file,ecdsa_peripheral,ECDSA,256,1,",
      "2,5,blob.bin,file,hmac_derived,ECDSA,256,1,",
      "2,6,rsa.der,file,rsa_ds,,,2,",
      "51,0,blob.bin,files,,,,,",
      "51,1",
    ),
    [
      "line 2:5: data_value: no such file: missing.pem",
      "line 3:5: data_value: Cannot decode certificate: element at 0: need sequence (tag 0x30), found boolean (tag 0x01); the device refuses it too: need sequence (tag 0x30), found boolean (tag 0x01) at byte 0",
      "line 4:25: algorithm: rsa-ds needs an RSA key, this is a P-256 key",
      "line 5:35: efuse_key: no such file: missing.bin",
      "line 6:29: key_size: 2048, the key is RSA-1024",
      "line 6:34: efuse_id: missing; rsa-ds needs the n of its KEYn",
      "line 7:36: efuse_key: the HMAC key has 31 bytes, an eFuse block holds 32",
      "line 8:18: priv_key_type: esp32s3 has no ecdsa-peripheral keys; it has plaintext, rsa-ds, hmac-encrypted, hmac-derived",
      "line 9:3: tlv_subtype: no entry of type 5 with subtype 5 holds its salt",
      "line 9:5: data_value: hmac-derived takes no private key: it derives its own, from a salt of type 5",
      "line 10:29: efuse_key: missing; rsa-ds needs the file with the 32 bytes of the HMAC key",
      "line 11:15: data_type: must be one of file, string, hex, base64; did you mean file?",
      "line 12:1: 2 columns, need 9",
    ],
  );
  const error = await assertRejects(
    () => buildFromCsv(csv("0,0,missing.pem,file,,,,,", "51,0,a"), { load }),
    SecureCertError,
  );
  assertEquals([error.code, error.place.line], ["ERR_CSV", 2]);
  assertEquals(error.message.split("\n").length, 3);
});

Deno.test("a message never quotes a key", async () => {
  const pem = new TextDecoder().decode(FILES["key.pem"]).trim();
  const broken = pem.replaceAll("A", "!");
  for (const value of [broken, pem.slice(0, 90)]) {
    const error = await assertRejects(
      () => buildFromCsv(csv(`2,0,"${value}",string,plaintext,,,,`), { load }),
      SecureCertError,
    );
    assertEquals(error.message.includes(pem.slice(40, 60)), false, error.message);
  }
});

Deno.test("the DS and HMAC peripherals take keys from rows", async () => {
  const text = csv(
    "2,0,rsa.der,file,rsa_ds,,,3,hmac.bin",
    "2,1,key.pem,file,hmac_encrypted,,,4,hmac.bin",
    "51,0,a,string,,,,,",
  );
  const { image, efuseKeys } = await buildFromCsv(text, { load, chip: "esp32c3", verify: false });
  const [data, context, encrypted] = entriesOf(image);
  assertEquals([data!.type, context!.type, context!.data[4]], [3, 4, 3]);
  const { checks } = await decryptDsParameters(decodeDsData(data!.data), { hmacKey });
  assertEquals(Object.values(checks).every((holds) => holds), true);
  assertEquals([encrypted!.subtype, encrypted!.flags], [1, 0x80]);
  const plain = await decryptEntry(encrypted!.data, { hmacKey });
  assertEquals(parsePem(new TextDecoder().decode(plain))[0]?.label, "EC PRIVATE KEY");
  assertEquals(efuseKeys.map(({ efuseKeyId, keyMode, isNew }) => [efuseKeyId, keyMode, isNew]), [
    [3, "rsa-ds", false],
    [4, "hmac-encrypted", false],
  ]);
});

Deno.test("a derived key is an empty row beside its salt", async () => {
  const { salt, sec1 } = await createDerivedKey({ hmacKey });
  const text = csv(`5,0,${salt.toHex()},hex,,,,,`, "2,0,,hex,hmac_derived,,,,");
  const { image } = await buildFromCsv(text, { load, hmacKey, verify: false });
  const device = openSecureCert(image, { hmacKey });
  assertEquals(await device.privateKey(), sec1);
});

Deno.test("the key of the ECDSA peripheral is in no entry", async () => {
  const text = csv("1,0,dev.pem,file,,,,,", "2,0,key.pem,file,ecdsa_peripheral,,,2,");
  const options = { load, chip: "esp32h2" as const, verify: false };
  const { image, efuseKeys } = await buildFromCsv(text, options);
  const entries = entriesOf(image);
  assertEquals(entries.map(({ type, flags, data }) => [type, flags, data.length > 0]), [
    [6, 0, true],
    [1, 0, true],
    [2, 8, false],
    [9, 0, true],
  ]);
  assertEquals(efuseKeys[0]?.privateKey?.publicKey, key.publicKey);
});

Deno.test("a certificate for another key withholds the image, in peripherals too", async () => {
  const rows = ["1,0,dev.pem,file,,,,,", "2,0,rsa.der,file,rsa_ds,,,1,hmac.bin"];
  const options = { load, chip: "esp32c3" as const };
  const error = await assertRejects(() => buildFromCsv(csv(...rows), options), SecureCertError);
  assertEquals(error.code, "ERR_VERIFY");
  assertEquals(error.message.includes("KEY_MISMATCH"), true);
});

Deno.test("older layouts are built from a CSV that names them, or when asked", async () => {
  const rows = ["0,0,ca.pem,file,,,,,", "1,0,dev.pem,file,,,,,", "2,0,key.pem,file,plaintext,,,,"];
  for (const format of ["cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"] as const) {
    const named = csv(`# @image format=${format}`, ...rows);
    const { image } = await buildFromCsv(named, { load });
    const asked = await buildFromCsv(csv(...rows), { load, format });
    assert(equalBytes(image, asked.image));
    const device = openSecureCert(image, { legacyBuild: true });
    assertEquals(device.format, format);
    assertEquals((await device.deviceCert()).length, FILES["dev.pem"]!.length + 1);
  }
  const user = csv("51,0,a,string,,,,,");
  const error = await assertRejects(() => buildFromCsv(user, { load, format: "nvs" }));
  assertEquals((error as SecureCertError).code, "ERR_PLAN");
});

Deno.test("what is not wanted is not asked for", async () => {
  const asked: string[] = [];
  const noting: Load = (path) => (asked.push(path), load(path));
  await planFromCsv(csv("51,0,a,string,,,,,", "54,0,blob.bin,file,,,,,"), noting);
  assertEquals(asked, ["blob.bin"]);
  await planFromCsv(csv("51,999,blob.bin,file,,,,,"), noting);
  assertEquals(asked, ["blob.bin"]);
});

Deno.test("a value too long for an entry, and a chain too long for the partition, are reported", async () => {
  const big = (length: number): Load => () => Promise.resolve(new Uint8Array(length));
  const text = csv("51,0,big.bin,file,,,,,");
  const code = async (length: number) => {
    const build = () => buildFromCsv(text, { load: big(length) });
    return (await assertRejects(build, SecureCertError)).code;
  };
  assertEquals(await code(0xFFE1), "ERR_CSV");
  assertEquals(await code(0x2000), "ERR_TOO_LARGE");
  const { image } = await buildFromCsv(text, { load: big(0x2000), size: 0x3000, fill: true });
  assertEquals(image.length, 0x3000);
});

Deno.test("a weak RSA key is an error, and a warning when weak keys are allowed", async () => {
  const { publicKey } = await importPrivateKey(rsaPkcs8(1024));
  const weak = await issueCertificate({ issuer, publicKey, subject: "CN=weak" });
  const withWeak: Load = async (path) => path === "weak.der" ? weak.der : await load(path);
  const text = csv("1,0,weak.der,file,,,,,", "2,0,rsa.der,file,plaintext,,,,");
  const { findings } = (await buildFromCsv(text, { load: withWeak, allowWeak: true })).verdict;
  const { severity } = findings.find(({ code }) => code === "CERT_WEAK")!;
  assertEquals(severity, "warning");
  const refused = await assertRejects(
    () => buildFromCsv(text, { load: withWeak }),
    SecureCertError,
  );
  assertEquals(refused.code, "ERR_VERIFY");
});
