import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { parseHex } from "../../../lib/bytes/text.ts";
import {
  createDerivedKey,
  decryptEntry,
  deriveEcdsaKey,
  encryptEntry,
  hmacOfWord,
} from "../../../lib/crypto/peripherals/hmac.ts";
import { exportPrivateKey } from "../../../lib/crypto/keys/keys.ts";
import { walkPartition } from "../../../lib/format/partition.ts";
import type { StoredTlv } from "../../../lib/format/tlv.ts";
import { openssl, opensslTest, shared, sharedTest, sharedText, vector } from "../../vectors.ts";

const SEED = 20261124;
const HMAC_KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const ORDER = parseHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");

function entries(image: Uint8Array): readonly StoredTlv[] {
  return walkPartition(image).entries.map(({ value }) => value);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))).toHex();
}

/** 32 bytes, big-endian. */
function scalar(value: bigint): Uint8Array<ArrayBuffer> {
  return parseHex(value.toString(16).padStart(64, "0"));
}

async function refuses(code: string, run: () => Promise<unknown>): Promise<void> {
  assertEquals((await assertRejects(run, SecureCertError)).code as string, code);
}

Deno.test("an entry of the firmware's own writer decrypts and encrypts to itself", async () => {
  const stored = entries(vector("hardware_keys/hmac_encrypted.bin"))[1]!.data;
  const key = vector("hardware_keys/ecp256.sec1.der");
  assertEquals(await decryptEntry(stored, { hmacKey: HMAC_KEY }), key);
  assertEquals(await encryptEntry(key, { hmacKey: HMAC_KEY }), new Uint8Array(stored));
});

Deno.test("any value decrypts to itself and grows by the tag", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 500 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      async (data, hmacKey) => {
        const stored = await encryptEntry(data, { hmacKey });
        assertEquals(stored.length, data.length + 16);
        assertEquals(await decryptEntry(stored, { hmacKey }), new Uint8Array(data));
      },
    ),
    { seed: SEED },
  );
});

Deno.test("every truncation and every flipped bit is refused", async () => {
  const stored = await encryptEntry(new Uint8Array(20), { hmacKey: HMAC_KEY });
  for (let length = 0; length < stored.length; length++) {
    const cut = stored.subarray(0, length);
    await refuses(
      length < 16 ? "ERR_TRUNCATED" : "ERR_DECRYPT",
      () => decryptEntry(cut, { hmacKey: HMAC_KEY }),
    );
  }
  for (let bit = 0; bit < 8 * stored.length; bit++) {
    const flipped = stored.slice();
    flipped[bit >> 3]! ^= 1 << bit % 8;
    await refuses("ERR_DECRYPT", () => decryptEntry(flipped, { hmacKey: HMAC_KEY }));
    const hmacKey = HMAC_KEY.slice();
    hmacKey[bit >> 3 & 31]! ^= 1 << bit % 8;
    await refuses("ERR_DECRYPT", () => decryptEntry(stored, { hmacKey }));
  }
});

Deno.test("a key that is not 32 bytes is refused everywhere", async () => {
  for (const length of [0, 16, 31, 33, 48]) {
    const hmacKey = new Uint8Array(length);
    await refuses("ERR_LENGTH", () => encryptEntry(new Uint8Array(1), { hmacKey }));
    await refuses("ERR_LENGTH", () => decryptEntry(new Uint8Array(32), { hmacKey }));
    await refuses("ERR_LENGTH", () => deriveEcdsaKey(hmacKey, new Uint8Array(32)));
    await refuses("ERR_LENGTH", () => createDerivedKey({ hmacKey }));
    await refuses("ERR_LENGTH", () => hmacOfWord(hmacKey, 0));
  }
});

Deno.test("derived keys are those of the firmware's own writer", async () => {
  const [salt0, , salt1] = entries(vector("hardware_keys/hmac_derived.bin"));
  const key = await deriveEcdsaKey(HMAC_KEY, salt0!.data);
  assertEquals(key.sec1.length, 121);
  // As the C reader returned it for this image.
  assertEquals(
    await sha256(key.sec1),
    "fc19d81004255ad1f0deb4c18175f0e36f8b14bc2f5e3cd6aa1ad923f00ca8d5",
  );
  assertEquals(key.publicKey.slice(-65), key.sec1.slice(-65));
  assertEquals([key.key.curve, key.key.publicKey], ["P-256", key.publicKey]);
  assertEquals(exportPrivateKey(key.key, { encoding: "traditional", form: "der" }), key.sec1);
  assertNotEquals((await deriveEcdsaKey(HMAC_KEY, salt1!.data)).sec1, key.sec1);
});

Deno.test("a derived key pair signs and verifies", async () => {
  const key = await createDerivedKey({ hmacKey: HMAC_KEY });
  assertEquals(key.salt.length, 32);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const pkcs8 = exportPrivateKey(key.key, { form: "der" });
  const secret = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
  const open = await crypto.subtle.importKey("spki", key.publicKey, algorithm, false, ["verify"]);
  const message = new Uint8Array([1, 2, 3]);
  const signature = await crypto.subtle.sign(algorithm, secret, message);
  assert(await crypto.subtle.verify(algorithm, open, signature, message));
});

/** Runs with a WebCrypto that derives these scalars, one after the other. */
async function derivingScalars<T>(
  scalars: Iterable<Uint8Array<ArrayBuffer>>,
  run: () => Promise<T>,
): Promise<T> {
  const { subtle } = crypto;
  const own = subtle.deriveBits;
  const next = scalars[Symbol.iterator]();
  subtle.deriveBits = () => Promise.resolve(next.next().value.slice().buffer);
  try {
    return await run();
  } finally {
    subtle.deriveBits = own;
  }
}

