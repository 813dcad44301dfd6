import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { crc32 } from "../../lib/bytes/crc32.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat, viewOf } from "../../lib/bytes/pack.ts";
import { sha256 } from "../../lib/format/deps.ts";
import { walkPartition } from "../../lib/format/partition.ts";
import {
  decodeSignatureBlock,
  decodeSignatureEntry,
  encodeSignatureBlock,
  encodeSignatureEntry,
  publicKeyDigestInput,
  rsaSignatureKey,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  type SignatureBlock,
  type SignatureKey,
} from "../../lib/format/signature_block.ts";
import { shared, sharedCases, sharedTest, sharedText, vector } from "../vectors.ts";

const SEED = 20261125;
const ALGORITHMS = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const word = fc.integer({ min: 0, max: 0xFFFFFFFF });

const anyBlock: fc.Arbitrary<SignatureBlock> = fc.constantFrom(...ALGORITHMS).chain((algorithm) => {
  const { size, digest } = SIGNATURE_ALGORITHMS[algorithm];
  const key: fc.Arbitrary<SignatureKey> = algorithm === "rsa3072"
    ? fc.record({
      algorithm: fc.constant(algorithm),
      n: bytes(size),
      e: word,
      rinv: bytes(size),
      mPrime: word,
    })
    : fc.record({ algorithm: fc.constant(algorithm), x: bytes(size), y: bytes(size) });
  const signature = bytes(algorithm === "rsa3072" ? size : 2 * size);
  return fc.record({ key, imageDigest: bytes(digest), signature });
});

/** Values of the signature entries of an image. */
function signatureValues(image: Uint8Array): readonly Uint8Array[] {
  const { entries } = walkPartition(image);
  return entries.filter(({ value }) => value.type === 8).map(({ value }) => value.data);
}

function fixChecksum(block: Uint8Array): void {
  viewOf(block).setUint32(1196, crc32(block.subarray(0, 1196)), true);
}

Deno.test("a signature block lays its fields out as documented", () => {
  const x = new Uint8Array(24).map((_, at) => at + 1);
  const y = new Uint8Array(24).fill(0x22);
  const signature = concat(x.map((byte) => byte + 0x40), new Uint8Array(24).fill(0x44));
  const imageDigest = new Uint8Array(32).fill(0x11);
  const block = encodeSignatureBlock({
    key: { algorithm: "ecdsa192", x, y },
    imageDigest,
    signature,
  });
  assertEquals(block.length, 1216);
  assertEquals(block.subarray(0, 4).toHex(), "e7030000");
  assertEquals(block[36], 1);
  assertEquals(block.subarray(37, 40).toHex(), "181716", "little-endian");
  assertEquals(block.subarray(85, 101), new Uint8Array(16), "unused end of the point");
  assertEquals(block.subarray(101, 104).toHex(), "585756");
  assertEquals(block.subarray(165, 1196).every((byte) => byte === 0), true);
  assertEquals(viewOf(block).getUint32(1196, true), crc32(block.subarray(0, 1196)));
  const p384 = encodeSignatureBlock({
    key: { algorithm: "ecdsa384", x: new Uint8Array(48), y: new Uint8Array(48) },
    imageDigest: new Uint8Array(48),
    signature: new Uint8Array(96),
  });
  assertEquals([p384[2], p384[52]], [1, 3]);
});

Deno.test("golden signature entries decode, and re-encode to themselves", () => {
  for (const algorithm of ALGORITHMS) {
    const values = signatureValues(vector(`sign_${algorithm}.bin`));
    assertEquals(values.length > 0, true);
    for (const data of values) {
      const entry = decodeSignatureEntry(data);
      assertEquals(entry.key.algorithm, algorithm);
      assertEquals(entry.signedLength, 1360);
      assertEquals(encodeSignatureEntry(entry), new Uint8Array(data));
    }
  }
});

Deno.test("R and M' of the golden RSA block follow from its modulus", () => {
  const { key } = decodeSignatureEntry(signatureValues(vector("sign_rsa3072.bin"))[0]!);
  if (key.algorithm !== "rsa3072") throw new Error("not an RSA key");
  assertEquals(rsaSignatureKey(key.n, key.e), key as never);
  assertEquals(publicKeyDigestInput(key).length, 776);
  const { algorithm, n, e } = key;
  assertEquals(publicKeyDigestInput({ algorithm, n, e }), publicKeyDigestInput(key));
});

Deno.test("a modulus that is even or has not 3072 bits is refused", () => {
  const odd = new Uint8Array(384).fill(0xFF);
  for (const n of [odd.subarray(1), odd.with(383, 2), odd.with(0, 0x7F), new Uint8Array(384)]) {
    assertEquals(assertThrows(() => rsaSignatureKey(n, 65537), SecureCertError).code, "ERR_KEY");
  }
  const { mPrime, rinv } = rsaSignatureKey(odd, 3);
  assertEquals(mPrime, 1, "n = -1 modulo 2^32");
  assertEquals(rinv, new Uint8Array(384).with(383, 1), "2^6144 = 1 modulo 2^3072 - 1");
});

Deno.test("any block and entry decode to what was encoded", () => {
  fc.assert(
    fc.property(anyBlock, word, (block, signedLength) => {
      assertEquals(plain(decodeSignatureBlock(encodeSignatureBlock(block))), plain(block));
      const { imageDigest, ...rest } = block;
      const rsa = block.key.algorithm === "rsa3072";
      const entry = { signedLength, ...rest, ...rsa ? { imageDigest } : {} };
      assertEquals(plain(decodeSignatureEntry(encodeSignatureEntry(entry))), plain(entry));
      const sizes = { rsa3072: 776, ecdsa192: 65, ecdsa256: 65, ecdsa384: 97 };
      assertEquals(publicKeyDigestInput(block.key).length, sizes[block.key.algorithm]);
    }),
    { seed: SEED, numRuns: 60 },
  );
});

