import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { sha256 } from "../../lib/format/deps.ts";
import { walkPartition } from "../../lib/format/partition.ts";
import {
  decodeDsContext,
  decodeDsData,
  decodeSecurityConfig,
  encodeDsContext,
  encodeDsData,
  encodeSecurityConfig,
} from "../../lib/format/peripheral.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";
import { present } from "../present.ts";

const SEED = 20261124;

/** Values of a golden image's entries of one type. */
function values(name: string, type: number): Uint8Array[] {
  return walkPartition(shared(`generated/${name}/expected.bin`)).entries
    .map(({ value }) => value)
    .filter((value) => value.type === type)
    .map((value) => value.data);
}

Deno.test("the peripheral values have the documented bytes", () => {
  assertEquals(
    encodeDsContext({ efuseKeyId: 1, rsaLengthBits: 2048 }).toHex(),
    "0000000001000008",
  );
  assertEquals(encodeSecurityConfig({ efuseKeyId: 2 }).toHex(), "06" + "00".repeat(39));
  assertEquals(encodeSecurityConfig({ efuseBlock: 6 }), encodeSecurityConfig({ efuseKeyId: 2 }));
  const iv = Uint8Array.from({ length: 16 }, (_, index) => 0xA0 + index);
  const bytes = encodeDsData({
    rsaLengthBits: 4096,
    iv,
    ciphertext: new Uint8Array(1584).fill(0xC1),
  });
  assertEquals(bytes.length, 1604);
  assertEquals(bytes.subarray(0, 22).toHex(), "7f000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafc1c1");
});

Deno.test("peripheral values decode to what was encoded, and encode to the same bytes", () => {
  const dsData = fc.constantFrom({ length: 1584, words: 128 }, { length: 1200, words: 96 }).chain(
    ({ length, words }) =>
      fc.record({
        rsaLengthBits: fc.integer({ min: 1, max: words }).map((count) => count * 32),
        iv: fc.uint8Array({ minLength: 16, maxLength: 16 }),
        ciphertext: fc.uint8Array({ minLength: length, maxLength: length }),
      }),
  );
  fc.assert(
    fc.property(dsData, (data) => {
      const decoded = decodeDsData(encodeDsData(data));
      assertEquals({ ...decoded, iv: decoded.iv.slice(), ciphertext: decoded.ciphertext.slice() }, {
        ...data,
        iv: data.iv.slice(),
        ciphertext: data.ciphertext.slice(),
      });
    }),
    { seed: SEED, numRuns: 30 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => {
      assertEquals(encodeDsContext(decodeDsContext(bytes)), bytes.slice());
    }),
    { seed: SEED },
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), (bytes) => {
      assertEquals(encodeSecurityConfig(decodeSecurityConfig(bytes)), bytes.slice());
    }),
    { seed: SEED },
  );
});

Deno.test("filler that is zero is not shown", () => {
  assertEquals(present(decodeDsContext(new Uint8Array([0, 0, 0, 0, 5, 0, 0, 0x10]))), {
    efuseKeyId: 5,
    rsaLengthBits: 4096,
  });
  assertEquals(decodeDsContext(new Uint8Array([1, 0, 0, 0x80, 5, 7, 0, 0x10])), {
    efuseKeyId: 5,
    rsaLengthBits: 4096,
    pointer: 0x80000001,
    padding: 7,
  });
  const config = new Uint8Array(40);
  assertEquals(present(decodeSecurityConfig(config)), { efuseBlock: 0 });
  config[0] = 9;
  assertEquals(present(decodeSecurityConfig(config)), { efuseBlock: 9, efuseKeyId: 5 });
  config[0] = 10;
  config[39] = 1;
  assertEquals(decodeSecurityConfig(config).efuseKeyId, undefined);
  assertEquals(decodeSecurityConfig(config).tail?.[38], 1);
});

Deno.test("every other length is refused", () => {
  for (let length = 0; length <= 1700; length++) {
    const bytes = new Uint8Array(length);
    for (
      const [decode, ...sizes] of [
        [decodeDsData, 1604, 1220],
        [decodeDsContext, 8],
        [decodeSecurityConfig, 40],
      ] as const
    ) {
      if ((sizes as readonly number[]).includes(length)) decode(bytes);
      else assertEquals(assertThrows(() => decode(bytes), SecureCertError).code, "ERR_LENGTH");
    }
  }
});

Deno.test("a key size that the ciphertext has no room for is refused", () => {
  const largest = [[1604, 127, 4096], [1220, 95, 3072]] as const;
  for (const [length, word, bits] of largest) {
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, word, true);
    assertEquals(decodeDsData(bytes).rsaLengthBits, bits);
    for (const wrong of [word + 1, 0x80000000, 0xFFFFFFFF]) {
      view.setUint32(0, wrong, true);
      const error = assertThrows(() => decodeDsData(bytes), SecureCertError);
      assertEquals([error.code, error.place.field], ["ERR_LENGTH", "rsaLengthBits"]);
    }
  }
});

