import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { crc32 } from "../../lib/bytes/crc32.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat, viewOf } from "../../lib/bytes/pack.ts";
import { parsePem } from "../../lib/bytes/pem.ts";
import { createSigner, rawSignature, type Signer } from "../../lib/crypto/signature.ts";
import { exportPrivateKey, generateKey, importPrivateKey, type PrivateKey } from "../../mod.ts";
import { attachSignatures, signingDigest, signPartition } from "../../lib/toolkit/sign.ts";
import { verifySignatures } from "../../lib/verify/signatures.ts";
import { decodePartition, encodePartition, walkPartition } from "../../lib/format/partition.ts";
import {
  decodeSignatureEntry,
  encodeSignatureEntry,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
} from "../../lib/format/signature_block.ts";
import { encodeTlv, TLV_CRC_SEED } from "../../lib/format/tlv.ts";
import {
  openssl,
  opensslTest,
  shared,
  sharedCases,
  sharedTest,
  sharedText,
  vector,
} from "../vectors.ts";
import { rsaKey } from "../rsa_keys.ts";

const SEED = 20261127;
const ALGORITHMS = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
const ENTRY = { type: 51, data: new Uint8Array([7, 8, 9]) };
const IMAGE = encodePartition([ENTRY], { integrity: true });

const signers = new Map<string, Promise<Signer>>();
/** A signer with a key of its own, made once for each name. */
function signer(algorithm: SignatureAlgorithm, number = 0): Promise<Signer> {
  const name = `${algorithm}.${number}`;
  const made = signers.get(name) ?? makeKey(algorithm, number).then(createSigner);
  signers.set(name, made);
  return made;
}

/** A private key, another for each number. */
function makeKey(algorithm: SignatureAlgorithm, number = 0): Promise<PrivateKey> {
  if (algorithm === "rsa3072") return rsaKey(3072, number + 1);
  const curves = { ecdsa192: "P-192", ecdsa256: "P-256", ecdsa384: "P-384" } as const;
  return generateKey({ curve: curves[algorithm] });
}

const oks = async (image: Uint8Array) => (await verifySignatures(image)).map(({ ok }) => ok);

for (const algorithm of ALGORITHMS) {
  Deno.test(`${algorithm}: what one to three keys sign verifies`, async () => {
    const all = await Promise.all([0, 1, 2].map((number) => signer(algorithm, number)));
    for (let count = 1; count <= 3; count++) {
      const signed = await signPartition(IMAGE, all.slice(0, count));
      assertEquals(signed.length % 16, 0);
      assertEquals(signed.subarray(0, IMAGE.length), new Uint8Array(IMAGE));
      const { entries, used } = decodePartition(signed);
      assertEquals(used, signed.length);
      assertEquals(
        entries.slice(2).map(({ type, subtype }) => [type, subtype]),
        [0, 1, 2].slice(0, count).map((subtype) => [8, subtype]),
      );
      const results = await verifySignatures(signed);
      for (const [at, result] of results.entries()) {
        const { entry, subtype, signedLength, ok, remarks } = result;
        assertEquals(
          { entry, subtype, signedLength, ok, remarks },
          { entry: 2 + at, subtype: at, signedLength: IMAGE.length, ok: true, remarks: [] },
        );
        assertEquals(result.algorithm, algorithm);
      }
      assertEquals(results.length, count);
    }
  });

  Deno.test(`${algorithm}: golden signatures verify, and only against their key`, async () => {
    const image = vector(`sign_${algorithm}.bin`);
    const results = await verifySignatures(image);
    assert(results.length >= 1);
    for (const { ok, remarks } of results) assertEquals([ok, remarks], [true, []]);
    const signingKeys = [(await signer(algorithm)).publicKey];
    for (const { ok, trusted, problem } of await verifySignatures(image, { signingKeys })) {
      assertEquals([ok, trusted, problem], [false, false, "the key is not a trusted one"]);
    }
  });

  Deno.test(`${algorithm}: no changed bit goes unnoticed`, async () => {
    const image = vector(`sign_${algorithm}.bin`);
    const { entries } = walkPartition(image);
    const first = entries.find(({ value }) => value.type === 8)!;
    const end = first.offset + first.size;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.integer({ min: 0, max: first.offset - 1 }),
          fc.integer({ min: first.offset + 12, max: end - 5 }),
          fc.integer({ min: first.offset + 12, max: first.offset + 12 + 60 }),
        ),
        fc.integer({ min: 0, max: 7 }),
        fc.boolean(),
        async (at, bit, fixed) => {
          const changed = new Uint8Array(image);
          changed[at]! ^= 1 << bit;
          if (fixed) fixChecksums(changed, first.offset, first.size, algorithm === "rsa3072");
          const result = (await verifySignatures(changed)).find(({ subtype }) => subtype === 0);
          const padding = at >= first.offset + 12 + first.value.data.length;
          assert(!result?.ok || result.remarks.length > 0 || (padding && fixed), `byte ${at}`);
        },
      ),
      { seed: SEED, numRuns: 250 },
    );
  });
}

