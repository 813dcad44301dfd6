import { assert, assertEquals } from "@std/assert";
import { type Chip, DS_LAYOUTS, dsLayoutOfCiphertext } from "../../../lib/format/chips/chip.ts";
import { type ChipName, CHIPS, dsLayout, isChipName } from "../../../lib/format/chips/chips.ts";
import { keyBlockAccepts, keyIdOfEfuseBlock } from "../../../lib/format/chips/key_blocks.ts";
import { walkPartition } from "../../../lib/format/partition.ts";
import { shared, sharedCases, sharedTest } from "../../vectors.ts";

const NAMES = Object.keys(CHIPS) as ChipName[];

/** The chips for which something holds. */
function chipsThat(holds: (chip: Chip, name: ChipName) => boolean): string {
  return NAMES.filter((name) => holds(CHIPS[name], name)).map((name) => name.slice(5)).join(" ");
}

Deno.test("the chips are those of the contract", () => {
  assertEquals(
    NAMES.join(" "),
    "esp32 esp32s2 esp32s3 esp32c2 esp32c3 esp32c5 esp32c6 esp32c61 esp32h2 esp32h21 esp32p4 esp32s31",
  );
  for (const name of NAMES) {
    assertEquals(CHIPS[name].title.toLowerCase().replace("-", ""), name);
    assert(isChipName(name));
  }
  for (const text of ["ESP32", "esp32h4", "toString", ""]) assertEquals(isChipName(text), false);
});

Deno.test("every fact of every chip has a source", () => {
  for (const name of NAMES) {
    const { title: _, notes: _notes, sources, ...facts } = CHIPS[name];
    assertEquals(Object.keys(sources).sort(), Object.keys(facts).sort(), name);
    for (const source of Object.values(sources)) assert(source !== "", name);
  }
});

Deno.test("image ids and bootloader offsets are esptool's", () => {
  assertEquals(
    NAMES.map((name) => CHIPS[name].chipId),
    [0, 2, 9, 12, 5, 23, 13, 20, 16, 25, 18, 32],
  );
  assertEquals(chipsThat((chip) => chip.bootloaderOffset === 0x1000), " s2");
  assertEquals(chipsThat((chip) => chip.bootloaderOffset === 0x2000), "c5 p4 s31");
  assertEquals(chipsThat((chip) => chip.bootloaderOffset === 0), "s3 c2 c3 c6 c61 h2 h21");
});

Deno.test("DS sizes follow from the longest key", () => {
  assertEquals(chipsThat((_, name) => dsLayout(name) === undefined), " c2 c61");
  assertEquals(chipsThat((_, name) => dsLayout(name)?.maxRsaBits === 3072), "c3 c5 c6 h2 h21");
  assertEquals(chipsThat((_, name) => dsLayout(name)?.maxRsaBits === 4096), "s2 s3 p4 s31");
  for (const layout of DS_LAYOUTS) {
    const { maxRsaBits, ciphertextLength, dataLength, rsaBits } = layout;
    assertEquals(ciphertextLength * 8, 3 * maxRsaBits + 256 + 32 + 32 + 64);
    assertEquals(dataLength, 4 + 16 + ciphertextLength);
    assertEquals(Math.max(...rsaBits), maxRsaBits);
    assertEquals(dsLayoutOfCiphertext(ciphertextLength), layout);
  }
  assertEquals(dsLayoutOfCiphertext(1600), undefined);
});

Deno.test("a chip has a peripheral exactly when its key blocks have the purpose", () => {
  assertEquals(chipsThat((chip) => "HMAC_UP" in chip.purposes), chipsThat((chip) => chip.hmac));
  assertEquals(
    chipsThat((chip) => "HMAC_DOWN_DIGITAL_SIGNATURE" in chip.purposes),
    chipsThat((chip) => chip.ds !== null),
  );
  assertEquals(
    chipsThat((chip) => "ECDSA_KEY" in chip.purposes),
    chipsThat((chip) => chip.ecdsaCurves.length > 0),
  );
  assertEquals(chipsThat((chip) => "ECDSA_KEY_P384_H" in chip.purposes), "c5 p4 s31");
  assertEquals(chipsThat((chip) => chip.ecdsaCurves.includes("P-384")), "c5 p4 s31");
  assertEquals(
    chipsThat((chip) => "XTS_AES_256_KEY_1" in chip.purposes),
    chipsThat((chip) => chip.flashEncryption.includes("xts-aes-256")),
  );
  assertEquals(chipsThat((chip) => "KM_INIT_KEY" in chip.purposes), "c5 p4 s31");
});

