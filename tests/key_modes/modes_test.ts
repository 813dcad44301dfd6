import { assert, assertEquals } from "@std/assert";
import type { Chip, Curve } from "../../lib/format/chips/chip.ts";
import { type ChipName, CHIPS } from "../../lib/format/chips/chips.ts";
import { KEY_MODES } from "../../lib/format/names.ts";
import { KEY_MODE_RULES, keyModesOf } from "../../lib/key_modes/modes.ts";
import { keyModeProblems } from "../../lib/key_modes/requirements.ts";

const NAMES = Object.keys(CHIPS) as ChipName[];
const purposesOf = (chip: ChipName, curve: Curve) =>
  KEY_MODE_RULES["ecdsa-peripheral"].purposes!(chip, curve);

/** The chips for which something holds. */
function chipsThat(holds: (chip: Chip, name: ChipName) => boolean): string {
  return NAMES.filter((name) => holds(CHIPS[name], name)).map((name) => name.slice(5)).join(" ");
}

Deno.test("key modes follow from the peripherals", () => {
  const withMode = (mode: string) =>
    chipsThat((_, name) => (keyModesOf(name) as readonly string[]).includes(mode));
  assertEquals(withMode("plaintext"), NAMES.map((name) => name.slice(5)).join(" "));
  assertEquals(withMode("rsa-ds"), "s2 s3 c3 c5 c6 h2 h21 p4 s31");
  assertEquals(withMode("hmac-encrypted"), "s2 s3 c3 c5 c6 h2 h21 p4 s31");
  assertEquals(withMode("hmac-derived"), withMode("hmac-encrypted"));
  assertEquals(withMode("ecdsa-peripheral"), "c5 c61 h2 h21 p4 s31");
  assertEquals(keyModesOf("esp32"), ["plaintext"]);
});

Deno.test("an ECDSA key is burned with purposes that its chip has", () => {
  assertEquals(purposesOf("esp32h2", "P-192"), ["ECDSA_KEY"]);
  assertEquals(purposesOf("esp32c61", "P-192"), ["ECDSA_KEY"]);
  assertEquals(purposesOf("esp32c5", "P-192"), ["ECDSA_KEY_P192"]);
  assertEquals(purposesOf("esp32p4", "P-256"), ["ECDSA_KEY"]);
  assertEquals(purposesOf("esp32s31", "P-384"), ["ECDSA_KEY_P384_L", "ECDSA_KEY_P384_H"]);
  for (const name of NAMES) {
    for (const curve of CHIPS[name].ecdsaCurves) {
      for (const purpose of purposesOf(name, curve)) {
        assert(purpose in CHIPS[name].purposes, `${name} ${curve}`);
      }
    }
  }
});

Deno.test("what keeps a key mode from working is reported for its field", () => {
  const problems = (request: Parameters<typeof keyModeProblems>[0]) =>
    keyModeProblems(request).map(({ field, message }) => `${field}: ${message}`);
  for (const keyMode of KEY_MODES.slice(1)) {
    assertEquals(problems({ keyMode }), [`chip: ${keyMode} needs a chip`]);
    assertEquals(problems({ keyMode, chip: "esp33" }), [
      'chip: chip "esp33" is not known; did you mean esp32?',
    ]);
    assertEquals(problems({ keyMode, chip: "esp32" }), [
      `chip: esp32 has no ${keyMode} keys; it has plaintext`,
    ]);
  }
  assertEquals(problems({ keyMode: "plaintext" }), []);
  const [ec, rsa] = [{ type: "ec", curve: "P-256", bits: 256 }, {
    type: "rsa",
    bits: 4096,
  }] as const;
  assertEquals(problems({ keyMode: "rsa-ds", chip: "esp32c3", key: ec, efuseKeyId: 9 }), [
    "key: rsa-ds needs an RSA key, this is a P-256 key",
  ]);
  assertEquals(problems({ keyMode: "rsa-ds", chip: "esp32c3", key: rsa }), [
    "key: the DS peripheral of esp32c3 takes 1024, 2048, 3072 bits, not 4096",
  ]);
  assertEquals(problems({ keyMode: "rsa-ds", chip: "esp32s31", key: rsa, efuseKeyId: 5 }), [
    "efuseKeyId: esp32s31 has key blocks 0 to 4, not 5",
  ]);
  assertEquals(problems({ keyMode: "ecdsa-peripheral", chip: "esp32h2", key: ec, efuseKeyId: 5 }), [
    "efuseKeyId: KEY5 of esp32h2 must not hold an ECDSA key",
  ]);
  assertEquals(problems({ keyMode: "ecdsa-peripheral", chip: "esp32h2", key: rsa }), [
    "key: the ECDSA peripheral of esp32h2 takes P-192, P-256, not RSA-4096",
  ]);
  assertEquals(problems({ keyMode: "hmac-derived", chip: "esp32c3", key: rsa }), [
    "key: hmac-derived makes P-256 keys",
  ]);
  assertEquals(problems({ keyMode: "hmac-derived", chip: "esp32c3", key: ec, efuseKeyId: 5 }), []);
});
