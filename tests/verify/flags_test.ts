/** Flags of a private key on other entries: what the firmware makes of them, and what is said of it. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  createDevelopmentCa,
  decodePartition,
  deriveEcdsaKey,
  encodePartition,
  encryptEntry,
  type Finding,
  inspect,
  openSecureCert,
  provision,
  type SecureCert,
  SecureCertError,
  signPartition,
  type Tlv,
  verify,
} from "../../mod.ts";
import { formatHex, parseHex } from "../../lib/bytes/text.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { generateKey } from "../../lib/crypto/keys/keys.ts";
import { digest } from "../../lib/crypto/signing.ts";
import { vector } from "../vectors.ts";

const hmacKey = new Uint8Array(32).map((_, at) => at + 1);
const otherKey = new Uint8Array(32).fill(9);
const issuer = await createDevelopmentCa();
const plain = await provision({ issuer, subject: "CN=d" });
const ds = await provision({
  issuer,
  subject: "CN=d",
  keyMode: "rsa-ds",
  chip: "esp32c3",
  hmacKey,
});
const entriesOf = (image: Uint8Array): Tlv[] =>
  decodePartition(image).entries.map(({ type, subtype, flags, data }) => ({
    type,
    subtype,
    flags,
    data,
  })).filter(({ type }) => type !== 9);
const [ca, dev, key] = entriesOf(plain.image) as [Tlv, Tlv, Tlv];
const dsEntries = entriesOf(ds.image);
const salt: Tlv = { type: 5, data: new Uint8Array(32).fill(7) };
const user: Tlv = { type: 51, data: new Uint8Array(40).fill(3) };

const of = (...entries: readonly Tlv[]) => encodePartition(entries, { integrity: true });
const misread = ({ findings }: { readonly findings: readonly Finding[] }) =>
  findings.filter(({ code }) => code === "FLAGS_MISREAD");
const encrypted = async (entry: Tlv, flags = 0x80): Promise<Tlv> => ({
  ...entry,
  flags,
  data: await encryptEntry(entry.data, { hmacKey }),
});
const bytes = (value: Uint8Array) => new Uint8Array(value);

interface FlagCase {
  readonly name: string;
  readonly hmacKey: string;
  readonly reader: {
    readonly reset: boolean;
    readonly overrun: boolean;
    readonly getters: Record<string, string | { readonly sha256?: string; readonly err?: unknown }>;
  };
}

Deno.test("the measured images are right where the reader got everything out of them", async () => {
  const cases = JSON.parse(new TextDecoder().decode(vector("flags/reader.json"))) as FlagCase[];
  assertEquals(cases.length, 9);
  for (const { name, hmacKey, reader: { reset, overrun, getters } } of cases) {
    const image = vector(`flags/${name}.bin`);
    const options = { hmacKey: parseHex(hmacKey) };
    const failed = Object.values(getters).some((each) =>
      typeof each === "object" && each.err !== undefined
    );
    const isBad = reset || overrun || failed;
    const verdict = await verify(image, { ...options, allowWeak: true });
    assertEquals(misread(verdict).length, isBad ? 1 : 0, name);
    assertEquals(
      (await inspect(image, options)).findings.some(({ code }) => code === "FLAGS_MISREAD"),
      isBad,
    );
    const device = openSecureCert(image, options);
    const get: Record<string, () => Promise<Uint8Array>> = {
      dev: device.deviceCert,
      ca: device.caCert,
      key: device.privateKey,
      ds: async () => (await device.dsContext()).dsData,
    };
    for (const [getter, theirs] of Object.entries(getters)) {
      const wanted = typeof theirs === "string" || theirs.err === undefined;
      if (!wanted) {
        await assertRejects(() => get[getter]!(), SecureCertError, undefined, `${name} ${getter}`);
        continue;
      }
      const sha256 = formatHex(await digest("SHA-256", await get[getter]!()));
      if (typeof theirs === "object") assertEquals(sha256, theirs.sha256, `${name} ${getter}`);
    }
  }
  for (const [name, getter] of [["flag_ca_40", "caCert"], ["flag_ca_48", "caCert"]] as const) {
    const device = openSecureCert(vector(`flags/${name}.bin`), { hmacKey });
    await assertRejects(() => device[getter](), SecureCertError, "the chip resets");
  }
  const dsData = openSecureCert(vector("flags/flag_dsdata_40.bin"), { hmacKey });
  await assertRejects(() => dsData.dsContext(), SecureCertError, "the chip resets");
});

/** An entry of each type beside the private key, in an image that is right without the flags. */
const SUBJECTS: readonly { readonly entry: Tlv; readonly rest: readonly Tlv[] }[] = [
  { entry: ca, rest: [dev, key] },
  { entry: dev, rest: [ca, key] },
  ...dsEntries.filter(({ type }) => type === 3 || type === 4).map((entry) => ({
    entry,
    rest: dsEntries.filter((each) => each !== entry),
  })),
  { entry: { type: 6, data: new Uint8Array(40).fill(4, 0, 1) }, rest: [ca, dev, key] },
  { entry: { type: 7, data: new Uint8Array(20).fill(65) }, rest: [ca, dev, key] },
  { entry: salt, rest: [ca, dev, key] },
  { entry: user, rest: [ca, dev, key] },
  { entry: { ...user, type: 55, subtype: 3 }, rest: [ca, dev, key] },
  { entry: { type: 99, data: new Uint8Array(17) }, rest: [ca, dev, key] },
  { entry: { type: 201, subtype: 1, data: new Uint8Array(97) }, rest: [ca, dev, key] },
  { entry: { type: 202, data: new Uint8Array(1) }, rest: [ca, dev, key] },
];
const FLAGS = [0, 0x01, 0x08, 0x40, 0x48, 0x80, 0x88, 0xC0, 0xC8, 0xFF];
const READ_IN_PLACE = [6, 9];

