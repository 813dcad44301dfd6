import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { concat } from "../../lib/bytes/pack.ts";
import { integrityEntry } from "../../lib/format/partition.ts";
import {
  append,
  createDevelopmentCa,
  decodePartition,
  encodePartition,
  generateKey,
  issueCertificate,
  provision,
  SecureCertError,
  signPartition,
  type Tlv,
  verify,
  verifySignatures,
} from "../../mod.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { shared, sharedCases, sharedTest } from "../vectors.ts";

type AppendOptions = Parameters<typeof append>[1];

const MARKER = Uint8Array.of(0xFF, 0xFF, 0, 0);
const ONE = { type: 51, data: new Uint8Array([1, 2, 3]) };
const TWO = { type: 52, data: new Uint8Array(40).fill(7) };
const IMAGE = encodePartition([ONE], { integrity: true });

const types = (image: Uint8Array) =>
  decodePartition(image).entries.map(({ type, subtype }) => `${type}.${subtype}`).join(" ");

const appended = async (image: Uint8Array, options: AppendOptions) =>
  (await append(image, options)).image;

async function refusal(image: Uint8Array, options: AppendOptions): Promise<SecureCertError> {
  return await assertRejects(() => append(image, options), SecureCertError);
}

/** Whether the last integrity entry covers all before it, as the firmware checks it. */
async function isWhole(image: Uint8Array): Promise<boolean> {
  const { findings } = await verify(image);
  return !findings.some(({ code }) => code === "BAD_INTEGRITY");
}

Deno.test("entries are added before the integrity entry, which is rebuilt", async () => {
  const image = await appended(IMAGE, { entries: [TWO, { ...TWO, subtype: 1 }] });
  assertEquals([types(image), await isWhole(image)], ["51.0 52.0 52.1 9.0", true]);
  const both = await appended(IMAGE, { entries: [TWO], integrity: true });
  assertEquals(both, await appended(IMAGE, { entries: [TWO] }));
  const bare = encodePartition([ONE]);
  assertEquals(types(await appended(bare, { entries: [TWO] })), "51.0 52.0");
  assertEquals(
    await appended(bare, { entries: [TWO], integrity: true }),
    encodePartition([ONE, TWO], { integrity: true }),
  );
});

Deno.test("a further integrity entry is numbered on", async () => {
  const twice = await appended(IMAGE, { integrity: true });
  assertEquals([types(twice), await isWhole(twice)], ["51.0 9.0 9.1", true]);
  const more = await appended(twice, { entries: [TWO] });
  assertEquals([types(more), await isWhole(more)], ["51.0 52.0 9.0 9.1", true]);
});

Deno.test("an erased tail keeps the length of the image as long as it can", async () => {
  const flash = concat(IMAGE, new Uint8Array(0x1000 - IMAGE.length).fill(0xFF));
  const image = await appended(flash, { entries: [TWO] });
  assertEquals([image.length, types(image)], [0x1000, "51.0 52.0 9.0"]);
  const erased = await appended(new Uint8Array(0x1000).fill(0xFF), { entries: [TWO] });
  assertEquals([erased.length, types(erased)], [0x1000, "52.0"]);
  const odd = await appended(concat(IMAGE, Uint8Array.of(0xFF)), { entries: [TWO] });
  assertEquals(odd.length % 16, 0);
  const large = { ...TWO, data: new Uint8Array(0x1000) };
  assertEquals((await refusal(flash, { entries: [large], size: 0x1000 })).code, "ERR_TOO_LARGE");
  assertEquals((await refusal(flash, { entries: [TWO], size: 0x800 })).code, "ERR_TOO_LARGE");
  assertEquals((await appended(flash, { entries: [large] })).length, 0x1060);
});

Deno.test("an entry takes the place of another, and the rest stays", async () => {
  const image = encodePartition([ONE, TWO, { ...ONE, subtype: 1 }], { integrity: true });
  const changed = await appended(image, { replace: [{ ...TWO, data: new Uint8Array(3) }] });
  assertEquals([types(changed), await isWhole(changed)], ["51.0 52.0 51.1 9.0", true]);
  assertEquals(decodePartition(changed).entries[1]?.data, new Uint8Array(3));
  const missing = await refusal(image, { replace: [{ ...TWO, subtype: 5 }] });
  assertEquals([missing.code, missing.message], [
    "ERR_NOT_FOUND",
    "Cannot append: there is no user data 2 with subtype 5 to replace",
  ]);
});

Deno.test("what is there already, malformed or reserved is refused", async () => {
  const cases: readonly (readonly [AppendOptions, string])[] = [
    [{ entries: [ONE] }, "there is a user data 1 already (entry 0)"],
    [{ entries: [TWO, TWO] }, "a second one"],
    [{ entries: [{ type: 1, data: new Uint8Array(3) }] }, "device certificate: "],
    [{ entries: [{ type: 254, data: new Uint8Array(3) }] }, "query value"],
    [{ replace: [ONE, ONE] }, "a second one"],
  ];
  for (const [options, text] of cases) {
    const { code, message } = await refusal(IMAGE, options);
    assertEquals([code, message.includes(text)], ["ERR_PLAN", true], message);
  }
  await assertRejects(() => append(IMAGE, {}), TypeError);
});

Deno.test("a damaged image is refused, because a new hash would hide it", async () => {
  const options = { integrity: true };
  const wrong = encodePartition([ONE, integrityEntry(new Uint8Array(1))]);
  const early = encodePartition([integrityEntry(ONE.data), ONE], { integrity: true });
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [IMAGE.with(12, 9), "ERR_CHECKSUM"],
    [wrong, "ERR_INTEGRITY"],
    [early, "ERR_INTEGRITY"],
    [IMAGE.subarray(0, -3), "ERR_TRUNCATED"],
    [new Uint8Array(100), "ERR_MAGIC"],
  ];
  for (const [image, code] of cases) assertEquals((await refusal(image, options)).code, code);
});