function fixChecksums(image: Uint8Array, offset: number, size: number, rsa: boolean): void {
  const block = image.subarray(offset + 28, offset + 28 + 1216);
  if (rsa) viewOf(block).setUint32(1196, crc32(block.subarray(0, 1196)), true);
  const end = offset + size - 4;
  viewOf(image).setUint32(end, crc32(image.subarray(offset, end), TLV_CRC_SEED), true);
}

Deno.test("an erased tail keeps the image's length as long as it can", async () => {
  const key = await signer("ecdsa256");
  const cases = [[0x2000, 0x2000], [IMAGE.length, IMAGE.length + 176], [
    IMAGE.length + 16,
    IMAGE.length + 176,
  ], [301, 304]] as const;
  for (const [length, expected] of cases) {
    const padded = new Uint8Array(length).fill(0xFF);
    padded.set(IMAGE);
    const signed = await signPartition(padded, [key]);
    assertEquals(signed.length, expected);
    assertEquals(await oks(signed), [true]);
    assertEquals(decodePartition(signed).used, IMAGE.length + 176);
  }
});

Deno.test("images that cannot be signed are refused before anybody signs", async () => {
  const key: Signer = {
    publicKey: (await signer("ecdsa256")).publicKey,
    sign: () => Promise.reject(new Error("asked to sign")),
  };
  const signed = await signPartition(IMAGE, [await signer("ecdsa256")]);
  const big = encodePartition([{ type: 51, data: new Uint8Array(0x2000 - 32) }]);
  const wrongIntegrity = encodePartition([ENTRY, { type: 9, data: new Uint8Array(32) }]);
  const cases: [image: Uint8Array, code: string, size?: number][] = [
    [signed, "ERR_PLAN"],
    [new Uint8Array(), "ERR_PLAN"],
    [new Uint8Array(0x2000).fill(0xFF), "ERR_PLAN"],
    [IMAGE.with(12, 0), "ERR_CHECKSUM"],
    [concat(IMAGE, Uint8Array.of(0xFF, 0xFF, 0, 1)), "ERR_STRAY_BYTES"],
    [IMAGE.subarray(0, -1), "ERR_TRUNCATED"],
    [wrongIntegrity, "ERR_INTEGRITY"],
    [vector("nvs_full.bin"), "ERR_UNSUPPORTED"],
    [new Uint8Array(64), "ERR_MAGIC"],
    [big, "ERR_TOO_LARGE"],
    [IMAGE, "ERR_TOO_LARGE", IMAGE.length + 160],
    [concat(IMAGE, new Uint8Array(0x1000).fill(0xFF)), "ERR_TOO_LARGE", 0x1000],
  ];
  for (const [image, code, size] of cases) {
    const options = size === undefined ? {} : { size };
    const error = await assertRejects(() => signPartition(image, [key], options), SecureCertError);
    assertEquals(error.code, code);
  }
  await signPartition(big, [await signer("ecdsa256")], { size: 0x3000 });
});

