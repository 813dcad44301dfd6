import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { equalBytes } from "../../lib/bytes/pack.ts";
import { parseConfigCsv } from "../../lib/format/config/csv.ts";
import { encodePartition } from "../../lib/format/partition.ts";
import { encodeTlv } from "../../lib/format/tlv.ts";
import { buildFromCsv } from "../../lib/toolkit/build.ts";
import { extract } from "../../lib/toolkit/extract.ts";
import { applyPatch, encodePatch } from "../../lib/image/patch.ts";
import { createDevelopmentCa, provision } from "../../mod.ts";
import { shared, sharedCases, sharedTest, sharedText, vector } from "../vectors.ts";

type ExtractedFile = Awaited<ReturnType<typeof extract>>[number];
type ExtractOptions = NonNullable<Parameters<typeof extract>[1]>;

const SEED = 20261126;
const text = (file: ExtractedFile | undefined) => new TextDecoder().decode(file?.bytes);

/** Builds what was extracted, whatever the device makes of it. */
async function rebuild(files: readonly ExtractedFile[], verify = false) {
  const load = (path: string) => Promise.resolve(files.find(({ name }) => name === path)?.bytes);
  return await buildFromCsv(text(files[0]), { load, verify });
}

async function assertRestored(image: Uint8Array, name: string, options: ExtractOptions = {}) {
  const files = await extract(image, options);
  const { image: built, isRestored } = await rebuild(files);
  assert(equalBytes(built, image), `${name}: the image differs`);
  if (options.receipt !== false) assert(isRestored, name);
  assertEquals(files.filter(({ name }) => name.includes("..")), []);
  for (const { name: file, bytes, secret } of files.slice(1)) {
    const holdsKey = new TextDecoder().decode(bytes).includes("PRIVATE KEY");
    assert(!holdsKey || secret, `${name}: ${file} holds a key and is not secret`);
  }
  return files;
}

/** Golden images that are refused, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  integ_over_bad_crc: "ERR_CHECKSUM",
  cf_big_dev_cert: "ERR_CHECKSUM",
  cw_buffer_overflow: "ERR_MAGIC",
  corrupt_empty_file: "ERR_MAGIC",
  corrupt_all_zero: "ERR_MAGIC",
  corrupt_magic_big_endian: "ERR_MAGIC",
  corrupt_crc_first: "ERR_CHECKSUM",
  corrupt_value_last: "ERR_CHECKSUM",
  corrupt_ds_context_crc: "ERR_CHECKSUM",
  corrupt_sig_crc: "ERR_CHECKSUM",
  corrupt_cf_key_crc: "ERR_CHECKSUM",
  corrupt_cf_ca_len: "ERR_CHECKSUM",
  corrupt_nvs_page_crc: "ERR_CHECKSUM",
  corrupt_nvs_page_state: "ERR_MAGIC",
  corrupt_nvs_page_version: "ERR_MAGIC",
  corrupt_nvs_entry_crc: "ERR_CHECKSUM",
  corrupt_nvs_data_crc: "ERR_CHECKSUM",
  corrupt_nvs_key_renamed: "ERR_CHECKSUM",
  corrupt_length_past_end: "ERR_TRUNCATED",
  corrupt_length_ffff: "ERR_TRUNCATED",
  corrupt_length_fff0_hang: "ERR_TRUNCATED",
};

function* goldenImages(): Generator<{ name: string; image: Uint8Array }> {
  for (const { name } of sharedCases()) {
    try {
      yield { name, image: shared(`generated/${name}/expected.bin`) };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Golden images with a value that the device refuses. */
const NOT_BUILT = [
  "corrupt_rsa_data_changed",
  "corrupt_sig_data_changed",
  "nvs_encrypted_key_stored",
];

sharedTest("a CSV with a value that the device refuses is not built", async () => {
  const notBuilt: string[] = [];
  for (const { name, image } of goldenImages()) {
    if (name in REFUSED) continue;
    const files = await extract(image);
    const { refused } = files[0]!;
    try {
      await rebuild(files, true);
      assertEquals(refused, undefined, name);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      assertEquals(error.code, "ERR_CSV");
      assertEquals(refused, error.problems, name);
      assert(error.message.includes("the device refuses the"), error.message);
      notBuilt.push(name);
    }
  }
  assertEquals(notBuilt.sort(), NOT_BUILT);
});

