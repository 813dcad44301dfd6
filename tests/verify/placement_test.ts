/** Where in flash an image is: which partition the firmware reads, and which layout it expects there. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  convert,
  createDevelopmentCa,
  encodeCustFlash,
  encodeNvs,
  encodePartitionTable,
  inspect,
  openSecureCert,
  type PartitionTableEntry,
  provision,
  type SecureCert,
  SecureCertError,
  verify,
} from "../../mod.ts";
import { buildsThatRead } from "../../lib/device/partition.ts";
import { IMAGE_FORMATS, type ImageFormat } from "../../lib/format/names.ts";
import { shared, sharedTest, sharedText } from "../vectors.ts";

const issuer = await createDevelopmentCa();
const { image: TLV } = await provision({ issuer, subject: "CN=d" });
const to = async (format: ImageFormat) =>
  format === "tlv" ? TLV : (await convert(TLV, { to: format })).image;
const IMAGES = Object.fromEntries(
  await Promise.all(IMAGE_FORMATS.map(async (format) => [format, await to(format)])),
) as Record<ImageFormat, Uint8Array>;

const KINDS = [
  { type: 0x3F, label: "esp_secure_cert" },
  { type: 0x3F, label: "pre_prov" },
  { type: 1, label: "esp_secure_cert" },
  { type: 1, label: "pre_prov" },
] as const;
type Kind = { readonly type: number; readonly label: string };

const OPTION = "CONFIG_ESP_SECURE_CERT_SUPPORT_LEGACY_FORMATS";
const START = 0x9000;
const SIZE = 0x6000;

const entryOf = ({ type, label }: Kind, offset = START): PartitionTableEntry => ({
  name: label,
  type,
  subtype: type === 1 ? 2 : 6,
  offset,
  size: SIZE,
});

/** A flash with these partitions and their contents, one after the other. */
function flashOf(...parts: readonly (readonly [Kind, Uint8Array?])[]): Uint8Array {
  const flash = new Uint8Array(START + parts.length * SIZE).fill(0xFF);
  const entries = parts.map(([kind], at) => entryOf(kind, START + at * SIZE));
  flash.set(encodePartitionTable(entries), 0x8000);
  parts.forEach(([, image], at) => flash.set(image ?? [], START + at * SIZE));
  return flash;
}

const codes = async (dump: Uint8Array) =>
  (await verify(dump)).findings.filter(({ severity }) => severity === "error")
    .map(({ code }) => code);

/** Which getters give a value. */
async function answers(device: SecureCert): Promise<string> {
  const getters = [device.deviceCert, device.caCert, device.privateKey];
  const found = await Promise.all(
    getters.map((get) =>
      get().then(() => true, (error) => {
        if (error instanceof SecureCertError) return false;
        throw error;
      })
    ),
  );
  return ["dev", "ca", "key"].filter((_, at) => found[at]).join(" ");
}

Deno.test("each layout in each kind of partition is right or wrong as the reader reads it", async () => {
  for (const format of IMAGE_FORMATS) {
    for (const kind of KINDS) {
      const name = `${format} in ${kind.type} ${kind.label}`;
      const builds = buildsThatRead(format, kind);
      const dump = flashOf([kind, IMAGES[format]]);
      const verdict = await verify(dump);
      const wanted = builds === "no build" ? ["WRONG_PARTITION"] : [];
      assertEquals(await codes(dump), wanted, name);
      assertEquals([verdict.ok, verdict.format], [builds !== "no build", format], name);
      const report = await inspect(dump);
      assertEquals(report.findings, verdict.findings, name);
      assertEquals(report.kconfig, builds === "legacy build" ? OPTION : undefined, name);
    }
  }
});

Deno.test("the getters answer as the reader's do, for each cell and build", async () => {
  for (const format of IMAGE_FORMATS) {
    for (const partition of KINDS) {
      for (const legacyBuild of [false, true]) {
        const name = `${format} in ${partition.type} ${partition.label}, ${legacyBuild}`;
        const builds = buildsThatRead(format, partition);
        const device = openSecureCert(IMAGES[format], { legacyBuild, partition });
        const isRead = builds === "every build" || builds === "legacy build" && legacyBuild;
        // The reader swaps the checksums of the certificates.
        const isSwapped = legacyBuild && format.startsWith("cust_flash") && partition.type === 0x3F;
        assertEquals(
          await answers(device),
          isRead ? "dev ca key" : isSwapped ? "key" : "",
          name,
        );
        if (!isRead && !isSwapped) {
          assertEquals(await device.entries(), [], name);
          await assertRejects(() => device.verifyIntegrity(), SecureCertError, undefined, name);
          await assertRejects(() => device.privateKeyType(), SecureCertError, undefined, name);
        }
        if (isRead) {
          const plain = openSecureCert(IMAGES[format], { legacyBuild });
          assertEquals(await device.privateKey(), await plain.privateKey(), name);
          assertEquals(await device.entries(), await plain.entries(), name);
        }
      }
    }
  }
});

interface DumpCase {
  readonly name: string;
  readonly kind: string;
  readonly layout: ImageFormat;
  readonly partition: Kind & { readonly offset: number; readonly size: number };
  readonly reader: Record<"legacy_build" | "default_build", Record<"dev" | "ca" | "key", boolean>>;
}