Deno.test("what Espressif's tool leaves after the chain is removed before signing", async () => {
  const marked = concat(IMAGE, Uint8Array.of(0xFF, 0xFF, 0, 0));
  const signed = await signPartition(marked, [await signer("ecdsa256")]);
  assertEquals([signed.length % 16, await oks(signed)], [0, [true]]);
});

Deno.test("keys that cannot sign together are refused", async () => {
  const p256 = await signer("ecdsa256");
  const mixed = await assertRejects(
    async () => await signPartition(IMAGE, [p256, await signer("ecdsa384")]),
    SecureCertError,
    "ecdsa256 and ecdsa384 do not go together",
  );
  assertEquals(mixed.code, "ERR_KEY");
  for (const count of [0, 4]) {
    await assertRejects(() => signPartition(IMAGE, Array(count).fill(p256)), RangeError);
  }
  for (
    const key of [
      await rsaKey(2048),
      await generateKey({ curve: "P-521" }),
      await generateKey({ curve: "secp256k1" }),
    ]
  ) {
    const error = assertThrows(() => createSigner(key), SecureCertError, "signed with RSA-3072");
    assertEquals(error.code, "ERR_KEY");
  }
});

Deno.test("a malformed public key is refused", async () => {
  for (const algorithm of ALGORITHMS) {
    const { publicKey } = await signer(algorithm);
    for (let length = 0; length < publicKey.length; length += 7) {
      const signingKeys = [publicKey.slice(0, length)];
      const error = await assertRejects(
        () => verifySignatures(IMAGE, { signingKeys }),
        SecureCertError,
      );
      assert(["ERR_DER", "ERR_KEY", "ERR_UNSUPPORTED"].includes(error.code), error.code);
    }
  }
  const secret = await exportPrivateKey(await makeKey("ecdsa256"));
  const signingKeys = [secret];
  const error = await assertRejects(
    () => verifySignatures(IMAGE, { signingKeys }),
    SecureCertError,
  );
  const message = "Cannot decode public key: the file is a private key; take the public key out: " +
    "openssl pkey -in FILE -pubout -out public.pem";
  assertEquals([error.code, error.message], ["ERR_PEM", message]);
});

Deno.test("a signature made outside goes in, raw or as DER, when it is right", async () => {
  const { message, schemes } = await signingDigest(IMAGE);
  assertEquals(message, IMAGE);
  assertEquals(
    schemes.map(({ algorithm, hash, digest }) => [algorithm, hash, digest.length]),
    ALGORITHMS.map((name) => name === "ecdsa384" ? [name, "SHA-384", 48] : [name, "SHA-256", 32]),
  );
  for (const algorithm of ALGORITHMS) {
    const { publicKey, sign } = await signer(algorithm);
    const signature = rawSignature(algorithm, await sign(message))!;
    const forms = algorithm === "rsa3072" ? [signature] : [signature, toDer(signature)];
    for (const form of forms) {
      const signed = await attachSignatures(IMAGE, [{ publicKey, signature: form }]);
      assertEquals(await oks(signed), [true]);
    }
    const bad = [
      { publicKey, signature: signature.with(5, signature[5]! ^ 1) },
      { publicKey, signature: signature.subarray(1) },
      { publicKey, signature: new Uint8Array() },
      { publicKey, signature: await sign(message.with(0, 0)) },
      { publicKey: (await signer(algorithm, 1)).publicKey, signature },
    ];
    for (const each of bad) {
      const error = await assertRejects(() => attachSignatures(IMAGE, [each]), SecureCertError);
      assertEquals(error.code, "ERR_VERIFY");
    }
  }
});