Deno.test("every image of the device's answers is extracted and built again", async () => {
  for (const { name: file } of Deno.readDirSync(new URL("../vectors/device/", import.meta.url))) {
    if (!/^(raw|rawkey|cert|ext|ca)-.*\.bin$/.test(file)) continue;
    const [csv] = await assertRestored(vector(`device/${file}`), file);
    assert(!/@entry.*(raw|nul)/.test(text(csv)), file);
  }
});

sharedTest("every golden image is extracted and built again, byte for byte", async () => {
  const refused: Record<string, string> = {};
  let restored = 0;
  for (const { name, image } of goldenImages()) {
    try {
      for (const options of [{}, { receipt: false, lineBreak: "\r\n" as const }]) {
        await assertRestored(image, name, options);
      }
      restored++;
    } catch (error) {
      if (!(error instanceof SecureCertError) || error.code === "ERR_VERIFY") throw error;
      refused[name] = error.code;
    }
  }
  assertEquals(refused, REFUSED);
  assertEquals(restored > 140, true, String(restored));
});

const PUBLISHED = [
  "tools/esp_secure_cert.bin",
  "qemu_test/cust_flash/cust_flash.bin",
  "qemu_test/cust_flash_legacy/cust_flash_legacy.bin",
  "qemu_test/cust_flash_tlv/cust_flash_tlv.bin",
  "qemu_test/nvs/nvs.bin",
  "qemu_test/nvs_legacy/nvs_legacy.bin",
  "qemu_test/secure_verification/secure_verification.bin",
];

sharedTest("every published image is extracted and built again, byte for byte", async () => {
  for (const name of PUBLISHED) await assertRestored(shared(`espressif/${name}`), name);
  const corrupt = "qemu_test/secure_verification_corrupt/secure_verification_corrupt.bin";
  const error = await assertRejects(() => extract(shared(`espressif/${corrupt}`)), SecureCertError);
  assertEquals([error.code, error.place], ["ERR_CHECKSUM", { entry: 0, offset: 0 }]);
});

sharedTest("what Espressif's tool can say is said as it says it", async () => {
  const image = shared("espressif/tools/esp_secure_cert.bin");
  const folder = "espressif/tools/esp_secure_cert_parsed_data_expected";
  const [csv, ...files] = await extract(image, {
    csv: "esp_secure_cert_parsed.csv",
    lineBreak: "\r\n",
    receipt: false,
  });
  assertEquals(text(csv), sharedText(`${folder}/esp_secure_cert_parsed.csv`));
  assertEquals(files.length, 4);
  for (const { name, bytes } of files) assertEquals(bytes, shared(`${folder}/${name}`), name);
});

Deno.test("an NVS image of one page, cut from a larger one, is extracted and built again", async () => {
  const issuer = await createDevelopmentCa();
  const { image } = await provision({ issuer, subject: "CN=d", format: "nvs" });
  const page = image.subarray(0, 0x1000);
  await assertRestored(page, "one page");
});

Deno.test("odd numbers, flags, reserved bytes, padding and leftovers come back", async () => {
  const odd = [
    encodeTlv({ type: 51, data: new Uint8Array([1]), flags: 0x80 }),
    encodeTlv({ type: 51, data: new Uint8Array([2]), padding: new Uint8Array(15).fill(0xFF) }),
    encodeTlv({ type: 254, subtype: 255, data: new Uint8Array() }),
    encodeTlv({ type: 50, data: new Uint8Array(3), reserved: new Uint8Array([1, 2, 3]) }),
    encodeTlv({ type: 2, data: new TextEncoder().encode("-----BEGIN X-----\0") }),
    encodeTlv({ type: 1, data: new TextEncoder().encode("not a certificate") }),
    encodeTlv({ type: 9, data: new Uint8Array(32) }),
    new Uint8Array([0xFF, 0xFF, 0, 0]),
  ];
  const image = new Uint8Array(odd.flatMap((part) => [...part]));
  const files = await assertRestored(image, "odd");
  assertEquals(files.map(({ name, secret }) => [name, secret]), [
    ["esp_secure_cert.csv", true],
    ["contents/tlv_50_0.bin", true],
    ["contents/integrity_9_0.bin", false],
    ["contents/patch.txt", true],
  ]);
});