Deno.test("scalars are valid from 2 to n - 1", async () => {
  const n = BigInt(`0x${ORDER.toHex()}`);
  const derive = (value: bigint) =>
    derivingScalars([scalar(value)], () => deriveEcdsaKey(HMAC_KEY, new Uint8Array(32)));
  for (const value of [0n, 1n, n, n + 1n, 2n ** 256n - 1n]) {
    await refuses("ERR_KEY", () => derive(value));
  }
  // 2G of P-256.
  assertEquals(
    (await derive(2n)).publicKey.slice(-65).toHex(),
    "047cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978" +
      "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1",
  );
  // -G has the x of G.
  assertEquals(
    (await derive(n - 1n)).publicKey.slice(-64, -32).toHex(),
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
  );
});

Deno.test("createDerivedKey draws salts until one gives a key, at most 30", async () => {
  let drawn = 0;
  const random = (length: number) => new Uint8Array(length).fill(++drawn);
  const options = { hmacKey: HMAC_KEY, random };
  const late = [...Array(29).fill(ORDER), scalar(2n)];
  const key = await derivingScalars(late, () => createDerivedKey(options));
  assertEquals([drawn, key.salt], [30, new Uint8Array(32).fill(30)]);
  assertEquals(key.sec1.slice(7, 39), scalar(2n));
  drawn = 0;
  const never = Array(100).fill(ORDER);
  await refuses("ERR_KEY", () => derivingScalars(never, () => createDerivedKey(options)));
  assertEquals(drawn, 30);
  await assertRejects(
    () => createDerivedKey({ hmacKey: HMAC_KEY, random: () => new Uint8Array(3) }),
    RangeError,
  );
});

opensslTest("openssl derives the same scalar and accepts both keys", async () => {
  for (const salt of ["c0ffee", "11".repeat(32), "ab".repeat(100)]) {
    const options = [
      "hexpass:" + HMAC_KEY.toHex(),
      "hexsalt:" + salt,
      "iter:2048",
      "digest:SHA256",
    ];
    const expected = await openssl(
      [
        "kdf",
        "-keylen",
        "32",
        "-binary",
        ...options.flatMap((each) => ["-kdfopt", each]),
        "PBKDF2",
      ],
    );
    const key = await deriveEcdsaKey(HMAC_KEY, parseHex(salt));
    assertEquals(key.sec1.slice(7, 39), new Uint8Array(expected));
    const args = ["-inform", "DER", "-outform", "DER"];
    assertEquals(await openssl(["ec", ...args], key.sec1), key.sec1);
    assertEquals(await openssl(["ec", ...args, "-pubout"], key.sec1), key.publicKey);
    await openssl(["pkey", "-inform", "DER", "-check", "-noout"], key.sec1);
  }
});

Deno.test("an empty salt works, as on the device", async () => {
  assertEquals((await deriveEcdsaKey(HMAC_KEY, new Uint8Array())).sec1.length, 121);
});

/** What the C reader returned, entry by entry. */
interface Reader {
  readonly list?: {
    readonly entries?: readonly {
      readonly ret: string;
      readonly sha256?: string;
    }[];
  };
}

sharedTest("encrypted entries read as the firmware's reader 2.6.1 reads them", async () => {
  let read = 0;
  for (
    const [name, key] of [
      ["cw_hmacenc_key"],
      ["cw_hmacenc_len_17"],
      ["cw_hmacenc_len_121"],
      ["cw_hmacenc_two_same_iv"],
      ["cw_hmacenc_block3"],
      ["corrupt_hmac_tampered"],
      ["corrupt_hmac_tag_tampered"],
      ["corrupt_hmac_short15"],
      ["corrupt_hmac_wrong_key", "hmac_key_alt.bin"],
    ] as const
  ) {
    const hmacKey = key === undefined ? HMAC_KEY : shared(`generated/inputs/${key}`);
    const creader = JSON.parse(sharedText(`generated/${name}/creader.json`));
    const { list } = creader["v2.6.1_build"] as Reader;
    for (const [index, entry] of entries(shared(`generated/${name}/expected.bin`)).entries()) {
      if ((entry.flags & 0xC0) !== 0x80) continue;
      const said = list!.entries![index]!;
      if (said.ret !== "ESP_OK") {
        await assertRejects(() => decryptEntry(entry.data, { hmacKey }), SecureCertError);
        continue;
      }
      const value = await decryptEntry(entry.data, { hmacKey });
      assertEquals(await sha256(value), said.sha256, name);
      assertEquals(await encryptEntry(value, { hmacKey }), new Uint8Array(entry.data), name);
      read++;
    }
  }
  assertEquals(read, 6);
});

sharedTest("derived keys read as the firmware's reader reads them", async () => {
  let read = 0;
  for (
    const name of ["cw_ecdsa_derive_c0x32", "cw_ecdsa_derive_sub1", "corrupt_flags_48"]
  ) {
    const { list } = JSON.parse(sharedText(`generated/${name}/creader.json`)).reader as Reader;
    const chain = entries(shared(`generated/${name}/expected.bin`));
    for (const [index, entry] of chain.entries()) {
      if ((entry.flags & 0xC0) !== 0x40) continue;
      const salt = chain.find(({ type, subtype }) => type === 5 && subtype === entry.subtype)!;
      const { sec1 } = await deriveEcdsaKey(HMAC_KEY, salt.data);
      assertEquals(await sha256(sec1), list!.entries![index]!.sha256, name);
      read++;
    }
  }
  assertEquals(read, 4);
});