Deno.test("each type with each flags byte is right or wrong as the reader reads it", async () => {
  for (const { entry, rest } of SUBJECTS) {
    for (const flags of FLAGS) {
      const name = `type ${entry.type} flags ${flags.toString(16)}`;
      const hmac = flags & 0xC0;
      const isApplied = hmac === 0x40 || hmac === 0x80;
      const isBad = isApplied && !READ_IN_PLACE.includes(entry.type as number);
      const image = of({ ...entry, flags }, ...rest);
      const verdict = await verify(image, { hmacKey });
      assertEquals(misread(verdict).length, isBad ? 1 : 0, name);
      assertEquals(misread(verdict)[0]?.place.entry, isBad ? 0 : undefined, name);
      const device = openSecureCert(image, { hmacKey });
      const read = () => device.entry(entry.type, entry.subtype ?? 0);
      if (isApplied) {
        // A salt would make the derived key of it; these images have none, or the salt itself is it.
        await assertRejects(read, SecureCertError, undefined, name);
        assertEquals(
          (await device.entries()).some(({ type }) => type === entry.type),
          false,
          name,
        );
      } else {
        assertEquals(bytes((await read()).data), bytes(entry.data), name);
      }
    }
  }
});

Deno.test("the security configuration and the integrity entry are read in place", async () => {
  for (const flags of FLAGS) {
    const config: Tlv = { type: 6, flags, data: new Uint8Array(40).fill(5, 0, 1) };
    const image = of(config, ca, dev, key);
    assertEquals(await openSecureCert(image).privateKeyEfuseBlock(), 5);
    assertEquals(misread(await verify(image)), []);
    const integrity = decodePartition(image).entries.at(-1)!;
    for (const isRight of [true, false]) {
      const data = integrity.data.slice();
      if (!isRight) data[0]! ^= 1;
      const list = [config, ca, dev, key, { type: 9, flags, data }];
      const flagged = encodePartition(list);
      const found = (await verify(flagged)).findings.filter(({ severity }) => severity === "error");
      assertEquals(found.map(({ code }) => code), isRight ? [] : ["BAD_INTEGRITY"], `${flags}`);
      const check = openSecureCert(flagged).verifyIntegrity();
      if (isRight) await check;
      else await assertRejects(() => check, SecureCertError);
    }
  }
});