Deno.test("a changed row is built, and the patch of the old image left out", async () => {
  const image = new Uint8Array([
    ...encodePartition([{ type: 51, data: new TextEncoder().encode("old") }], { integrity: true }),
    0xFF,
    0xFF,
    0,
    0,
  ]);
  const files = await extract(image);
  const changed = {
    ...files[0]!,
    bytes: new TextEncoder().encode(text(files[0]).replace("old", "new")),
  };
  const { image: built, isRestored } = await rebuild([changed, ...files.slice(1)], false);
  assertEquals(isRestored, false);
  assertEquals(built.length, image.length);
  assertEquals(built.subarray(-4), new Uint8Array(4).fill(0xFF));
  assertEquals(new TextDecoder().decode(built.subarray(12, 15)), "new");
});

Deno.test("any chain of entries comes back, with any tail", async () => {
  const entry = fc.record({
    type: fc.integer({ min: 0, max: 255 }),
    subtype: fc.integer({ min: 0, max: 255 }),
    flags: fc.constantFrom(0, 0, 0x08, 0x40, 0x80, 0xFF),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.string({ maxLength: 20 }).map((text) => new TextEncoder().encode(text)),
    ),
  });
  const images = fc.tuple(
    fc.array(entry, { minLength: 1, maxLength: 6 }),
    fc.uint8Array(),
    fc.boolean(),
  )
    .map(([entries, tail, integrity]) =>
      new Uint8Array([...encodePartition(entries, { integrity }), ...tail])
    );
  await fc.assert(
    fc.asyncProperty(images, async (image) => {
      const files = await assertRestored(image, "any");
      parseConfigCsv(text(files[0]));
    }),
    { seed: SEED, numRuns: 300 },
  );
});

Deno.test("any change of an image is restored or refused", async () => {
  const image = encodePartition([
    { type: 51, data: new TextEncoder().encode("hello") },
    { type: 52, data: new Uint8Array([1, 2, 3]) },
  ], { integrity: true });
  for (let bit = 0; bit < image.length * 8; bit++) {
    const changed = image.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    try {
      await assertRestored(changed, `bit ${bit}`);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
    }
  }
  for (let length = 0; length < image.length; length++) {
    const cut = image.slice(0, length);
    await assertRestored(cut, `cut ${length}`).catch((error) => {
      if (!(error instanceof SecureCertError)) throw error;
    });
  }
});

Deno.test("an error says what is not an image", async () => {
  const error = await assertRejects(() => extract(new Uint8Array(64).fill(0xFF)), SecureCertError);
  assertEquals(error.code, "ERR_MAGIC");
  assertEquals(error.message.includes("erased"), true);
});

Deno.test("an image of 16 MiB is taken apart, a larger one is refused", async () => {
  const sized = (length: number) => {
    const bytes = new Uint8Array(length).fill(0xFF);
    bytes.set(encodePartition([{ type: 51, subtype: 0, data: new Uint8Array(3) }]));
    return bytes;
  };
  const image = sized(16 << 20);
  const { image: built } = await rebuild(await extract(image));
  assert(equalBytes(built, image));
  const error = await assertRejects(() => extract(sized((16 << 20) + 16)), SecureCertError);
  assertEquals(error.code, "ERR_TOO_LARGE");
});

Deno.test("a patch makes one image of another, and is checked", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (from, to) => {
      assertEquals(applyPatch(from, encodePatch(from, to)), new Uint8Array(to));
    }),
    { seed: SEED },
  );
  for (const bad of ["0x0 0", "0x1 00", "x", "size 99999999", "0xffffffff 00"]) {
    let code = "";
    try {
      applyPatch(new Uint8Array(1), new TextEncoder().encode(bad));
    } catch (error) {
      code = (error as SecureCertError).code;
    }
    assertEquals(code, "ERR_TEXT", bad);
  }
});
