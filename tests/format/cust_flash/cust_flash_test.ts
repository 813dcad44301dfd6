import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import {
  type CustFlash,
  decodeCustFlash,
  encodeCustFlash,
  looksLikeCustFlash,
  readCustFlash,
} from "../../../lib/format/cust_flash/codec.ts";
import type { Credentials } from "../../../lib/format/credentials.ts";
import { sha256 } from "../../../lib/format/deps.ts";
import { encodePartition } from "../../../lib/format/partition.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../../vectors.ts";
import { present } from "../../present.ts";

const SEED = 20261124;
const DEV = new Uint8Array([0x30, 1, 2]);
const CA = new Uint8Array([0x30, 3]);
const KEY = new Uint8Array([0x30, 4, 5, 6]);
const IV = Uint8Array.from({ length: 16 }, (_, index) => index);
const SMALL: Credentials = { deviceCert: DEV, caCert: CA, privateKey: KEY };

function dsCredentials(length: number, rsaLengthBits: number): Credentials {
  const ciphertext = new Uint8Array(length).fill(0xC1);
  return { deviceCert: DEV, caCert: CA, ds: { ciphertext, iv: IV, rsaLengthBits, efuseKeyId: 5 } };
}

function codeOf(run: () => unknown): string {
  return assertThrows(run, SecureCertError).code;
}

/** Own copies of what views of an image show, for comparison. */
function copied(credentials: Credentials): Credentials {
  return structuredClone(
    Object.fromEntries(
      Object.entries(present(credentials)).map(([name, value]) => [
        name,
        value instanceof Uint8Array
          ? value.slice()
          : { ...value, ciphertext: value.ciphertext.slice(), iv: value.iv.slice() },
      ]),
    ),
  );
}

Deno.test("encodeCustFlash writes the documented bytes", () => {
  // Metadata by Python's struct and zlib, from the published layout.
  const image = encodeCustFlash(SMALL);
  const plain = "024a812c03000000b698b0b902000000f2fec99c0400000078563412";
  assertEquals(image.subarray(0, 64).toHex(), plain + "00".repeat(36));
  assertEquals(image.subarray(64, 69).toHex(), "300102ffff");
  assertEquals(image.subarray(2112, 2116).toHex(), "3003ffff");
  assertEquals(image.subarray(6208, 6214).toHex(), "30040506ffff");
  assertEquals(image.length, 0x6000);
  const swapped = "b698b0b902000000024a812c03000000" + plain.slice(32);
  assertEquals(
    encodeCustFlash(SMALL, { legacy: true }).subarray(0, 64).toHex(),
    swapped + "00".repeat(36),
  );
});

Deno.test("the IV follows the ciphertext of the chip's length", () => {
  const certs = "024a812c03000000b698b0b902000000";
  const s2 = encodeCustFlash(dsCredentials(1584, 4096));
  assertEquals(
    s2.subarray(0, 40).toHex(),
    certs + "b9ca780b3006000022568add100000100500000078563412",
  );
  assertEquals(s2.subarray(7808, 7825).toHex(), IV.toHex() + "ff");
  const c3 = encodeCustFlash(dsCredentials(1200, 2048));
  assertEquals(
    c3.subarray(0, 40).toHex(),
    certs + "4b0c5d8fb004000022568add100000080500000078563412",
  );
  assertEquals(c3.subarray(7424, 7441).toHex(), IV.toHex() + "ff");
  for (const image of [s2, c3]) {
    assertEquals(encodeCustFlash(decodeCustFlash(image).credentials), image);
  }
});

Deno.test("an absent value has length and checksum 0, an empty one the checksum of no bytes", () => {
  const absent = encodeCustFlash({ deviceCert: DEV });
  assertEquals(absent.subarray(8, 24).toHex(), "00".repeat(16));
  assertEquals(decodeCustFlash(absent).values.map(({ name }) => name), ["deviceCert"]);
  const empty = encodeCustFlash({ caCert: new Uint8Array() });
  assertEquals(empty.subarray(8, 14).toHex(), "ffffffff0000");
  assertEquals(decodeCustFlash(empty).credentials.caCert?.length, 0);
});

Deno.test("any credentials decode to themselves, in either order", () => {
  const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });
  const ds = fc.constantFrom(1584, 1200).chain((length) =>
    fc.record({
      ciphertext: fc.uint8Array({ minLength: length, maxLength: length }),
      iv: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      rsaLengthBits: fc.integer({ min: 0, max: 0xFFFF }),
      efuseKeyId: fc.integer({ min: 0, max: 0xFF }),
    })
  );
  const certificates = { deviceCert: bytes(2048), caCert: bytes(4096) };
  const credentials = fc.oneof(
    fc.record({ ...certificates, privateKey: bytes(4096) }, { requiredKeys: [] }),
    fc.record({ ...certificates, ds }, { requiredKeys: ["ds"] }),
  );
  const size = fc.constantFrom(0x3000, 0x6000, 0x6001);
  fc.assert(
    fc.property(credentials, fc.boolean(), size, (made, legacy, size) => {
      const image = encodeCustFlash(made, { legacy, size });
      const read = decodeCustFlash(image, { legacy });
      assertEquals(copied(read.credentials), copied(made));
      assertEquals(encodeCustFlash(read.credentials, { legacy, size }), image);
      const found = decodeCustFlash(image);
      assertEquals(encodeCustFlash(found.credentials, { legacy: found.legacy, size }), image);
      const told = made.deviceCert !== undefined || made.caCert !== undefined;
      if (told) assertEquals(copied(found.credentials), copied(made));
    }),
    { seed: SEED, numRuns: 40 },
  );
});

