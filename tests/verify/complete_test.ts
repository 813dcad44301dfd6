/** What could not be checked is said, with the flag that would check it. */
import { assertEquals } from "@std/assert";
import { createSigner } from "../../lib/crypto/signature.ts";
import {
  convert,
  createDevelopmentCa,
  decodePartition,
  encodePartition,
  generateKey,
  provision,
  signPartition,
  verify,
} from "../../mod.ts";
import { vector } from "../vectors.ts";

const issuer = await createDevelopmentCa();
const make = (options: Partial<Parameters<typeof provision>[0]>) =>
  provision({ issuer, subject: "CN=d", ...options });
const hmacKey = crypto.getRandomValues(new Uint8Array(32));

async function missing(
  image: Uint8Array,
  options?: Parameters<typeof verify>[1],
): Promise<string[]> {
  const { complete, unchecked = [], ok } = await verify(image, options);
  assertEquals([ok, complete], [true, unchecked.length === 0]);
  return unchecked.map(({ flag }) => flag ?? "");
}

Deno.test("a plaintext image needs neither chip nor key", async () => {
  const { image, verdict } = await make({});
  assertEquals([verdict.complete, await missing(image)], [true, []]);
  for (const to of ["cust_flash", "nvs"] as const) {
    assertEquals((await convert(image, { to })).verdict.complete, true, to);
  }
});

Deno.test("a key in a peripheral needs the chip, and those of an HMAC mode their key", async () => {
  const cases = [
    ["rsa-ds", "esp32s3", ["hmac-key", "chip"]],
    ["hmac-encrypted", "esp32c3", ["hmac-key"]],
    ["hmac-derived", "esp32c3", ["hmac-key"]],
    ["ecdsa-peripheral", "esp32h2", ["chip"]],
  ] as const;
  for (const [keyMode, chip, flags] of cases) {
    const isHmac = keyMode !== "ecdsa-peripheral";
    const { image, verdict } = await make({ keyMode, chip, ...isHmac && { hmacKey } });
    assertEquals(verdict.complete, true, `${keyMode}: what made it knows chip and key`);
    assertEquals(await missing(image), [...flags], keyMode);
    assertEquals(await missing(image, { chip }), flags.filter((flag) => flag !== "chip"), keyMode);
    assertEquals(await missing(image, isHmac ? { chip, hmacKey } : { chip }), [], keyMode);
  }
});

Deno.test("a signed image needs the keys that may have signed it", async () => {
  const { image } = await make({});
  const key = await generateKey();
  const signed = await signPartition(image, [createSigner(key)]);
  assertEquals(await missing(signed), ["signing-key"]);
  assertEquals(await missing(signed, { signingKeys: [key.publicKey] }), []);
});

Deno.test("a chain that cannot be checked is named, and no flag would check it", async () => {
  const image = encodePartition([
    { type: 0, data: pemAt(0) },
    { type: 1, data: pemAt(1) },
  ]);
  const { complete, unchecked, findings } = await verify(image);
  assertEquals([complete, unchecked], [false, [{ what: "certificate chain" }]]);
  const chain = findings.filter(({ code }) => code.startsWith("CHAIN"));
  assertEquals(chain.map(({ code, severity }) => [code, severity]), [[
    "CHAIN_UNCHECKED",
    "warning",
  ]]);
});

/** One of the certificates of a CA whose kind of key is not known, as a value. */
function pemAt(index: number): Uint8Array {
  const text = new TextDecoder().decode(vector("chains/RSA-4104.pem"));
  const blocks = text.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g)!;
  return new TextEncoder().encode(`${blocks[index]}\0`);
}

Deno.test("an entry that is encrypted is unchecked without its key", async () => {
  const { image } = await make({});
  const entries = decodePartition(image).entries.slice(0, -1);
  const data = new Uint8Array(40);
  const changed = encodePartition([...entries, { type: 51, flags: 0x80, data }]);
  const { complete, unchecked } = await verify(changed);
  assertEquals([complete, unchecked], [false, [{
    what: "HMAC-encrypted entries",
    flag: "hmac-key",
  }]]);
});

Deno.test("what is no image has no check that was left out", async () => {
  assertEquals((await verify(new Uint8Array(9))).complete, true);
});
