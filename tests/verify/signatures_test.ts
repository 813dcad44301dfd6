import { assertEquals, assertRejects } from "@std/assert";
import { crc32 } from "../../lib/bytes/crc32.ts";
import { concat, viewOf } from "../../lib/bytes/pack.ts";
import { formatHex } from "../../lib/bytes/text.ts";
import type { SignatureAlgorithm } from "../../lib/format/signature_block.ts";
import type { StoredTlv } from "../../lib/format/tlv.ts";
import { readSignature } from "../../lib/format/signature_block.ts";
import {
  decodePartition,
  encodePartition,
  encodeTlv,
  formatPem,
  generateKey,
  inspect,
  SecureCertError,
  type Signer,
  signPartition,
  verify,
  verifySignatures,
} from "../../mod.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { rsaKey } from "../rsa_keys.ts";
import { shared, sharedCases, sharedTest, sharedText, vector } from "../vectors.ts";

const ENTRY = { type: 51, data: new Uint8Array([7, 8, 9]) };
const IMAGE = encodePartition([ENTRY], { integrity: true });

const signers: Readonly<Record<SignatureAlgorithm, Signer>> = {
  rsa3072: createSigner(await rsaKey(3072)),
  ecdsa192: createSigner(await generateKey({ curve: "P-192" })),
  ecdsa256: createSigner(await generateKey({ curve: "P-256" })),
  ecdsa384: createSigner(await generateKey({ curve: "P-384" })),
};

async function signatureOf(algorithm: SignatureAlgorithm): Promise<StoredTlv> {
  return decodePartition(await signPartition(IMAGE, [signers[algorithm]])).entries.at(-1)!;
}

/** IMAGE with these values as its signatures, subtypes in order. */
function withSignatures(...values: readonly Uint8Array[]): Uint8Array {
  const tlvs = values.map((data, subtype) => encodeTlv({ type: 8, subtype, data }));
  return concat(IMAGE, ...tlvs);
}

/** The severities of the findings on signatures. */
async function severities(image: Uint8Array, signingKeys?: Uint8Array[]): Promise<string[]> {
  const { findings } = await verify(image, signingKeys ? { signingKeys } : {});
  return findings.filter(({ code }) => code === "BAD_SIGNATURE").map(({ severity }) => severity);
}

for (const algorithm of Object.keys(signers) as SignatureAlgorithm[]) {
  Deno.test(`${algorithm}: a signed image is good, and inspect shows its signature`, async () => {
    const signed = await signPartition(IMAGE, [signers[algorithm]]);
    const { publicKey } = signers[algorithm];
    const pem = new TextEncoder().encode(formatPem("PUBLIC KEY", publicKey));
    assertEquals(await severities(signed), []);
    assertEquals(await severities(signed, [pem]), []);
    const [result] = await verifySignatures(signed, { signingKeys: [pem] });
    const { entries } = await inspect(signed);
    assertEquals(entries.at(-1)?.kind, "signature");
    assertEquals(entries.at(-1)?.signature, {
      version: 1,
      algorithm,
      signedLength: IMAGE.length,
      keyDigest: formatHex(result!.keyDigest!),
    });
  });
}

Deno.test("a right signature by a key that is not to be trusted is an error, or a warning beside one", async () => {
  const [a, b] = [signers.ecdsa256, createSigner(await generateKey())];
  const signed = await signPartition(IMAGE, [a, b]);
  assertEquals(await severities(signed, [b.publicKey]), ["warning"]);
  assertEquals(await severities(signed, [a.publicKey, b.publicKey]), []);
  assertEquals(await severities(signed, [signers.ecdsa384.publicKey]), ["error", "error"]);
  assertEquals(await severities(IMAGE, [a.publicKey]), ["error"]);
  assertEquals(await severities(IMAGE, []), []);
  const error = await assertRejects(() => severities(signed, [new Uint8Array(3)]), SecureCertError);
  assertEquals(error.code, "ERR_DER");
});

Deno.test("an entry after the signature is an error, an integrity entry is not", async () => {
  const signed = await signPartition(IMAGE, [signers.ecdsa256]);
  const longer = concat(signed, encodeTlv({ type: 52, data: new Uint8Array(1) }));
  const { findings } = await verify(longer);
  const found = findings.filter(({ code }) => code === "BAD_SIGNATURE");
  assertEquals(found.map(({ severity, place }) => [severity, place.offset]), [
    ["error", signed.length],
  ]);
  const { entries } = decodePartition(signed);
  assertEquals(await severities(encodePartition(entries, { integrity: true })), []);
});