sharedTest("the measured dumps are right where the reader read them", async () => {
  const all = JSON.parse(sharedText("device/MANIFEST.json")) as DumpCase[];
  const cases = all.filter(({ kind }) => kind === "dump");
  assertEquals(cases.length, 10);
  for (const { name, layout, partition, reader } of cases) {
    const dump = shared(`device/${name}.bin`);
    const verdict = await verify(dump);
    const isRead = Object.values(reader.legacy_build).every(Boolean);
    assertEquals([verdict.ok, verdict.format], [isRead, layout], name);
    assertEquals(await codes(dump), isRead ? [] : ["WRONG_PARTITION"], name);
    const { type, label, offset, size } = partition;
    const image = dump.subarray(offset, offset + size);
    for (const [build, read] of Object.entries(reader)) {
      const legacyBuild = build === "legacy_build";
      const device = openSecureCert(image, { legacyBuild, partition: { type, label } });
      const wanted = (["dev", "ca", "key"] as const).filter((each) => read[each]).join(" ");
      assertEquals(await answers(device), wanted, `${name} ${build}`);
    }
  }
});

Deno.test("the reader takes the first kind of partition that is there, erased or not", async () => {
  const order = [KINDS[0], KINDS[2], KINDS[3], KINDS[1]];
  const images = [IMAGES.tlv, IMAGES.nvs, IMAGES.nvs_legacy, IMAGES.cust_flash_legacy];
  for (const [first, kind] of order.entries()) {
    for (const [second, other] of order.entries()) {
      if (first === second) continue;
      const name = `${kind.type} ${kind.label} before ${other.type} ${other.label}`;
      // Both have an image: the one that comes first in the reader's order counts.
      const both = flashOf([kind, images[first]], [other, images[second]]);
      assertEquals(await codes(both), [], name);
      const lead = Math.min(first, second) === first ? 0 : 1;
      assertEquals((await inspect(both)).location?.offset, START + lead * SIZE, name);
      // Only the second has one, and the reader looks there only when it comes first.
      const one = flashOf([kind], [other, images[second]]);
      assertEquals(await codes(one), first < second ? ["WRONG_PARTITION"] : [], name);
    }
  }
});

Deno.test("of two partitions of one kind the first in the table is read", async () => {
  const dump = flashOf([KINDS[0]], [KINDS[0], IMAGES.tlv]);
  assertEquals(await codes(dump), ["LOOKS_ERASED"]);
  assertEquals(await codes(flashOf([KINDS[0], IMAGES.tlv], [KINDS[0]])), []);
});

Deno.test("a data partition of another subtype is found by its label, and not opened", async () => {
  const dump = flashOf([KINDS[2]], [KINDS[1], IMAGES.cust_flash_legacy]);
  const entries = [{ ...entryOf(KINDS[2]), subtype: 4 }, entryOf(KINDS[1], START + SIZE)];
  dump.set(encodePartitionTable(entries), 0x8000);
  assertEquals(await codes(dump), ["WRONG_PARTITION"]);
  // NVS goes by the label too, and opens the one that it can.
  const twins = flashOf([KINDS[2]], [KINDS[2], IMAGES.nvs]);
  const renamed = [{ ...entryOf(KINDS[2]), subtype: 6 }, entryOf(KINDS[2], START + SIZE)];
  twins.set(encodePartitionTable(renamed), 0x8000);
  assertEquals(await codes(twins), []);
});

Deno.test("an image in a partition of another type with the right name is in the wrong one", async () => {
  for (const label of ["esp_secure_cert", "pre_prov"]) {
    for (const type of [0x40, 0x02]) {
      const dump = flashOf([{ type, label }, IMAGES.tlv]);
      assertEquals(await codes(dump), ["WRONG_PARTITION"], `${type} ${label}`);
    }
  }
  assertEquals(await codes(flashOf([{ type: 0x40, label: "certs" }, IMAGES.tlv])), [
    "NOT_AN_IMAGE",
  ]);
});

Deno.test("the message says what is read instead", async () => {
  const message = async (format: ImageFormat, kind: Kind) =>
    (await verify(flashOf([kind, IMAGES[format]]))).findings
      .find(({ code }) => code === "WRONG_PARTITION")?.message ?? "";
  assertMatch(await message("tlv", KINDS[1]), /expects cust_flash_legacy, and gets nothing/);
  assertMatch(await message("cust_flash", KINDS[1]), /gets only the private key/);
  assertMatch(await message("nvs", KINDS[0]), /expects tlv, with CONFIG_\w+ also cust_flash/);
  assertMatch(await message("nvs", KINDS[3]), /expects nvs_legacy/);
});

Deno.test("which namespace is read depends on the label of the partition", async () => {
  const value = (text: string) =>
    `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
  const items = (["esp_secure_cert", "pre_prov"] as const).map((namespace) => ({
    namespace,
    key: "dev_cert",
    type: "string" as const,
    value: value(namespace),
  }));
  const image = encodeNvs(items);
  const read = async (label: string) => {
    const device = openSecureCert(image, { legacyBuild: true, partition: { type: 1, label } });
    return new TextDecoder().decode(await device.deviceCert());
  };
  assertEquals(await read("esp_secure_cert"), value("esp_secure_cert") + "\0");
  assertEquals(await read("pre_prov"), value("pre_prov") + "\0");
  const format = async (kind: Kind) => (await inspect(flashOf([kind, image]))).format;
  assertEquals([await format(KINDS[2]), await format(KINDS[3])], ["nvs", "nvs_legacy"]);
});

Deno.test("certificates of one length and checksum fit both orders of cust_flash", async () => {
  const same = new Uint8Array([0x30, 0]);
  for (const legacy of [false, true]) {
    const image = encodeCustFlash({ deviceCert: same, caCert: same }, { legacy });
    for (const kind of KINDS.slice(0, 2)) {
      const device = openSecureCert(image, { legacyBuild: true, partition: kind });
      assertEquals(await answers(device), "dev ca", `${legacy} ${kind.label}`);
      assertEquals((await codes(flashOf([kind, image]))).includes("WRONG_PARTITION"), false);
    }
  }
});
