import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { ecdsaEfuseKey } from "../../lib/format/chips/key_blocks.ts";
import { type EfuseRequest, formatCommand, planEfuse } from "../../lib/key_modes/efuse_plan.ts";
import type { ChipName } from "../../mod.ts";
import { shared, sharedCases, sharedTest } from "../vectors.ts";
import { installed, needing, POSIX, PROCESSES } from "../needs.ts";

const SEED = 20261124;

const [C3, H2, C61, S31] = ["esp32c3", "esp32h2", "esp32c61", "esp32s31"] as const;

/** A scalar of bytes 1, 2, 3, … so that their order shows. */
function counting(length: number, first = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => first + index);
}

Deno.test("a P-256 key is one block, reversed", () => {
  const [block, ...more] = ecdsaEfuseKey(counting(32), "P-256");
  assertEquals(more, []);
  assertEquals(block, { part: "whole", bigEndian: counting(32), stored: counting(32).reverse() });
});

Deno.test("a P-192 key has 8 zero bytes in front, so at the end of the block", () => {
  const [block] = ecdsaEfuseKey(counting(24), "P-192");
  assertEquals(block!.bigEndian.toHex(), "00".repeat(8) + counting(24).toHex());
  assertEquals(block!.stored.toHex(), counting(24).reverse().toHex() + "00".repeat(8));
});

Deno.test("a P-384 key is split: the low block has its last 32 bytes", () => {
  const [low, high, ...more] = ecdsaEfuseKey(counting(48), "P-384");
  assertEquals(more, []);
  assertEquals([low!.part, high!.part], ["low", "high"]);
  assertEquals(low!.bigEndian, counting(32, 17));
  assertEquals(high!.bigEndian.toHex(), "00".repeat(16) + counting(16).toHex());
  assertEquals(low!.stored, counting(32, 17).reverse());
  assertEquals(high!.stored.toHex(), counting(16).reverse().toHex() + "00".repeat(16));
});

Deno.test("the blocks read as one little-endian number are the scalar, low block first", () => {
  const sizes = { "P-192": 24, "P-256": 32, "P-384": 48 } as const;
  fc.assert(
    fc.property(
      fc.constantFrom("P-192", "P-256", "P-384" as const).chain((curve) =>
        fc.tuple(
          fc.constant(curve),
          fc.uint8Array({ minLength: sizes[curve], maxLength: sizes[curve] }),
        )
      ),
      ([curve, privateScalar]) => {
        const blocks = ecdsaEfuseKey(privateScalar, curve);
        const bits = blocks.flatMap(({ stored }) => [...stored]);
        const value = bits.reduceRight((sum, byte) => sum << 8n | BigInt(byte), 0n);
        assertEquals(value, BigInt(`0x${privateScalar.toHex()}`));
        assert(blocks.every(({ stored, bigEndian }) => stored.length + bigEndian.length === 64));
      },
    ),
    { seed: SEED },
  );
});

Deno.test("a scalar of the wrong length is misuse", () => {
  for (const length of [0, 23, 25, 31, 33, 48]) {
    assertThrows(() => ecdsaEfuseKey(new Uint8Array(length), "P-256"), RangeError);
  }
});

sharedTest("the reference hands espefuse the same scalar", () => {
  const cases = sharedCases("ecdsa_peripheral").filter(({ args }) => args?.includes("256"));
  let compared = 0;
  for (const { name } of cases) {
    if (name === "ecdsa_wrong_curve" || name.endsWith("_safe")) continue;
    const scalar = shared(`generated/${name}/out_ecdsa_key.bin`);
    const sec1 = shared("generated/inputs/ecp256.sec1.der");
    assertEquals(ecdsaEfuseKey(sec1.slice(7, 39), "P-256")[0]!.bigEndian, scalar, name);
    compared++;
  }
  assertEquals(compared, 5);
  const [low, high] = ecdsaEfuseKey(
    shared("generated/inputs/ecp384.sec1.der").slice(8, 56),
    "P-384",
  );
  assertEquals(
    high!.bigEndian.slice(16).toHex() + low!.bigEndian.toHex(),
    shared("generated/ecdsa_esp32s31_384/out_ecdsa_key.bin").toHex(),
  );
});

Deno.test("an RSA-DS plan names the block, purpose 7 and raw bytes as they are", () => {
  const plan = planEfuse({ keyMode: "rsa-ds", keyId: 1, keyFile: "hmac_key.bin", chip: C3 });
  assertEquals(plan, {
    chip: "esp32c3",
    keyMode: "rsa-ds",
    blocks: [{
      keyId: 1,
      block: 5,
      blockName: "BLOCK_KEY1",
      purpose: "HMAC_DOWN_DIGITAL_SIGNATURE",
      purposeNumber: 7,
      byteOrder: "as-is",
      readProtect: true,
    }],
    keyFileKind: "raw",
    command: [
      "espefuse",
      "--chip",
      "esp32c3",
      "burn-key",
      "BLOCK_KEY1",
      "hmac_key.bin",
      "HMAC_DOWN_DIGITAL_SIGNATURE",
    ],
    notes: ["the command is for espefuse 5; with version 4, write espefuse.py and burn_key"],
  });
});