Deno.test("fields that the firmware passes over are warned of", async () => {
  const { data } = await signatureOf("ecdsa256");
  for (const at of [1, 4, 8, 12, 15]) {
    const odd = withSignatures(data.with(at, data[at]! ^ 0x40));
    assertEquals([await severities(odd), (await verify(odd)).ok], [["warning"], true], `${at}`);
  }
  assertEquals(await severities(withSignatures(concat(data, new Uint8Array(1)))), ["warning"]);
  const rsa = (await signatureOf("rsa3072")).data;
  for (const at of [16 + 2, 16 + 4, 16 + 424, 16 + 808, 16 + 1200]) {
    const value = rsa.slice();
    value[at]! ^= 1;
    viewOf(value).setUint32(16 + 1196, crc32(value.subarray(16, 16 + 1196)), true);
    assertEquals(await severities(withSignatures(value)), ["warning"], `${at}`);
  }
  // The chip's eFuse holds the digest of R and M' too.
  const changed = rsa.with(16 + 808, rsa[16 + 808]! ^ 1);
  viewOf(changed).setUint32(16 + 1196, crc32(changed.subarray(16, 16 + 1196)), true);
  assertEquals(await severities(withSignatures(changed), [signers.rsa3072.publicKey]), [
    "error",
    "warning",
  ]);
});

Deno.test("what makes the firmware give up makes every signature bad", async () => {
  const p256 = (await signatureOf("ecdsa256")).data;
  const p192 = (await signatureOf("ecdsa192")).data;
  const p384 = (await signatureOf("ecdsa384")).data;
  const rsa = (await signatureOf("rsa3072")).data;
  const cases: readonly (readonly [string, readonly Uint8Array[], readonly string[]])[] = [
    ["version of the second", [p256, p256.with(0, 2)], ["error", "error"]],
    ["an unknown curve", [p256.with(16, 9)], ["error"]],
    ["an unknown curve second", [p256, p256.with(16, 9)], ["error", "error"]],
    ["cut", [p256.subarray(0, -1)], ["error"]],
    ["empty", [new Uint8Array()], ["error"]],
    ["P-384 after P-256", [p256, p384], ["error", "error"]],
    ["P-256 after P-384", [p384, p256], ["warning"]],
    ["P-256 after P-192", [p192, p256], ["warning"]],
    ["RSA after P-256", [p256, rsa], ["error", "error"]],
    ["P-256 after RSA", [rsa, p256], ["warning"]],
  ];
  for (const [name, values, expected] of cases) {
    assertEquals(await severities(withSignatures(...values)), expected, name);
  }
  const bad = withSignatures(p256, p256);
  bad[IMAGE.length + 12 + 20]! ^= 1;
  assertEquals(await severities(bad), ["error", "error"], "checksum of the first");
});

Deno.test("every cut of a signature entry is refused", async () => {
  for (const algorithm of Object.keys(signers) as SignatureAlgorithm[]) {
    const { data } = await signatureOf(algorithm);
    assertEquals(readSignature(data).key.algorithm, algorithm);
    for (let length = 0; length < data.length; length += 5) {
      await assertRejects(
        () => Promise.try(() => readSignature(data.subarray(0, length))),
        SecureCertError,
      );
    }
  }
});

Deno.test("golden images of every scheme are good", async () => {
  for (const algorithm of Object.keys(signers)) {
    assertEquals(await severities(vector(`sign_${algorithm}.bin`)), [], algorithm);
  }
});

sharedTest("verify finds a bad signature exactly where the firmware refuses", async () => {
  const cases = sharedCases("sign", "corrupt")
    .filter(({ name }) => /^(sign|corrupt_sig|corrupt_rsa|corrupt_p384)_/.test(name));
  for (const { name } of cases) {
    const { signature } = JSON.parse(sharedText(`generated/${name}/creader.json`));
    const accepted = Object.values(signature as Record<string, { ret: string }>)
      .some(({ ret }) => ret === "ESP_OK");
    const image = shared(`generated/${name}/expected.bin`);
    const isUnsigned = (await verifySignatures(image)).length === 0;
    const isGood = !(await severities(image)).includes("error") && !isUnsigned;
    assertEquals(isGood, accepted, name);
  }
});

sharedTest("fields that the firmware does not compare are warned of", async () => {
  for (
    const name of ["corrupt_rsa_image_digest", "corrupt_rsa_mprime", "corrupt_sig_length_field"]
  ) {
    assertEquals(await severities(shared(`generated/${name}/expected.bin`)), ["warning"], name);
  }
});