/** Ecdsa-Sig-Value of r and s, by hand: the lengths here need one byte each. */
function toDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  const numbers = [signature.subarray(0, half), signature.subarray(half)].map((number) => {
    const first = number.findIndex((byte) => byte !== 0);
    const bytes = concat(new Uint8Array(number[first]! >= 0x80 ? 1 : 0), number.subarray(first));
    return concat(Uint8Array.of(2, bytes.length), bytes);
  });
  return concat(Uint8Array.of(0x30, concat(...numbers).length), ...numbers);
}

Deno.test("the order, number and place of signature entries are checked", async () => {
  const good = await signPartition(IMAGE, [await signer("ecdsa256"), await signer("ecdsa256", 1)]);
  const { entries } = decodePartition(good);
  const [user, integrity, zero, one] = entries as [
    never,
    never,
    typeof entries[0],
    typeof entries[0],
  ];
  const problemsOf = async (...chain: readonly (typeof entries[0])[]) =>
    (await verifySignatures(encodePartition(chain))).map(({ problem }) => problem ?? "");
  assertEquals(await problemsOf(user, integrity), []);
  assertEquals(await problemsOf(user, integrity, zero, one), ["", ""]);
  assertEquals(await problemsOf(user, integrity, one), ["there is none with subtype 0"]);
  assertEquals(await problemsOf(user, integrity, one, zero), [
    "the signature does not match",
    "the signature does not match",
  ]);
  assertEquals(await problemsOf(user, integrity, zero, zero), [
    "",
    "an earlier one has the same subtype",
  ]);
  assertEquals(await problemsOf(user, integrity, zero, { ...one, subtype: 3 }), [
    "",
    "the firmware looks only at subtypes 0 to 2",
  ]);
  assertEquals(await problemsOf(zero, user), ["nothing is signed"]);
});

Deno.test("what is not a key makes a bad signature and no exception", async () => {
  for (const algorithm of ALGORITHMS) {
    const { entries } = decodePartition(await signPartition(IMAGE, [await signer(algorithm)]));
    const entry = decodeSignatureEntry(entries[2]!.data);
    for (const fill of [0, 1, 2, 0xFF]) {
      const key = entry.key.algorithm === "rsa3072"
        ? { ...entry.key, n: new Uint8Array(384).fill(fill), e: fill }
        : { ...entry.key, x: entry.key.x.slice().fill(fill), y: entry.key.y.slice().fill(fill) };
      const data = encodeSignatureEntry({ ...entry, key });
      const image = concat(IMAGE, encodeTlv({ type: 8, data }));
      assertEquals(await oks(image), [false], `${algorithm} ${fill}`);
    }
  }
});

Deno.test("many signature entries cost no more than three", async () => {
  const signed = decodePartition(await signPartition(IMAGE, [await signer("ecdsa256")])).entries;
  const signature = signed.find(({ type }) => type === 8)!;
  const image = encodePartition([ENTRY, ...Array(300).fill(signature)], { size: 0xF000 });
  const { verify } = crypto.subtle;
  let count = 0;
  crypto.subtle.verify = function (...args: unknown[]) {
    count++;
    return Reflect.apply(verify, this, args);
  };
  try {
    assertEquals((await verifySignatures(image)).length, 300);
  } finally {
    crypto.subtle.verify = verify;
  }
  assert(count >= 1 && count <= 3, `${count} signatures were verified`);
});

sharedTest("golden signatures get the firmware's results", async () => {
  const cases = sharedCases("sign", "corrupt")
    .filter(({ name }) => /^(sign|corrupt_sig|corrupt_rsa|corrupt_p384)_/.test(name));
  assert(cases.length >= 25);
  for (const { name } of cases) {
    const { signature } = JSON.parse(sharedText(`generated/${name}/creader.json`));
    const accepted = Object.entries(signature as Record<string, { ret: string }>)
      .filter(([, { ret }]) => ret === "ESP_OK").map(([scheme]) => scheme);
    const results = await verifySignatures(shared(`generated/${name}/expected.bin`));
    const mine = results.filter(({ ok }) => ok).map(({ algorithm }) => algorithm);
    assertEquals([...new Set(mine)], accepted as never, name);
  }
});