Deno.test("every truncation and any excess is refused", () => {
  for (const algorithm of ALGORITHMS) {
    const data = signatureValues(vector(`sign_${algorithm}.bin`))[0]!;
    for (let length = 0; length < data.length; length++) {
      const error = assertThrows(
        () => decodeSignatureEntry(data.subarray(0, length)),
        SecureCertError,
      );
      assertEquals(error.code, "ERR_TRUNCATED", `${algorithm} ${length}`);
    }
    const longer = concat(data, new Uint8Array(1));
    assertEquals(
      assertThrows(() => decodeSignatureEntry(longer), SecureCertError).code,
      "ERR_LENGTH",
    );
  }
});

Deno.test("a changed block is refused, or is another block that encodes to itself", () => {
  fc.assert(
    fc.property(
      anyBlock,
      fc.integer({ min: 0, max: 1215 }),
      fc.integer({ min: 1, max: 255 }),
      (block, at, change) => {
        const changed = encodeSignatureBlock(block);
        changed[at]! ^= change;
        if (at < 1200 && at > 0) {
          const error = assertThrows(() => decodeSignatureBlock(changed), SecureCertError);
          assertEquals(error.code, "ERR_CHECKSUM");
        }
        fixChecksum(changed);
        try {
          assertEquals(encodeSignatureBlock(decodeSignatureBlock(changed)), changed);
        } catch (error) {
          if (!(error instanceof SecureCertError)) throw error;
        }
      },
    ),
    { seed: SEED, numRuns: 300 },
  );
});

Deno.test("each kind of damage has its code and place", () => {
  const entry = signatureValues(vector("sign_rsa3072.bin"))[0]!;
  const cases: [at: number, value: number, code: string, place: number][] = [
    [0, 2, "ERR_UNSUPPORTED", 0],
    [3, 1, "ERR_STRAY_BYTES", 3],
    [4, 1, "ERR_STRAY_BYTES", 4],
    [12, 4, "ERR_UNSUPPORTED", 12],
    [15, 1, "ERR_STRAY_BYTES", 15],
    [16, 0xE8, "ERR_MAGIC", 16],
    [17, 4, "ERR_UNSUPPORTED", 17],
    [18, 1, "ERR_STRAY_BYTES", 18],
    [16 + 1200, 1, "ERR_STRAY_BYTES", 16 + 1200],
  ];
  for (const [at, value, code, offset] of cases) {
    const changed = new Uint8Array(entry).with(at, value);
    fixChecksum(changed.subarray(16));
    const error = assertThrows(() => decodeSignatureEntry(changed), SecureCertError);
    assertEquals([error.code, error.place.offset], [code, offset]);
  }
  const p256 = signatureValues(vector("sign_ecdsa256.bin"))[0]!;
  const error = assertThrows(() => decodeSignatureEntry(p256.with(16, 1)), SecureCertError);
  assertEquals([error.code, error.place.offset], ["ERR_UNSUPPORTED", 16]);
});

Deno.test("numbers of the wrong length are misuse", () => {
  const x = new Uint8Array(32);
  const key = { algorithm: "ecdsa256", x, y: x } as const;
  const good = { key, imageDigest: x, signature: new Uint8Array(64) };
  assertThrows(
    () => encodeSignatureBlock({ ...good, imageDigest: new Uint8Array(48) }),
    RangeError,
  );
  assertThrows(() => encodeSignatureBlock({ ...good, signature: x }), RangeError);
  assertThrows(() => publicKeyDigestInput({ ...key, y: new Uint8Array(24) }), RangeError);
  assertThrows(() => encodeSignatureEntry({ ...good, signedLength: 1 }), TypeError);
  const { imageDigest: _, ...bare } = good;
  for (const signedLength of [-1, 1.5, 2 ** 32]) {
    assertThrows(() => encodeSignatureEntry({ ...bare, signedLength }), RangeError);
  }
});

sharedTest("key digests are those of the reference", () => {
  for (const { name } of sharedCases("sign").filter((each) => !each.known_bad)) {
    const { key_digests_sha256, signature_tlvs } = JSON.parse(
      sharedText(`generated/${name}/verify.json`),
    );
    const values = signatureValues(shared(`generated/${name}/expected.bin`));
    const digests = values.map((data) =>
      sha256(publicKeyDigestInput(decodeSignatureEntry(data).key)).toHex()
    );
    assertEquals(digests, key_digests_sha256, name);
    assertEquals(
      values.map((data) => data.subarray(0, 16).toHex()),
      signature_tlvs.map(({ head16 }: { head16: string }) => head16),
      name,
    );
  }
});

sharedTest("the key digest of the published image is in the published eFuses", () => {
  const folder = "espressif/qemu_test/secure_verification";
  const image = shared(`${folder}/secure_verification.bin`);
  const efuses = shared(`${folder}/secure_key_0_esp32c3_efuse.bin`).toHex();
  const { key } = decodeSignatureEntry(signatureValues(image)[0]!);
  assertEquals(efuses.includes(sha256(publicKeyDigestInput(key)).toHex()), true);
});

/** A copy whose byte arrays compare equal whatever buffer they view. */
function plain(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (_, each) => each instanceof Uint8Array ? each.toHex() : each),
  );
}
