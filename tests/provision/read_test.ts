import { assertArrayIncludes, assertEquals, assertRejects } from "@std/assert";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { formatHex } from "../../lib/bytes/text.ts";
import { digest } from "../../lib/crypto/signing.ts";
import { encodePartition } from "../../lib/format/partition.ts";
import { openSecureCert } from "../../lib/provision/read.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";

interface Getter {
  readonly ret?: string;
  /** The reader hung, or read past the partition's end; then what it returned with 0xFF there. */
  readonly event?: string;
  readonly if_0xff_follows?: Getter;
  readonly sha256?: string;
  readonly name?: string;
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

/** Images with HMAC flags, which this version does not read. */
const HMAC = /hmac|derive|flags_48/;

sharedTest("the getters return what the C reader returned", async () => {
  let compared = 0;
  for (const { name, format, kind } of sharedCases()) {
    if (format !== "tlv" || HMAC.test(name) || /error|nvs|cust/.test(kind)) continue;
    let creader;
    try {
      creader = JSON.parse(sharedText(`generated/${name}/creader.json`));
    } catch {
      continue;
    }
    const image = shared(`generated/${name}/expected.bin`);
    for (const [build, legacyBuild] of [["reader", false], ["legacy_build", true]] as const) {
      const theirs = creader[build];
      if (creader.kind !== "tlv" || theirs.is_tlv_partition?.value === false) continue;
      const open = async () => await openSecureCert(image, { legacyBuild });
      const get = {
        get_device_cert: async () => (await open()).deviceCert(),
        get_ca_cert: async () => (await open()).caCert(),
        get_priv_key: async () => (await open()).privateKey(),
      };
      for (const [getter, ours] of Object.entries(get)) {
        if (theirs[getter] === undefined) continue;
        assertArrayIncludes(
          allowed(theirs[getter]),
          [await outcome(ours)],
          `${name} ${build} ${getter}`,
        );
        compared++;
      }
    }
    const { reader } = creader;
    const key = reader.get_priv_key_type;
    const type = await openSecureCert(image).then((device) => device.privateKeyType()).catch(() =>
      "INVALID"
    );
    assertEquals(type, isOk(key) ? key.name : "INVALID", name);
    const integrity = await openSecureCert(image).then((device) => device.verifyIntegrity()).then(
      () => true,
      () => false,
    );
    assertEquals(integrity, isOk(reader.verify_partition_integrity), name);
    for (const { type, subtype, ...entry } of reader.get_tlv ?? []) {
      const ours = await outcome(async () =>
        (await (await openSecureCert(image)).entry(type, subtype)).data
      );
      assertArrayIncludes(allowed(entry), [ours], `${name} entry ${type}.${subtype}`);
    }
    const listed = reader.list.entries ?? reader.list.if_0xff_follows?.entries;
    if (reader.list.event === undefined && listed !== undefined && reader.is_tlv_partition.value) {
      const entries = await openSecureCert(image).then((device) => device.entries());
      assertEquals(
        entries.map(({ type, subtype }) => [type, subtype]),
        listed.filter(isOk).map((
          each: { type: number; subtype: number },
        ) => [each.type, each.subtype]),
        name,
      );
    }
  }
  assertEquals(compared > 400, true, String(compared));
});

Deno.test("a legacy build reads the last entry of a type, a default build subtype 0", async () => {
  const image = encodePartition([
    { type: 1, data: new Uint8Array([1]) },
    { type: 1, subtype: 3, data: new Uint8Array([2]) },
  ]);
  assertEquals(await (await openSecureCert(image)).deviceCert(), new Uint8Array([1]));
  assertEquals(
    await (await openSecureCert(image, { legacyBuild: true })).deviceCert(),
    new Uint8Array([2]),
  );
  const device = await openSecureCert(image);
  assertEquals((await device.entry(1, 254)).subtype, 3);
  assertEquals(
    (await assertRejects(() => device.entry(1, 1), SecureCertError)).code,
    "ERR_NOT_FOUND",
  );
});

Deno.test("a bad checksum is a refusal for its entry alone", async () => {
  const image = encodePartition([
    { type: 51, data: new Uint8Array([1]) },
    { type: 52, data: new Uint8Array([2]) },
  ]);
  image[12]! ^= 1;
  const device = await openSecureCert(image);
  assertEquals((await assertRejects(() => device.entry(51), SecureCertError)).code, "ERR_CHECKSUM");
  assertEquals((await device.entry(52)).data, new Uint8Array([2]));
  assertEquals(await device.entries(), []);
});

Deno.test("what the firmware would not take for its partition is not opened", async () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(64), new Uint8Array(64).fill(0xFF)]) {
    const error = await assertRejects(() => openSecureCert(bytes), SecureCertError);
    assertEquals(error.code, "ERR_MAGIC");
  }
});