Deno.test("an encrypted entry that opens with the key is right, and not checked without", async () => {
  const [data, context] = [
    dsEntries.find(({ type }) => type === 3)!,
    dsEntries.find(({ type }) => type === 4)!,
  ];
  const others = dsEntries.filter((each) => each !== data && each !== context);
  const cases: readonly (readonly [Tlv, readonly Tlv[]])[] = [
    [ca, [dev, key]],
    [dev, [ca, key]],
    [user, [ca, dev, key]],
    [{ type: 201, data: new Uint8Array(5) }, [ca, dev, key]],
    [data, [context, ...others]],
    [context, [data, ...others]],
  ];
  for (const [entry, rest] of cases) {
    const image = of(await encrypted(entry), ...rest);
    const name = `type ${entry.type}`;
    const right = await verify(image, { hmacKey });
    assertEquals(right.findings.filter(({ severity }) => severity === "error"), [], name);
    assertEquals(stateOf(right), "ok", name);
    const unchecked = await verify(image);
    assertEquals([misread(unchecked), stateOf(unchecked)], [[], "unchecked"], name);
    const wrong = await verify(image, { hmacKey: otherKey });
    assertEquals([misread(wrong).length, stateOf(wrong)], [1, "error"], name);
    const device = openSecureCert(image, { hmacKey });
    assertEquals(bytes((await device.entry(entry.type)).data), bytes(entry.data), name);
    await assertRejects(() => openSecureCert(image).entry(entry.type), SecureCertError);
    await assertRejects(
      () => openSecureCert(image, { hmacKey: otherKey }).entry(entry.type),
      SecureCertError,
    );
  }
});

const stateOf = ({ checks }: Awaited<ReturnType<typeof verify>>) =>
  checks.find(({ name }) => name === "entry flags")?.state;

Deno.test("a value that is plainly not encrypted is wrong without the key too", async () => {
  for (const entry of [ca, dev, ...dsEntries.filter(({ type }) => type === 3 || type === 4)]) {
    assertEquals(misread(await verify(of({ ...entry, flags: 0x80 }))).length, 1, `${entry.type}`);
  }
  for (const length of [0, 15, 16]) {
    const image = of({ type: 51, flags: 0x80, data: new Uint8Array(length) });
    assertEquals(misread(await verify(image)).length, 1, `${length}`);
    await assertRejects(
      () => openSecureCert(image, { hmacKey }).entry(51),
      SecureCertError,
      "more than 16 bytes",
    );
  }
});

Deno.test("with a salt the derived private key comes in place of the value", async () => {
  const { sec1 } = await deriveEcdsaKey(hmacKey, salt.data);
  for (const flags of [0x40, 0x48]) {
    for (const entry of [ca, dev, user]) {
      const image = of(
        salt,
        ...[ca, dev, user, key].map((each) => each === entry ? { ...each, flags } : each),
      );
      assertEquals(misread(await verify(image, { hmacKey })).length, 1);
      const device = openSecureCert(image, { hmacKey });
      assertEquals((await device.entry(entry.type)).data, sec1);
      await assertRejects(() => openSecureCert(image).entry(entry.type), SecureCertError);
    }
  }
  // The salt of another subtype does not help a default build; a legacy build takes the last one.
  const image = of({ ...salt, subtype: 2 }, ca, { ...dev, flags: 0x40 }, key);
  assertEquals(misread(await verify(image, { hmacKey })).length, 1);
  await assertRejects(() => openSecureCert(image, { hmacKey }).deviceCert(), SecureCertError);
  const legacy = openSecureCert(image, { hmacKey, legacyBuild: true });
  assertEquals(await legacy.deviceCert(), sec1);
});