Deno.test("purposes have their numbers, byte order and protection", () => {
  const numbers = Object.fromEntries(
    Object.entries(CHIPS.esp32s31.purposes).map(([name, { value }]) => [value, name]),
  );
  assertEquals(Object.keys(numbers).map(Number), Array.from({ length: 20 }, (_, index) => index));
  for (const name of NAMES) {
    const purposes = Object.entries(CHIPS[name].purposes);
    assertEquals(new Set(purposes.map(([, { value }]) => value)).size, purposes.length, name);
    for (const [purpose, { family, byteOrder, readProtect }] of purposes) {
      assertEquals(byteOrder === "reversed", /^(XTS|ECDSA)_/.test(purpose), purpose);
      assertEquals(readProtect, !/^(USER|SECURE_BOOT_DIGEST.?)$/.test(purpose), purpose);
      assertEquals(family === "hmac", purpose.startsWith("HMAC_"), purpose);
    }
  }
  assertEquals(CHIPS.esp32c2.purposes["XTS_AES_128_KEY"]?.value, 1);
  assertEquals(CHIPS.esp32c2.purposes["SECURE_BOOT_DIGEST"]?.value, 3);
  assertEquals(CHIPS.esp32c3.purposes["XTS_AES_128_KEY"]?.value, 4);
  assertEquals("HMAC_UP" in CHIPS.esp32c61.purposes, false);
});

Deno.test("key ids and eFuse blocks map to each other", () => {
  for (const name of NAMES) {
    CHIPS[name].keyBlocks.forEach((block, keyId) => {
      assertEquals(keyIdOfEfuseBlock(name, block), keyId);
    });
    assertEquals(keyIdOfEfuseBlock(name, 2), undefined);
  }
});

Deno.test("KEY5 refuses what it must not hold on its chip, and only that", () => {
  const refusing = (purpose: string) =>
    chipsThat((chip, name) =>
      chip.keyBlocks.length === 6 && purpose in chip.purposes && !keyBlockAccepts(name, 5, purpose)
    );
  assertEquals(refusing("XTS_AES_128_KEY"), "s3 c3 c6 h2");
  assertEquals(refusing("XTS_AES_256_KEY_1"), "s3");
  assertEquals(refusing("ECDSA_KEY"), "h2");
  assertEquals(refusing("HMAC_UP"), "");
  for (const name of NAMES) {
    for (const purpose of Object.keys(CHIPS[name].purposes)) {
      assert(keyBlockAccepts(name, 0, purpose), `${name} ${purpose}`);
    }
    assertEquals(keyBlockAccepts(name, 6, "USER"), false);
    assertEquals(keyBlockAccepts(name, 0, "toString"), false);
  }
  assertEquals(keyBlockAccepts("esp32s31", 5, "HMAC_UP"), false);
  assertEquals(keyBlockAccepts("esp32c61", 1, "HMAC_UP"), false);
});

Deno.test("secure boot and flash encryption are those of the chips", () => {
  assertEquals(chipsThat((chip) => !chip.secureBoot.rsa3072), "c2 c61");
  assertEquals(
    chipsThat((chip) => chip.secureBoot.ecdsaCurves.includes("P-256")),
    "c2 c5 c6 c61 h2 p4",
  );
  assertEquals(chipsThat((chip) => chip.secureBoot.ecdsaCurves.includes("P-384")), "c5 p4");
  assertEquals(chipsThat((chip) => chip.secureBoot.digestSlots === 1), " c2");
  assertEquals(chipsThat((chip) => !chip.flashEncryption.includes("xts-aes-128")), "");
  assertEquals(CHIPS.esp32.flashEncryption, ["esp32-aes-256"]);
  assertEquals(chipsThat((chip) => chip.flashEncryption.includes("xts-aes-256")), "s2 s3 p4 s31");
  assertEquals(
    chipsThat((chip) => chip.flashEncryption.includes("xts-aes-256-key-manager")),
    "c5 p4 s31",
  );
});

sharedTest("golden DS data have the length of their chip, where the reference is right", () => {
  let right = 0;
  for (const { name, known_bad, args } of sharedCases("rsa_ds")) {
    const chip = args?.[args.indexOf("--target_chip") + 1];
    if (chip === undefined) continue;
    assert(isChipName(chip), name);
    const { entries } = walkPartition(shared(`generated/${name}/expected.bin`));
    const data = entries.find(({ value }) => value.type === 3)?.value.data;
    const expected = dsLayout(chip as ChipName)?.dataLength;
    assertEquals(data?.length === expected, known_bad === undefined, name);
    if (known_bad === undefined) right++;
  }
  assert(right >= 15);
});