Deno.test("values that no field can hold are misuse", () => {
  const good = { rsaLengthBits: 2048, iv: new Uint8Array(16), ciphertext: new Uint8Array(1200) };
  encodeDsData(good);
  for (
    const wrong of [
      { rsaLengthBits: 0 },
      { rsaLengthBits: 2049 },
      { rsaLengthBits: 4096 },
      { rsaLengthBits: NaN },
      { iv: new Uint8Array(12) },
      { ciphertext: new Uint8Array(1216) },
    ]
  ) {
    assertThrows(() => encodeDsData({ ...good, ...wrong }), RangeError);
  }
  for (
    const wrong of [{ efuseKeyId: 256 }, { efuseKeyId: -1 }, { rsaLengthBits: 65536 }, {
      pointer: 2 ** 32,
    }, { padding: 1.5 }]
  ) {
    assertThrows(
      () => encodeDsContext({ efuseKeyId: 1, rsaLengthBits: 2048, ...wrong }),
      RangeError,
    );
  }
  assertThrows(() => encodeSecurityConfig({ efuseKeyId: 6 }), RangeError, "0 to 5");
  assertThrows(() => encodeSecurityConfig({ efuseKeyId: -4 }), RangeError);
  assertThrows(() => encodeSecurityConfig({ efuseBlock: 256 }), RangeError);
  assertThrows(() => encodeSecurityConfig({ efuseBlock: 6, efuseKeyId: 3 }), RangeError, "KEY3");
  assertThrows(
    () => encodeSecurityConfig({ efuseBlock: 6, tail: new Uint8Array(38) }),
    RangeError,
  );
  assertThrows(() => encodeSecurityConfig({} as never), RangeError, "need efuseBlock");
});

sharedTest("golden DS values agree with how the reference took them apart", () => {
  const cases = sharedCases("rsa_ds");
  assert(cases.length >= 20);
  let compared = 0;
  for (const { name, note } of cases) {
    const data = values(name, 3)[0]!;
    const context = values(name, 4)[0]!;
    const decoded = decodeDsData(data);
    assertEquals(encodeDsData(decoded), data.slice(), name);
    assertEquals(encodeDsContext(decodeDsContext(context)), context.slice(), name);
    assertEquals(decodeDsContext(context).rsaLengthBits, decoded.rsaLengthBits, name);
    if (note !== undefined) continue;
    const [ds] = JSON.parse(sharedText(`generated/${name}/ds.json`));
    assertEquals(decoded.rsaLengthBits, (ds.rsa_length_word + 1) * 32, name);
    assertEquals(decoded.iv.toHex(), ds.iv, name);
    assertEquals(decoded.ciphertext.length, ds.ciphertext_len, name);
    compared++;
  }
  assert(compared >= 19);
});

sharedTest("golden DS contexts say what the firmware read from them", () => {
  for (const { name } of sharedCases("rsa_ds")) {
    const reader = JSON.parse(sharedText(`generated/${name}/creader.json`));
    const context = decodeDsContext(values(name, 4)[0]!);
    const build = values(name, 3)[0]!.length === 1604 ? "ds4096_build" : "ds3072_build";
    const read = reader[build].get_ds_ctx;
    assertEquals(present(context), {
      efuseKeyId: read.efuse_key_id,
      rsaLengthBits: read.rsa_length_bits,
    }, name);
    assertEquals(sha256(values(name, 3)[0]!).toHex(), read.data.sha256, name);
  }
});

sharedTest("golden security configurations name the block the firmware returns", () => {
  for (const { name } of sharedCases("ecdsa_peripheral")) {
    const [config] = values(name, 6);
    const { reader } = JSON.parse(sharedText(`generated/${name}/creader.json`));
    const decoded = decodeSecurityConfig(config!);
    assertEquals(decoded, { efuseBlock: 6, efuseKeyId: 2 }, name);
    assertEquals(reader.get_priv_key_efuse_id.value, decoded.efuseBlock, name);
    assertEquals(encodeSecurityConfig(decoded), config!.slice(), name);
  }
});

sharedTest("values of wrong length in damaged images are refused", () => {
  const damaged = [
    ["corrupt_ds_context_len7", 4, decodeDsContext],
    ["corrupt_ds_context_len12", 4, decodeDsContext],
    ["corrupt_ds_data_short", 3, decodeDsData],
    ["corrupt_sec_cfg_len1", 6, decodeSecurityConfig],
    ["corrupt_sec_cfg_empty", 6, decodeSecurityConfig],
  ] as const;
  for (const [name, type, decode] of damaged) {
    const [value] = values(name, type);
    assertEquals(assertThrows(() => decode(value!), SecureCertError).code, "ERR_LENGTH", name);
  }
});