Deno.test("an image in the order that was not asked for does not decode", () => {
  const image = encodeCustFlash(SMALL, { legacy: true });
  assertEquals(decodeCustFlash(image).legacy, true);
  assertEquals(codeOf(() => decodeCustFlash(image, { legacy: false })), "ERR_CHECKSUM");
  assertEquals(decodeCustFlash(encodeCustFlash(SMALL)).legacy, false);
});

Deno.test("no flipped bit and no truncation goes unnoticed", () => {
  for (const credentials of [SMALL, dsCredentials(1584, 4096), dsCredentials(1200, 3072)]) {
    const image = encodeCustFlash(credentials, { size: 0x3000 });
    for (let at = 0; at < image.length; at += at < 80 ? 1 : 37) {
      const damaged = image.slice();
      damaged[at]! ^= 1 << at % 8;
      if (at >= 30 && at < 33 && credentials.ds !== undefined) {
        // Key size and key id have no checksum: they decode, and to the damaged bytes.
        assertEquals(
          encodeCustFlash(decodeCustFlash(damaged).credentials, { size: 0x3000 }),
          damaged,
        );
      } else assertThrows(() => decodeCustFlash(damaged), SecureCertError);
    }
  }
  const image = encodeCustFlash(SMALL);
  for (let length = 0; length < 10304; length += length < 80 ? 1 : 97) {
    const code = codeOf(() => decodeCustFlash(image.subarray(0, length)));
    assertEquals(code, length < 28 ? "ERR_MAGIC" : "ERR_TRUNCATED");
  }
  decodeCustFlash(image.subarray(0, 10304));
});

Deno.test("values that would overlap are refused", () => {
  const refused = [
    [{ deviceCert: new Uint8Array(2049) }, "deviceCert"],
    [{ caCert: new Uint8Array(4097) }, "caCert"],
    [{ privateKey: new Uint8Array(4097) }, "privateKey"],
  ] as const;
  for (const [credentials, field] of refused) {
    const error = assertThrows(() => encodeCustFlash(credentials), SecureCertError);
    assertEquals([error.code, error.place.field], ["ERR_LENGTH", field]);
  }
  const full = {
    deviceCert: new Uint8Array(2048).fill(1),
    caCert: new Uint8Array(4096).fill(2),
    privateKey: new Uint8Array(4096).fill(3),
  };
  assertEquals(copied(decodeCustFlash(encodeCustFlash(full)).credentials), full);
});

Deno.test("what no image can hold is misuse", () => {
  const { ds } = dsCredentials(1584, 4096);
  assertThrows(() => encodeCustFlash({ ds: ds!, privateKey: KEY }), RangeError, "exclude");
  for (
    const wrong of [
      { ciphertext: new Uint8Array(1600) },
      { iv: new Uint8Array(12) },
      { rsaLengthBits: 65536 },
      { efuseKeyId: 256 },
    ]
  ) {
    assertThrows(() => encodeCustFlash({ ds: { ...ds!, ...wrong } }), RangeError);
  }
  for (const size of [10303, 0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => encodeCustFlash(SMALL, { size }), RangeError);
  }
});

Deno.test("stray bytes are refused where nothing belongs", () => {
  for (const at of [6, 28, 63, 64 + 3, 2111, 2112 + 2, 6208 + 4, 10304, 0x5FFF]) {
    const image = encodeCustFlash(SMALL);
    image[at]! ^= 0x40;
    const error = assertThrows(() => decodeCustFlash(image), SecureCertError);
    assertEquals([error.code, error.place.offset], ["ERR_STRAY_BYTES", at]);
    assertEquals(copied(readCustFlash(image).credentials), copied(SMALL));
  }
});

Deno.test("a TLV image is not cust_flash, whatever is at 24", () => {
  const data = new Uint8Array(40);
  new DataView(data.buffer).setUint32(12, 0x12345678, true);
  const image = encodePartition([{ type: 51, data }]);
  assertEquals(image.subarray(24, 28).toHex(), "78563412");
  assertEquals(looksLikeCustFlash(image), false);
  assertEquals(codeOf(() => readCustFlash(image)), "ERR_MAGIC");
});

