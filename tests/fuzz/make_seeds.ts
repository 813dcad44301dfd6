/**
 * Writes the seeds of fuzzing, tests/vectors/fuzz/seeds.json.gz. They are kept because keys and
 * signatures are random, and an input that failed must be there again:
 *
 *     deno run --allow-write=tests/vectors tests/fuzz/make_seeds.ts
 */
import * as toolkit from "../../mod.ts";
import { type Bytes, concat } from "../../lib/bytes/pack.ts";
import { encodeUtf8, parseBase64 } from "../../lib/bytes/text.ts";

const HMAC_KEY = new Uint8Array(32).fill(7);
const CSV_HEADER =
  "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key\n";

/** Makes one image of each layout and key mode, and keys, certificates and texts of each kind. */
async function makeSeeds() {
  const issuer = await toolkit.createDevelopmentCa();
  const hmacKey = HMAC_KEY;
  const signer = await toolkit.generateKey({ type: "ec", curve: "P-256" });
  const make = (options: Partial<Parameters<typeof toolkit.provision>[0]>) =>
    toolkit.provision({
      issuer,
      subject: "CN=device,O=Example",
      sans: ["dns:a.example", "ip:10.0.0.1"],
      chip: "esp32c5",
      efuseKeyId: 0,
      ...options,
    });
  const plain = await make({});
  const ds = await make({ keyMode: "rsa-ds", chip: "esp32s3", hmacKey });
  const encrypted = await make({ keyMode: "hmac-encrypted", hmacKey });
  const peripheral = await make({ keyMode: "ecdsa-peripheral" });
  const derived = await make({ keyMode: "hmac-derived", hmacKey });
  const signed = await toolkit.signPartition(plain.image, [signer]);
  const { image: others } = await toolkit.append(plain.image, {
    entries: [{ type: 51, subtype: 0, data: encodeUtf8("text") }],
    integrity: true,
  });
  const tlv = [plain, ds, encrypted, peripheral, derived].map(({ image }) => image);
  const converted = (image: Bytes, to: toolkit.ImageFormat) =>
    toolkit.convert(image, { to }).then((result) => result.image);
  const custFlash = [
    await converted(plain.image, "cust_flash"),
    await converted(plain.image, "cust_flash_legacy"),
    await converted(ds.image, "cust_flash"),
  ];
  const nvs = [
    await converted(plain.image, "nvs"),
    await converted(ds.image, "nvs_legacy"),
    toolkit.encodeNvs([
      { namespace: "esp_secure_cert", key: "blob", type: "blob", value: new Uint8Array(5000) },
      { namespace: "other", key: "number", type: "i64", value: -1n },
    ]),
  ];
  const value = (image: Bytes, type: number) =>
    toolkit.decodePartition(image).entries.find((entry) => entry.type === type)!.data.slice();
  const certificates = [issuer.certificate.pem, plain.certificate.pem, ds.certificate.pem]
    .flatMap(pemAndDer);
  const request = await toolkit.createRequest({ key: signer, subject: "CN=x", sans: ["dns:x.y"] });
  const entry = value(signed, toolkit.TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV);
  const rsa = await toolkit.generateKey({ type: "rsa", bits: 2048 });
  const keys = [signer, rsa].flatMap((key) =>
    (["pkcs8", "traditional"] as const).flatMap((encoding) =>
      (["pem", "der"] as const).map((form) => toolkit.exportPrivateKey(key, { encoding, form }))
    )
  );
  const rows =
    `2,0,key.pem,file,plaintext,ECDSA,256,,\n51,0,"a ""b""\nc",string,,,,,\n52,1,00ff,hex,,,,,\n`;
  const csvs = (await toolkit.extract(others)).slice(0, 1).map(({ bytes }) => bytes as Bytes);
  return {
    issuer,
    hmacKey,
    signer,
    tlv: [...tlv, signed, others, concat(others, new Uint8Array(256).fill(0xFF))],
    custFlash,
    nvs,
    table: [toolkit.encodePartitionTable([
      { name: "nvs", type: 1, subtype: 2, offset: 0x9000, size: 0x4000 },
      { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 },
    ])],
    certificates,
    keys: keys as Bytes[],
    publicKeys: [signer.publicKey, rsa.publicKey] as Bytes[],
    requests: pemAndDer(request.pem),
    dsData: [value(ds.image, toolkit.TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV)],
    dsContext: [value(ds.image, toolkit.TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV)],
    securityConfig: [
      value(peripheral.image, toolkit.TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG),
    ],
    signatureEntries: [entry],
    signatureBlocks: [toolkit.encodeSignatureBlock({
      ...toolkit.decodeSignatureEntry(entry),
      imageDigest: new Uint8Array(32),
    })],
    configs: [
      ...csvs,
      encodeUtf8(CSV_HEADER + rows),
      encodeUtf8(CSV_HEADER + `1,0,"${plain.certificate.pem}",string,,,,,\n`),
    ],
    partitionCsvs: [encodeUtf8(
      "# Name, Type, SubType, Offset, Size, Flags\nnvs,data,nvs,0x9000,16K,\nesp_secure_cert,0x3F,,0xD000,0x2000,encrypted\nfactory,app,factory,,1M\n",
    )],
    lists: [encodeUtf8('id,subject,note\ndev-1,"CN=a,O=b",x\ndev-2,CN=c,\n')],
    ndjson: [encodeUtf8('{"id":"a","subject":"CN=b"}\n{"id":"c","efuse_key_id":1}\n')],
    profiles: [
      encodeUtf8(
        JSON.stringify({
          chip: "esp32c3",
          keyMode: "plaintext",
          days: 10,
          data: [{ type: 51, string: "{id}" }],
        }),
      ),
    ],
    manifests: [encodeUtf8(
      JSON.stringify({
        id: "a",
        serial: "01",
        fingerprint: "00",
        publicKey: "00",
        imageSha256: "00",
        keyMode: "plaintext",
        efuseKeyId: null,
        status: "ok",
      }) + "\n",
    )],
  };
}

function pemAndDer(pem: string): Bytes[] {
  return [encodeUtf8(pem), parseBase64(pem.replace(/-----[A-Z ]*-----|\s/g, ""))];
}

const { issuer, signer, ...bytes } = await makeSeeds();
const json = JSON.stringify(
  {
    issuer: { certificate: issuer.certificate.pem, key: toolkit.exportPrivateKey(issuer.key) },
    signer: toolkit.exportPrivateKey(signer),
    ...bytes,
  },
  (_, value) => value instanceof Uint8Array ? { base64: value.toBase64() } : value,
);
const gzip = new Blob([json]).stream().pipeThrough(new CompressionStream("gzip"));
await Deno.writeFile(new URL("../vectors/fuzz/seeds.json.gz", import.meta.url), gzip);