sharedTest("golden signatures verify against the keys they were made with", async () => {
  for (const { name } of sharedCases("sign").filter((each) => !each.known_bad)) {
    const { keys, key_digests_sha256 } = JSON.parse(sharedText(`generated/${name}/verify.json`));
    const signingKeys = (keys as string[])
      .map((key) => parsePem(sharedText(`generated/inputs/${key}`))[0]!.bytes);
    const results = await verifySignatures(shared(`generated/${name}/expected.bin`), {
      signingKeys,
    });
    assertEquals(results.map(({ ok, trusted }) => ok && trusted), keys.map(() => true), name);
    assertEquals(results.map(({ keyDigest }) => keyDigest?.toHex()), key_digests_sha256, name);
  }
});

sharedTest("digests to sign are those of the reference", async () => {
  for (const { name } of sharedCases("sign").filter((each) => !each.known_bad)) {
    const { signed_sha256, signed_sha384 } = JSON.parse(
      sharedText(`generated/${name}/verify.json`),
    );
    const { schemes } = await signingDigest(shared(`generated/${name}/base.bin`));
    for (const { hash, digest } of schemes) {
      assertEquals(digest.toHex(), hash === "SHA-384" ? signed_sha384 : signed_sha256, name);
    }
  }
});

sharedTest("an image padded with 0xFF is signed in its chain", async () => {
  const base = shared("generated/sign_padded_lost/base.bin");
  const signed = await signPartition(base, [await signer("ecdsa256")]);
  assertEquals(signed.length, base.length);
  assertEquals(await oks(signed), [true]);
});

sharedTest("the published signed image verifies and its corrupted twin does not", async () => {
  const image = (name: string) => shared(`espressif/qemu_test/${name}/${name}.bin`);
  assertEquals(await oks(image("secure_verification")), [true, true, true]);
  const corrupt = await oks(image("secure_verification_corrupt"));
  assert(corrupt.length > 0);
  assertEquals(corrupt.includes(true), false);
});

opensslTest("openssl verifies what the signers sign, and they what openssl signs", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const algorithm of ALGORITHMS) {
      const { hash } = SIGNATURE_ALGORITHMS[algorithm];
      const curve = { rsa3072: "", ecdsa192: "P-192", ecdsa256: "P-256", ecdsa384: "P-384" };
      const kind = algorithm === "rsa3072"
        ? ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]
        : ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${curve[algorithm]}`];
      const [key, pub, sig, data] = ["key", "pub", "sig", "data"].map((name) =>
        `${folder}/${name}`
      );
      const pem = await openssl(["genpkey", ...kind]);
      await openssl(["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-out", key!], pem);
      await openssl(["pkey", "-inform", "DER", "-in", key!, "-pubout", "-out", pub!]);
      const { publicKey, sign } = createSigner(await importPrivateKey(await Deno.readFile(key!)));
      assertEquals(parsePem(await Deno.readTextFile(pub!))[0]!.bytes, new Uint8Array(publicKey));
      const signature = await sign(IMAGE);
      await Deno.writeFile(sig!, signature);
      await Deno.writeFile(data!, IMAGE);
      const pss = ["rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256"]
        .flatMap((option) => ["-sigopt", option]);
      const digest = [`-${hash.replace("-", "").toLowerCase()}`];
      if (algorithm === "rsa3072") digest.push(...pss);
      await openssl(["dgst", ...digest, "-verify", pub!, "-signature", sig!, data!]);
      const theirs = await openssl(["dgst", ...digest, "-keyform", "DER", "-sign", key!, data!]);
      const signed = await attachSignatures(IMAGE, [{ publicKey, signature: theirs }]);
      assertEquals(await oks(signed), [true], algorithm);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