Deno.test("the salt of a derived key is fetched with its own flags", async () => {
  const derivedKey: Tlv = { type: 2, flags: 0x40, data: new Uint8Array() };
  const image = (each: Tlv) => of(each, ca, dev, derivedKey);
  const { sec1 } = await deriveEcdsaKey(hmacKey, salt.data);
  const get = (each: Tlv) => openSecureCert(image(each), { hmacKey }).privateKey();
  for (const flags of [0, 0x08, 0xC0, 0xFF]) {
    assertEquals(await get({ ...salt, flags }), sec1);
    assertEquals(misread(await verify(image({ ...salt, flags }), { hmacKey })), []);
  }
  assertEquals(await get(await encrypted(salt)), sec1);
  assertEquals(misread(await verify(image(await encrypted(salt)), { hmacKey })), []);
  for (const flags of [0x40, 0x48, 0x80, 0x88]) {
    await assertRejects(() => get({ ...salt, flags }), SecureCertError);
    assertEquals(misread(await verify(image({ ...salt, flags }), { hmacKey })).length, 1);
  }
});

Deno.test("a signature is not found where its value was decrypted or derived", async () => {
  const signed = await signPartition(plain.image, [createSigner(await generateKey())]);
  const list = decodePartition(signed).entries;
  for (const flags of FLAGS) {
    const image = encodePartition([...list.slice(0, -1), { ...list.at(-1)!, flags }]);
    const isBad = (flags & 0xC0) === 0x40 || (flags & 0xC0) === 0x80;
    const verdict = await verify(image, { hmacKey });
    assertEquals([verdict.ok, misread(verdict).length], [!isBad, isBad ? 1 : 0], `${flags}`);
  }
  const signature = await encrypted(list.at(-1)!);
  const image = encodePartition([...list.slice(0, -1), signature]);
  assertEquals(misread(await verify(image, { hmacKey })).length, 1);
});

Deno.test("the flags of a private key say where it is, in the reader's order", async () => {
  const types: Record<number, Awaited<ReturnType<SecureCert["privateKeyType"]>>> = {
    0x00: "DEFAULT_FORMAT",
    0x08: "ECDSA_PERIPHERAL",
    0x18: "DEFAULT_FORMAT",
    0x40: "HMAC_DERIVED_ECDSA",
    0x48: "HMAC_DERIVED_ECDSA",
    0x80: "HMAC_ENCRYPTED",
    0x88: "ECDSA_PERIPHERAL",
    0xC0: "DEFAULT_FORMAT",
    0xC8: "ECDSA_PERIPHERAL",
    0xFF: "DEFAULT_FORMAT",
  };
  const { sec1 } = await deriveEcdsaKey(hmacKey, salt.data);
  for (const [flags, type] of Object.entries(types)) {
    const protection = Number(flags) & 0xC0;
    const stored = protection === 0x80
      ? await encrypted(key, Number(flags))
      : { ...key, flags: Number(flags) };
    const image = of(salt, ca, dev, stored);
    const device = openSecureCert(image, { hmacKey });
    assertEquals(await device.privateKeyType(), type, flags);
    assertEquals(
      bytes(await device.privateKey()),
      protection === 0x40 ? sec1 : bytes(key.data),
      flags,
    );
    assertEquals(misread(await verify(image, { hmacKey })), [], flags);
  }
  // The firmware looks for the key in an eFuse block that nothing names, with bytes in its entry.
  const verdict = await verify(of(ca, dev, await encrypted(key, 0x88)), { hmacKey });
  const codes = verdict.findings.filter(({ severity }) => severity === "error").map(({ code }) =>
    code
  );
  assertEquals(codes.toSorted(), ["KEY_IN_PERIPHERAL_ENTRY", "NO_KEY"]);
});
