/** One image for every code of the contract. */
import { assertEquals } from "@std/assert";
import {
  createCa,
  createDevelopmentCa,
  decodePartition,
  encodeNvs,
  encodePartition,
  encodePartitionTable,
  exportPrivateKey,
  generateKey,
  issueCertificate,
  provision,
  readCertificate,
  signPartition,
  type Tlv,
  verify,
} from "../../mod.ts";
import type { FindingCode } from "../../lib/findings/findings.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { rsaKey } from "../rsa_keys.ts";
import { vector } from "../vectors.ts";

type Case = { readonly image: Uint8Array; readonly options?: Parameters<typeof verify>[1] };

const issuer = await createDevelopmentCa();
const make = (options: Partial<Parameters<typeof provision>[0]> = {}) =>
  provision({ issuer, subject: "CN=d", verify: false, ...options });
const plain = await make();
const entries: readonly Tlv[] = decodePartition(plain.image).entries;
const [ca, dev, key] = entries as readonly [Tlv, Tlv, Tlv];
const of = (...list: readonly Tlv[]) => encodePartition(list, { integrity: true });
const ds = await make({ keyMode: "rsa-ds", chip: "esp32s3" });
const dsEntries = decodePartition(ds.image).entries.slice(0, -1);
/** A flash dump with the image in a partition at 0xD000. */
function flashWith(image: Uint8Array, partition: { type: number; name: string }): Uint8Array {
  const dump = new Uint8Array(0x10000).fill(0xFF);
  const entry = { ...partition, subtype: 6, offset: 0xD000, size: 0x3000 };
  dump.set(encodePartitionTable([entry]), 0x8000);
  dump.set(image, 0xD000);
  return dump;
}

const encrypted = await make({ keyMode: "hmac-encrypted", chip: "esp32c3" });

const damaged = (at: number, from = plain.image) => {
  const image = from.slice();
  image[at]! ^= 1;
  return image;
};

async function withCertificate(
  options: { now?: () => Date; weak?: boolean; other?: boolean },
): Promise<Uint8Array> {
  const { weak, other, ...validity } = options;
  const device = weak ? await rsaKey(1024) : await generateKey();
  const { der: data } = await issueCertificate({
    issuer,
    publicKey: device.publicKey,
    subject: "CN=d",
    days: 9,
    ...validity,
  });
  const stored = await exportPrivateKey(other ? await generateKey() : device, {
    form: "der",
    encoding: "traditional",
  });
  return of(ca, { type: 1, data }, { type: 2, data: stored });
}