Deno.test("each key mode and curve has its purpose", () => {
  const purpose = (request: Partial<EfuseRequest>, chip: ChipName) => {
    const { blocks, command, keyFileKind } = planEfuse(
      { keyMode: "ecdsa-peripheral", keyId: 2, keyFile: "key", chip, ...request },
    );
    return [...blocks.map((block) => block.purpose), command.at(-1), keyFileKind];
  };
  assertEquals(purpose({ keyMode: "hmac-derived" }, C3), ["HMAC_UP", "HMAC_UP", "raw"]);
  assertEquals(purpose({ keyMode: "hmac-encrypted" }, C3), ["HMAC_UP", "HMAC_UP", "raw"]);
  for (const chip of [H2, C61] as const) {
    assertEquals(purpose({ curve: "P-256" }, chip), ["ECDSA_KEY", "ECDSA_KEY", "pem"]);
    assertEquals(purpose({ curve: "P-192" }, chip), ["ECDSA_KEY", "ECDSA_KEY", "pem"]);
  }
  assertEquals(purpose({ curve: "P-256" }, S31), ["ECDSA_KEY", "ECDSA_KEY", "pem"]);
  assertEquals(purpose({ curve: "P-192" }, S31), ["ECDSA_KEY_P192", "ECDSA_KEY_P192", "pem"]);
  assertEquals(purpose({ curve: "P-384" }, S31), [
    "ECDSA_KEY_P384_L",
    "ECDSA_KEY_P384_H",
    "ECDSA_KEY_P384_H",
    "raw",
  ]);
});

Deno.test("a P-384 plan has the low half where the image points, and burns both blocks from raw files", () => {
  const request = { keyMode: "ecdsa-peripheral", curve: "P-384", keyFile: "k.pem" } as const;
  const blocks = (keyId: number, more = {}) => {
    const plan = planEfuse({ ...request, chip: S31, keyId, ...more });
    const burned = plan.command.slice(plan.command.indexOf("burn-key") + 1).join(" ");
    return [...plan.blocks.map((block) => block.keyId), burned];
  };
  const burned = (low: number, high: number) =>
    `BLOCK_KEY${low} k_low.bin ECDSA_KEY_P384_L BLOCK_KEY${high} k_high.bin ECDSA_KEY_P384_H`;
  assertEquals(blocks(2), [2, 1, burned(2, 1)]);
  assertEquals(blocks(0), [0, 4, burned(0, 4)]);
  assertEquals(blocks(3, { highKeyId: 0 }), [3, 0, burned(3, 0)]);
  const plan = planEfuse({ ...request, chip: S31, keyId: 2 });
  assertEquals(plan.blocks.map((block) => block.byteOrder), ["reversed", "reversed"]);
  assertEquals(plan.notes.length, 3);
});

Deno.test("what the chip cannot do is refused", () => {
  const refuses = (code: string, request: Partial<EfuseRequest>, chip: ChipName) => {
    const error = assertThrows(
      () => planEfuse({ keyMode: "rsa-ds", keyId: 0, keyFile: "key", chip, ...request }),
      SecureCertError,
    );
    assertEquals(error.code as string, code);
    return error.place.field;
  };
  const ecdsa = { keyMode: "ecdsa-peripheral" } as const;
  refuses("ERR_UNSUPPORTED", {}, C61);
  refuses("ERR_UNSUPPORTED", { keyMode: "hmac-derived" }, C61);
  refuses("ERR_UNSUPPORTED", { ...ecdsa, curve: "P-256" }, C3);
  refuses("ERR_UNSUPPORTED", { ...ecdsa, curve: "P-384" }, H2);
  for (const keyId of [-1, 6, 9, 1.5, NaN]) {
    assertEquals(refuses("ERR_PLAN", { keyId }, C3), "keyId");
  }
  assertEquals(refuses("ERR_PLAN", { keyId: 5 }, S31), "keyId");
  assertEquals(refuses("ERR_PLAN", { ...ecdsa, curve: "P-256", keyId: 5 }, H2), "keyId");
  const halves = { ...ecdsa, curve: "P-384", keyId: 3 } as const;
  assertEquals(refuses("ERR_PLAN", { ...halves, highKeyId: 3 }, S31), "highKeyId");
  assertEquals(refuses("ERR_PLAN", { ...halves, highKeyId: 5 }, S31), "highKeyId");
  assertThrows(() => planEfuse({ ...ecdsa, chip: H2, keyId: 0, keyFile: "key" }), RangeError);
});

Deno.test("an HMAC key may be in KEY5 despite the quirk", () => {
  const plan = planEfuse({ keyMode: "rsa-ds", chip: C3, keyId: 5, keyFile: "key" });
  assertEquals(plan.blocks[0]!.block, 9);
});

Deno.test("a command quotes what a shell would read otherwise", () => {
  assertEquals(formatCommand(["espefuse", "burn-key", "a.bin"]), "espefuse burn-key a.bin");
  assertEquals(formatCommand(["a b", "it's", "$(id)", ""]), `'a b' 'it'\\''s' '$(id)' ''`);
});

needing(PROCESSES, POSIX, installed("sh")).test("a command survives a shell", async () => {
  const words = ["", "a b", "it's", "$(id)", "`id`", "a\nb", '"', "*", ";", "-x", "ü"];
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", formatCommand(["printf", "%s\\0", ...words])],
  }).output();
  assertEquals(new TextDecoder().decode(stdout).split("\0").slice(0, -1), words);
});