Deno.test("reading any metadata ends in a value, or in ERR_MAGIC", () => {
  const magicAt = fc.constantFrom(24, 36);
  const head = fc.uint8Array({ minLength: 64, maxLength: 64 });
  const length = fc.integer({ min: 0, max: 0x3000 });
  fc.assert(
    fc.property(head, magicAt, length, fc.boolean(), (head, at, length, magic) => {
      const image = new Uint8Array(0x3000).fill(0xFF);
      image.set(head);
      if (magic) new DataView(image.buffer).setUint32(at, 0x12345678, true);
      const cut = image.subarray(0, length);
      if (looksLikeCustFlash(cut)) {
        const { values } = readCustFlash(cut);
        for (const { data, length } of values) assert(data.length <= length);
      } else assertEquals(codeOf(() => readCustFlash(cut)), "ERR_MAGIC");
      try {
        const { credentials, legacy } = decodeCustFlash(cut);
        assertEquals(encodeCustFlash(credentials, { legacy, size: cut.length }), cut.slice());
      } catch (error) {
        if (!(error instanceof SecureCertError)) throw error;
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
});

Deno.test("lengths that reach past their region or the image are shown, not followed", () => {
  const image = encodeCustFlash(SMALL, { size: 0x3000 });
  new DataView(image.buffer).setUint16(20, 0xFFFF, true);
  const [, , key] = readCustFlash(image).values;
  assertEquals([key?.length, key?.data.length], [0xFFFF, 0x3000 - 6208]);
  assertEquals(codeOf(() => decodeCustFlash(image)), "ERR_LENGTH");
});

type Getters = Readonly<Record<string, { readonly ret: string; readonly sha256?: string }>>;

function assertFirmwareAgrees(name: string, { values, credentials }: CustFlash): void {
  const { legacy_build, legacy_ds4096_build } = JSON.parse(
    sharedText(`generated/${name}/creader.json`),
  );
  const isDs = credentials.ds !== undefined;
  const reader: Getters = isDs ? legacy_ds4096_build : legacy_build;
  const getters = [
    ["deviceCert", reader.get_device_cert],
    ["caCert", reader.get_ca_cert],
    ...isDs ? [] : [["privateKey", reader.get_priv_key] as const],
  ] as const;
  for (const [field, read] of getters) {
    const value = values.find((each) => each.name === field);
    const ok = value !== undefined && value.crc.stored === value.crc.computed;
    assertEquals(read?.ret, ok ? "ESP_OK" : "ESP_FAIL", `${name} ${field}`);
    if (ok) assertEquals(sha256(value.data).toHex(), read?.sha256, `${name} ${field}`);
  }
}

sharedTest("golden images read as the firmware reads them, and encode to themselves", () => {
  const cases = sharedCases("cust_flash");
  assertEquals(cases.length, 6);
  for (const { name, format, known_bad } of cases) {
    const image = shared(`generated/${name}/expected.bin`);
    const read = readCustFlash(image);
    assertEquals(read.legacy, format === "cust_flash_legacy", name);
    assertFirmwareAgrees(name, read);
    if (known_bad !== undefined) {
      assertEquals(codeOf(() => decodeCustFlash(image)), "ERR_LENGTH", name);
      continue;
    }
    const { credentials, legacy } = decodeCustFlash(image);
    assertEquals(encodeCustFlash(credentials, { legacy }), image, name);
  }
});

sharedTest("the golden DS image has the layout of 4096-bit operands", () => {
  const { credentials: { ds }, values } = decodeCustFlash(
    shared("generated/cf_ds_esp32s2_2048/expected.bin"),
  );
  assertEquals(ds?.ciphertext.length, 1584);
  assertEquals(ds?.iv.toHex(), "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
  assertEquals([ds?.efuseKeyId, ds?.rsaLengthBits], [1, 2048]);
  assertEquals(values.map(({ name, offset, length }) => [name, offset, length]), [
    ["deviceCert", 64, 714],
    ["caCert", 2112, 567],
    ["ciphertext", 6208, 1584],
    ["iv", 7808, 16],
  ]);
});

sharedTest("damaged images are refused where the firmware refuses them", () => {
  for (
    const [name, field] of [["corrupt_cf_key_crc", "privateKey"], ["corrupt_cf_ca_len", "caCert"]]
  ) {
    const image = shared(`generated/${name}/expected.bin`);
    assertFirmwareAgrees(name!, readCustFlash(image));
    const error = assertThrows(() => decodeCustFlash(image), SecureCertError);
    assertEquals([error.code, error.place.field], ["ERR_CHECKSUM", field!]);
  }
});

sharedTest("the published images hold the published files, and encode to themselves", () => {
  for (const name of ["cust_flash", "cust_flash_legacy"]) {
    const folder = `espressif/qemu_test/${name}`;
    const image = shared(`${folder}/${name}.bin`);
    const { credentials, legacy } = decodeCustFlash(image);
    assertEquals(legacy, name === "cust_flash_legacy");
    assertEquals(encodeCustFlash(credentials, { legacy }), image);
    const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
    assertEquals(
      text(credentials.deviceCert),
      sharedText(`${folder}/input_data/device_cert.pem`) + "\0",
    );
    assertEquals(text(credentials.caCert), sharedText(`${folder}/input_data/ca_cert.pem`) + "\0");
  }
  assertEquals(
    looksLikeCustFlash(shared("espressif/qemu_test/cust_flash_tlv/cust_flash_tlv.bin")),
    false,
  );
});