const CASES: Readonly<Record<FindingCode, () => Case | Promise<Case>>> = {
  NOT_AN_IMAGE: () => ({ image: new Uint8Array(9) }),
  LOOKS_ERASED: () => ({ image: new Uint8Array(4096).fill(0xFF) }),
  LOOKS_ENCRYPTED: () => {
    const image = crypto.getRandomValues(new Uint8Array(8192));
    image[0] = 0x7F;
    return { image };
  },
  BAD_MAGIC: () => ({ image: damaged(decodeOffset(1)) }),
  WRONG_PARTITION: () => ({ image: flashWith(plain.image, { type: 0x3F, name: "pre_prov" }) }),
  NVS_TYPE: () => ({
    image: encodeNvs([
      { namespace: "esp_secure_cert", key: "dev_cert", type: "blob", value: dev.data },
    ]),
  }),
  FLAGS_MISREAD: () => ({ image: of(ca, { ...dev, flags: 0x40 }, key) }),
  P192_REMOVED: () => ({ image: vector("sign_ecdsa192.bin") }),
  TRUNCATED: () => ({ image: plain.image.slice(0, 40) }),
  BAD_CHECKSUM: () => ({ image: damaged(20) }),
  BAD_INTEGRITY: () => ({
    image: encodePartition([...entries.slice(0, 3), { type: 9, data: new Uint8Array(32) }]),
  }),
  BAD_SIGNATURE: async () => {
    const signed = await signPartition(plain.image, [createSigner(await generateKey())]);
    const list = decodePartition(signed).entries;
    const signature = list.at(-1)!;
    return {
      image: encodePartition([...list.slice(0, -1), {
        ...signature,
        data: damaged(60, signature.data as never),
      }]),
    };
  },
  DUPLICATE_ENTRY: () => ({ image: of(ca, dev, key, key) }),
  BAD_SUBTYPE: () => ({
    image: of(ca, dev, key, { type: 51, subtype: 255, data: new Uint8Array(1) }),
  }),
  UNKNOWN_TYPE: () => ({ image: of(ca, dev, key, { type: 99, data: new Uint8Array(1) }) }),
  STRAY_BYTES: () => ({ image: new Uint8Array([...plain.image, ...new Uint8Array(16)]) }),
  NOT_ALIGNED: () => ({ image: new Uint8Array([...plain.image, 0xFF]) }),
  TOO_LARGE: () => ({ image: plain.image, options: { partitionSize: 1024 } }),
  OVER_64K: () => {
    const image = plain.image.slice();
    image.fill(0xFF, 10, 12);
    return { image };
  },
  LAST_SUBTYPE: () => ({ image: of(ca, dev, key, { ...dev, subtype: 1 }) }),
  NO_DEVICE_CERT: () => ({ image: of(ca, key) }),
  NO_CA_CERT: () => ({ image: of(dev, key) }),
  NO_KEY: () => ({ image: of(ca, dev) }),
  CERT_REFUSED: () => ({ image: of(ca, { ...dev, data: new Uint8Array(9) }, key) }),
  KEY_REFUSED: () => ({ image: of(ca, dev, { ...key, data: new Uint8Array(9) }) }),
  PEM_NO_NUL: () => ({ image: of(ca, dev, { ...key, data: key.data.subarray(0, -1) }) }),
  KEY_MISMATCH: async () => ({ image: await withCertificate({ other: true }) }),
  CHAIN_BROKEN: async () => ({
    image: plain.image,
    options: { ca: (await createDevelopmentCa()).certificate },
  }),
  CA_NOT_ISSUER: async () => {
    const { der: data } = await createCa({ subject: "CN=Server CA", key: await generateKey() });
    return { image: of({ ...ca, data }, dev, key) };
  },
  CHAIN_UNCHECKED: () => ({ image: plain.image, options: { ca: caOnAnotherCurve() } }),
  CERT_EXPIRES_SOON: () => ({
    image: plain.image,
    options: { expiresWithin: 36_500 },
  }),
  CERT_EXPIRED: async () => ({
    image: await withCertificate({ now: () => new Date("2020-01-01") }),
  }),
  CERT_NOT_YET_VALID: async () => ({
    image: await withCertificate({ now: () => new Date("2090-01-01") }),
  }),
  CERT_WEAK: async () => ({ image: await withCertificate({ weak: true }) }),
  CERT_PURPOSE: async () => ({
    image: (await make({ usage: ["server"] })).image,
  }),
  PLAINTEXT_KEY: () => ({ image: plain.image }),
  KEY_IN_PERIPHERAL_ENTRY: () => ({ image: of(ca, dev, { ...key, flags: 8 }) }),
  KEY_EXPOSED: () => ({
    image: of(ca, dev, { ...key, flags: 8, data: new Uint8Array() }, { ...key, subtype: 1 }),
  }),
  CHIP_UNSUPPORTED: () => ({ image: ds.image, options: { chip: "esp32c2" } }),
  DS_SIZE: () => ({ image: ds.image, options: { chip: "esp32c5" } }),
  DS_BLOB: () => ({ image: ds.image, options: { hmacKey: new Uint8Array(32) } }),
  DS_CONTEXT: () => ({ image: of(...dsEntries.filter(({ type }) => type !== 4)) }),
  GCM_NONCE_REUSE: () => {
    const list = decodePartition(encrypted.image).entries.slice(0, -1);
    return { image: of(...list, { type: 51, flags: 0x80, data: new Uint8Array(40) }) };
  },
  GCM_READER_VERSION: () => ({ image: encrypted.image }),
};

/** The CA, as if its key were on a curve that is not known. */
function caOnAnotherCurve(): Uint8Array {
  const der = readCertificate(issuer.certificate).der.slice();
  const p256 = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
  const at = der.findIndex((_, at) => p256.every((byte, index) => der[at + index] === byte));
  der[at + 7] = 5;
  return der;
}

/** Where an entry starts. */
function decodeOffset(index: number): number {
  return encodePartition(entries.slice(0, index)).length;
}

Deno.test("every code of the contract is produced by an image", async () => {
  for (const [code, make] of Object.entries(CASES)) {
    const { image, options } = await make();
    const { findings } = await verify(image, options);
    assertEquals(
      findings.some((each) => each.code === code),
      true,
      `${code}: ${JSON.stringify(findings)}`,
    );
  }
});
