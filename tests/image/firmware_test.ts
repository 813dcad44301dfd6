import { assertArrayIncludes, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { crc32 } from "../../lib/bytes/crc32.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { formatHex } from "../../lib/bytes/text.ts";
import { digest } from "../../lib/crypto/signing.ts";
import { encodePartition } from "../../lib/format/partition.ts";
import { encodeTlv, TLV_CRC_SEED } from "../../lib/format/tlv.ts";
import { openSecureCert } from "../../lib/image/firmware/open.ts";
import { verify } from "../../lib/verify/verify.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";

interface Getter {
  readonly ret?: string;
  /** The reader hung, or read past the partition's end; then what it returned with 0xFF there. */
  readonly event?: string;
  readonly if_0xff_follows?: Getter;
  readonly sha256?: string;
  readonly name?: string;
  readonly value?: number;
}

const isOk = (getter: Getter) => (getter.if_0xff_follows ?? getter).ret === "ESP_OK";

/** What a getter of ours returned, in the C reader's terms. */
async function outcome(get: () => Promise<Uint8Array>): Promise<string> {
  try {
    return formatHex(await digest("SHA-256", await get()));
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return "refused";
  }
}

/**
 * What ours may return: the same, and where the C reader left the partition or never returned a
 * refusal too.
 */
const allowed = (getter: Getter) => [
  isOk(getter) ? (getter.if_0xff_follows ?? getter).sha256! : "refused",
  ...getter.event === undefined ? [] : ["refused"],
];

/** The eFuse key of a case: the one of the manifest, but where the case says otherwise. */
function hmacKeyOf(name: string): Uint8Array | undefined {
  if (name === "corrupt_hmac_no_key") return undefined;
  if (name === "corrupt_hmac_wrong_key") return shared("generated/inputs/hmac_key_alt.bin");
  return shared("generated/inputs/hmac_key.bin");
}

/** Version 2.6.1 is right where later ones cannot read HMAC-encrypted entries (FORMAT: reader regression). */
const merged = (creader: Creader): Record<string, Getter> => ({
  ...creader.reader,
  ...creader["v2.6.1_build"],
});

interface Creader {
  readonly kind: string;
  readonly reader?: Record<string, Getter>;
  readonly legacy_build: Record<string, Getter>;
  readonly "v2.6.1_build"?: Record<string, Getter>;
  readonly [build: string]: unknown;
}

interface Case {
  readonly name: string;
  readonly image: Uint8Array;
  readonly creader: Creader;
}

function* casesWithReader(): Generator<Case> {
  for (const { name } of sharedCases()) {
    try {
      const creader = JSON.parse(sharedText(`generated/${name}/creader.json`)) as Creader;
      yield { name, image: shared(`generated/${name}/expected.bin`), creader };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** What a getter gives; an image that cannot be opened has none. */
const read = <T>(get: () => Promise<T>): Promise<T> => Promise.try(get);

sharedTest("the getters return what the C reader returned, for every case", async () => {
  let compared = 0;
  for (const { name, image, creader } of casesWithReader()) {
    const hmacKey = hmacKeyOf(name);
    const legacyOnly = creader.kind !== "tlv";
    for (const legacyBuild of [false, true]) {
      if (legacyOnly && !legacyBuild) continue;
      const open = () => openSecureCert(image, { legacyBuild, ...hmacKey ? { hmacKey } : {} });
      const theirs = legacyBuild ? legacyOf(creader) : merged(creader);
      const ours = {
        get_device_cert: () => read(() => open().deviceCert()),
        get_ca_cert: () => read(() => open().caCert()),
        get_priv_key: () => read(() => open().privateKey()),
      };
      for (const [getter, get] of Object.entries(ours)) {
        if (theirs[getter] === undefined || isBrokenReader(creader, theirs[getter])) continue;
        const label = `${name} ${legacyBuild ? "legacy" : "default"} ${getter}`;
        assertArrayIncludes(allowed(theirs[getter]), [await outcome(get)], label);
        compared++;
      }
    }
  }
  assertEquals(compared > 700, true, String(compared));
});

/** cust_flash images with DS are read by builds for their operand size, others by the plain one. */
function legacyOf(creader: Creader): Record<string, Getter> {
  const builds = ["legacy_build", "legacy_ds4096_build", "legacy_ds3072_build"]
    .map((build) => creader[build] as Record<string, Getter> | undefined);
  return builds.find((build) => build !== undefined && isOk(build.get_device_cert ?? {})) ??
    builds[0]!;
}

/** Getters of a build that cannot read HMAC-encrypted entries say nothing of the image. */
function isBrokenReader(creader: Creader, getter: Getter): boolean {
  return creader["v2.6.1_build"] !== undefined && getter.event === undefined && !isOk(getter) &&
    getter !== creader["v2.6.1_build"].get_priv_key;
}

sharedTest("key types, eFuse blocks, integrity and entries are those of the C reader", async () => {
  let compared = 0;
  for (const { name, image, creader } of casesWithReader()) {
    if (creader.reader === undefined || creader.reader.is_tlv_partition === undefined) continue;
    const hmacKey = hmacKeyOf(name);
    const open = () => openSecureCert(image, hmacKey ? { hmacKey } : {});
    const reader = merged(creader);
    const type = await read(() => open().privateKeyType()).catch(() => "INVALID");
    if (!hasEvent(reader.get_priv_key_type)) {
      assertEquals(
        type,
        isOk(reader.get_priv_key_type!) ? reader.get_priv_key_type!.name : "INVALID",
        name,
      );
    }
    const block = await read(() => open().privateKeyEfuseBlock()).catch(() => undefined);
    // An empty security configuration yields the byte after it there, an error here.
    if (!hasEvent(reader.get_priv_key_efuse_id) && name !== "corrupt_sec_cfg_empty") {
      const theirs = reader.get_priv_key_efuse_id!;
      assertEquals(block, isOk(theirs) ? theirs.value : undefined, name);
    }
    const integrity = await read(() => open().verifyIntegrity()).then(
      () => true,
      () => false,
    );
    if (!hasEvent(reader.verify_partition_integrity)) {
      assertEquals(integrity, isOk(reader.verify_partition_integrity!), name);
    }
    for (const { type, subtype, ...entry } of (reader.get_tlv ?? []) as unknown as EntryGetter[]) {
      const ours = await outcome(async () => (await open().entry(type, subtype)).data);
      assertArrayIncludes(allowed(entry), [ours], `${name} entry ${type}.${subtype}`);
      compared++;
    }
  }
  assertEquals(compared > 200, true, String(compared));
});

type EntryGetter = Getter & { readonly type: number; readonly subtype: number };

const hasEvent = (getter: Getter | undefined) => getter?.event !== undefined;

sharedTest("DS contexts are those of the C reader built for the chip's operands", async () => {
  let compared = 0;
  for (const { name, image, creader } of casesWithReader()) {
    for (const [build, ciphertext] of [["ds3072_build", 1200], ["ds4096_build", 1584]] as const) {
      const theirs = (creader[build] ?? creader[`legacy_${build}`]) as
        | { get_ds_ctx: DsGetter }
        | undefined;
      if (theirs === undefined) continue;
      const ours = await read(() => openSecureCert(image).dsContext()).catch(() => undefined);
      const { ret, efuse_key_id, rsa_length_bits, data } = theirs.get_ds_ctx;
      if (ret !== "ok") continue;
      // The firmware trusts the length; with a value of another size it reads past it, or not all.
      if (ours === undefined || ours.dsData.length !== 20 + ciphertext) continue;
      assertEquals([ours.efuseKeyId, ours.rsaLengthBits], [efuse_key_id, rsa_length_bits], name);
      if (creader.kind === "tlv") {
        assertEquals(await outcome(() => Promise.resolve(ours.dsData)), data!.sha256, name);
      }
      compared++;
    }
  }
  assertEquals(compared > 15, true, String(compared));
});

interface DsGetter {
  readonly ret: string;
  readonly efuse_key_id?: number;
  readonly rsa_length_bits?: number;
  readonly data?: { readonly sha256: string };
}

Deno.test("a legacy build reads the last entry of a type, a default build subtype 0", async () => {
  const image = encodePartition([
    { type: 1, data: new Uint8Array([1]) },
    { type: 1, subtype: 3, data: new Uint8Array([2]) },
  ]);
  assertEquals(await openSecureCert(image).deviceCert(), new Uint8Array([1]));
  assertEquals(
    await openSecureCert(image, { legacyBuild: true }).deviceCert(),
    new Uint8Array([2]),
  );
  const device = openSecureCert(image);
  assertEquals((await device.entry(1, 254)).subtype, 3);
  assertEquals(
    (await assertRejects(() => device.entry(1, 1), SecureCertError)).code,
    "ERR_NOT_FOUND",
  );
});

Deno.test("a bad checksum is a refusal only for its entry", async () => {
  const image = encodePartition([
    { type: 51, data: new Uint8Array([1]) },
    { type: 52, data: new Uint8Array([2]) },
  ]);
  image[12]! ^= 1;
  const device = openSecureCert(image);
  assertEquals((await assertRejects(() => device.entry(51), SecureCertError)).code, "ERR_CHECKSUM");
  assertEquals((await device.entry(52)).data, new Uint8Array([2]));
  assertEquals(await device.entries(), []);
});

Deno.test("what the firmware would not take for its partition is not opened", () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(64), new Uint8Array(64).fill(0xFF)]) {
    const error = assertThrows(() => openSecureCert(bytes), SecureCertError);
    assertEquals(error.code, "ERR_MAGIC");
  }
});

/** A chain of user data with these lengths in the headers, right or wrong, and erased flash up to a size. */
function chainOf(
  size: number,
  entries: readonly (Parameters<typeof encodeTlv>[0] & { readonly length?: number })[],
): Uint8Array {
  const image = new Uint8Array(size).fill(0xFF);
  let at = 0;
  for (const { length, ...entry } of entries) {
    const bytes = encodeTlv(entry);
    if (length !== undefined) new DataView(bytes.buffer).setUint16(10, length, true);
    image.set(bytes, at);
    at += bytes.length;
  }
  return image;
}

const user = (subtype: number) => ({ type: 51, subtype, data: new Uint8Array([subtype]) });

Deno.test("an entry whose size wraps ends the chain for the firmware, or never does", async () => {
  const cases: readonly [number, "ends" | "endless"][] = [
    [0xFFE1, "endless"],
    [0xFFF0, "endless"],
    [0xFFF1, "ends"],
    [0xFFFF, "ends"],
  ];
  for (const [length, way] of cases) {
    const image = chainOf(0x4000, [user(0), user(1), { ...user(2), type: 52, length }]);
    const device = openSecureCert(image);
    assertEquals((await device.entry(51, 1)).data, new Uint8Array([1]), `${length}`);
    const last = device.entry(51, 254);
    const absent = device.entry(1);
    if (way === "ends") {
      assertEquals((await last).data, new Uint8Array([1]));
      assertEquals((await assertRejects(() => absent, SecureCertError)).code, "ERR_NOT_FOUND");
    } else {
      for (const answer of [last, absent]) {
        assertEquals((await assertRejects(() => answer, SecureCertError)).code, "ERR_LENGTH");
      }
    }
    const cut = await assertRejects(() => device.entry(52, 2), SecureCertError);
    assertEquals(cut.code, "ERR_TRUNCATED");
    assertEquals((await device.entries()).map(({ subtype }) => subtype), [0, 1]);
    const { findings } = await verify(image);
    assertArrayIncludes(findings.map(({ code }) => code), ["OVER_64K"]);
  }
});

Deno.test("after an entry whose size wraps the firmware goes on within its value", async () => {
  const inner = encodeTlv(user(7));
  const data = new Uint8Array(64).fill(0xFF);
  data.set(inner, 4);
  const image = chainOf(0x12000, [user(0), { type: 52, data, length: 0xFFFF }]);
  const start = encodeTlv(user(0)).length;
  const end = start + 12 + 0x10000;
  const crc = crc32(image.subarray(start, end), TLV_CRC_SEED);
  new DataView(image.buffer).setUint32(end, crc, true);
  const device = openSecureCert(image);
  assertEquals((await device.entry(51, 254)).data, new Uint8Array([7]));
  assertEquals((await device.entry(52)).data, image.subarray(start + 12, start + 12 + 0xFFFF));
  assertEquals((await device.entries()).map(({ type }) => type), [51, 52, 51]);
});

Deno.test("at 64 KiB the firmware goes on from the start of the image", async () => {
  const large = (subtype: number, length: number) => ({
    type: 51,
    subtype,
    data: new Uint8Array(length),
  });
  const half = 0x8000 - 16;
  const endless = openSecureCert(chainOf(0x20000, [large(0, half), large(1, half)]));
  assertEquals((await endless.entry(51, 1)).data.length, half);
  for (const ask of [() => endless.entry(51, 254), () => endless.entries()]) {
    assertEquals((await assertRejects(ask, SecureCertError)).code, "ERR_LENGTH");
  }
  const ends = openSecureCert(chainOf(0x20000, [large(0, half), large(1, half + 16)]));
  assertEquals((await ends.entry(51, 254)).subtype, 1);
});

Deno.test("erased flash follows an image that ends within an entry", async () => {
  const image = encodePartition([user(0), user(1)]).slice(0, -8);
  const device = openSecureCert(image, { legacyBuild: true });
  const cut = await assertRejects(() => device.entry(51, 254), SecureCertError);
  assertEquals(cut.code, "ERR_TRUNCATED");
  const other = encodePartition([user(0), { ...user(1), type: 52 }]).slice(0, -8);
  assertEquals((await openSecureCert(other).entry(51, 254)).data, new Uint8Array([0]));
  new DataView(other.buffer).setUint16(encodeTlv(user(0)).length + 10, 0x3000, true);
  const outside = openSecureCert(other).entry(51, 254);
  assertEquals((await assertRejects(() => outside, SecureCertError)).code, "ERR_TRUNCATED");
});