Deno.test("only an integrity entry may follow a signature", async () => {
  const signers = [createSigner(await generateKey())];
  const signed = await signPartition(IMAGE, signers);
  for (const options of [{ entries: [TWO] }, { replace: [ONE] }]) {
    const { code, message } = await refusal(signed, options);
    assertEquals(code, "ERR_PLAN");
    assertEquals(message.includes("the signature would not cover what is added"), true, message);
  }
  const closed = await appended(signed, { integrity: true });
  assertEquals([types(closed), await isWhole(closed)], ["51.0 9.0 8.0 9.1", true]);
  assertEquals((await verifySignatures(closed)).map(({ ok }) => ok), [true]);
  const dropped = await appended(closed, { entries: [TWO], dropSignatures: true });
  assertEquals([types(dropped), await isWhole(dropped)], ["51.0 52.0 9.0 9.1", true]);
  assertEquals(await appended(signed, { dropSignatures: true }), IMAGE);
  assertEquals((await verify(await signPartition(dropped, signers))).ok, true);
});

Deno.test("a certificate is replaced, and one that does not fit the key is withheld", async () => {
  const issuer = await createDevelopmentCa();
  const past = () => new Date("2020-01-01");
  const device = await provision({
    issuer,
    subject: "CN=d",
    days: 30,
    now: past,
    verify: false,
  });
  const renew = async (publicKey: Uint8Array) => {
    const certificate = await issueCertificate({ issuer, publicKey, subject: "CN=d" });
    return new TextEncoder().encode(certificate.pem);
  };
  assertEquals(device.verdict.ok, false);
  const good = await append(device.image, {
    replace: [{ type: 1, data: await renew(device.key.publicKey) }],
  });
  assertEquals(good.verdict.ok, true);
  const wrong = { replace: [{ type: 1, data: await renew((await generateKey()).publicKey) }] };
  const error = await refusal(device.image, wrong);
  assertEquals([error.code, error.message.includes("KEY_MISMATCH")], ["ERR_VERIFY", true]);
  assertEquals(error.verdict?.findings.some(({ severity }) => severity === "error"), true);
  assertEquals((await append(device.image, { ...wrong, verify: false })).verdict.ok, false);
  // What was wrong before does not matter.
  const added = await append(device.image, { entries: [TWO] });
  assertEquals(added.verdict.ok, false);
});

Deno.test("what was added and what was there can be read again", async () => {
  const entry = fc.record({
    type: fc.integer({ min: 51, max: 55 }),
    subtype: fc.integer({ min: 0, max: 253 }),
    data: fc.uint8Array({ maxLength: 80 }),
  });
  const lists = fc.uniqueArray(entry, {
    selector: ({ type, subtype }) => type << 8 | subtype,
    minLength: 1,
    maxLength: 12,
  });
  const property = fc.asyncProperty(lists, fc.nat(), fc.boolean(), async (all, cut, integrity) => {
    const at = cut % all.length;
    const before = encodePartition(all.slice(0, at), { integrity });
    const { entries } = decodePartition(await appended(before, { entries: all.slice(at) }));
    const found: Tlv[] = entries.filter(({ type }) => type !== 9)
      .map(({ type, subtype, flags, data }) => ({ type, subtype, flags, data }));
    const expected: Tlv[] = all.map((each) => ({ ...each, flags: 0 }));
    assertEquals(found, expected);
    assertEquals(entries.length - found.length, integrity ? 1 : 0);
  });
  await fc.assert(property, { seed: 20261124, numRuns: 100 });
});

sharedTest(
  "integrity entries are those of the reference, without the bytes after them",
  async () => {
    const cases = sharedCases("integrity").filter((each) => !each.known_bad && !each.expect_error);
    assertEquals(cases.length >= 3, true);
    for (const { name } of cases) {
      const expected = shared(`generated/${name}/expected.bin`);
      assertEquals(expected.subarray(-4), MARKER, name);
      const wanted = decodePartition(expected.subarray(0, -4)).entries.length;
      let image = shared(`generated/${name}/x.bin`);
      while (decodePartition(image).entries.length < wanted) {
        image = await appended(image, { integrity: true });
      }
      assertEquals(image, expected.subarray(0, -4), name);
    }
    const bad = shared("generated/integ_over_bad_crc/x.bin");
    assertEquals((await refusal(bad, { integrity: true })).code, "ERR_CHECKSUM");
  },
);

sharedTest("entries are added as the firmware's own writer adds them", async () => {
  const entries = [{ type: 52, data: new Uint8Array([0x77]) }];
  // The writer works on a flash of 0x2000 bytes.
  const input = (name: string) => {
    const chain = shared(`generated/${name}/in.bin`);
    return concat(chain, new Uint8Array(0x2000 - chain.length).fill(0xFF));
  };
  assertEquals(
    await appended(input("cw_flash_append"), { entries }),
    shared("generated/cw_flash_append/expected.bin"),
  );
  const again = { entries: [{ ...entries[0]!, type: 51 }] };
  assertEquals((await refusal(input("cw_flash_dup"), again)).code, "ERR_PLAN");
});

sharedTest("what Espressif's tool leaves after a chain is removed", async () => {
  const marked = shared("generated/integ_fresh/expected.bin");
  const image = await appended(marked, { entries: [TWO] });
  const { findings } = await verify(image);
  assertEquals(findings.some(({ code }) => ["STRAY_BYTES", "NOT_ALIGNED"].includes(code)), false);
});
