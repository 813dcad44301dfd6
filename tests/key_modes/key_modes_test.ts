import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  build,
  type BuildPlan,
  type ChipName,
  CHIPS,
  createDevelopmentCa,
  decodePartition,
  decodeSecurityConfig,
  exportPrivateKey,
  generateKey,
  inspect,
  type KeyMode,
  keyModesOf,
  openSecureCert,
  provision,
  SecureCertError,
  type Verdict,
  verify,
} from "../../mod.ts";
import { rsaKey, takeRsaKeysFromVectors } from "../rsa_keys.ts";
import { shared, type SharedCase, sharedCases, sharedTest } from "../vectors.ts";

takeRsaKeysFromVectors();

const issuer = await createDevelopmentCa();
const NAMES = Object.keys(CHIPS) as ChipName[];
const HMAC_KEY = Uint8Array.from({ length: 32 }, (_, at) => at);
const errors = ({ findings }: Verdict) =>
  findings.filter(({ severity }) => severity === "error").map(({ code }) => code).sort();

const makeDevice = (chip: ChipName, keyMode: KeyMode) =>
  provision({ issuer, subject: "CN=d", chip, keyMode });

Deno.test("every key mode of every chip is provisioned, good, and read by the firmware", async () => {
  for (const chip of NAMES) {
    for (const keyMode of keyModesOf(chip)) {
      const { image, verdict, efuse } = await makeDevice(chip, keyMode);
      assertEquals(errors(verdict), [], `${chip} ${keyMode}`);
      assertEquals((await inspect(image)).credentials.keyMode, keyMode);
      assertEquals(efuse === undefined, keyMode === "plaintext");
      assertEquals(efuse?.plan.chip ?? chip, chip);
      const hmacKey = efuse?.hmacKey;
      const device = openSecureCert(image, hmacKey ? { hmacKey } : {});
      if (keyMode === "rsa-ds") assertEquals((await device.dsContext()).efuseKeyId, 1);
      else if (keyMode === "ecdsa-peripheral") assertEquals(await device.privateKeyEfuseBlock(), 5);
      else assertEquals((await device.privateKey()).length > 100, true);
    }
  }
});

Deno.test("a mode that the chip lacks is refused before anything is made, with what it has", async () => {
  const modes: readonly KeyMode[] = [
    "rsa-ds",
    "ecdsa-peripheral",
    "hmac-encrypted",
    "hmac-derived",
  ];
  for (const chip of NAMES) {
    for (const keyMode of modes.filter((mode) => !keyModesOf(chip).includes(mode))) {
      // Neither a certificate nor a key can be made with these.
      const nothing = { certificate: "no certificate" };
      const random = () => {
        throw new Error("a key was made");
      };
      const options = { issuer: nothing, subject: "CN=d", chip, keyMode, random };
      const error = await assertRejects(() => provision(options), SecureCertError);
      assertEquals(error.code, "ERR_PLAN");
      assertStringIncludes(error.message, `${chip} has no ${keyMode} keys; it has plaintext`);
    }
  }
});

Deno.test("what a mode and a chip do not take is refused before a key is made", async () => {
  const random = () => {
    throw new Error("a key was made");
  };
  const device = { issuer, subject: "CN=d", random } as const;
  const cases = [
    [{ keyMode: "hmac-encrypted" }, "hmac-encrypted needs a chip"],
    [{ keyMode: "rsa-ds", chip: "esp32c3", key: { type: "ec" } }, "needs an RSA key"],
    [{ keyMode: "rsa-ds", chip: "esp32c3", key: { type: "rsa", bits: 4096 } }, "not 4096"],
    [{ keyMode: "ecdsa-peripheral", chip: "esp32h2", efuseKeyId: 5 }, "KEY5"],
    [{ keyMode: "hmac-derived", chip: "esp32s31", efuseKeyId: 5 }, "not 5"],
  ] as const;
  for (const [asked, text] of cases) {
    const error = await assertRejects(() => provision({ ...device, ...asked }), SecureCertError);
    assertEquals(error.code, "ERR_PLAN");
    assertStringIncludes(error.message, text);
    assertEquals(error.problems.length, 1);
  }
});

Deno.test("no byte of an ECDSA peripheral's key is in the image", async () => {
  const { image, key } = await makeDevice("esp32h2", "ecdsa-peripheral");
  const scalar = key.pkcs8.subarray(36, 68).toHex();
  assertEquals(image.toHex().includes(scalar), false);
  const { entries } = decodePartition(image);
  const { subtype, flags, data } = entries.find(({ type }) => type === 2)!;
  assertEquals([subtype, flags, data.length], [0, 8, 0]);
  assertEquals(decodeSecurityConfig(entries.find(({ type }) => type === 6)!.data).efuseBlock, 5);
});

Deno.test("wrong keys, curves and sizes for a mode are refused", async () => {
  const [p256, p384, rsa1024, rsa4096] = await Promise.all([
    generateKey(),
    generateKey({ curve: "P-384" }),
    rsaKey(1024),
    rsaKey(4096),
  ]);
  const pem = (key: typeof p256) => exportPrivateKey(key!);
  const cases: readonly (readonly [BuildPlan, string])[] = [
    [{ keyMode: "rsa-ds", chip: "esp32c3", privateKey: await pem(p256!) }, "needs an RSA key"],
    [
      { keyMode: "rsa-ds", chip: "esp32c5", privateKey: await pem(rsa4096!) },
      "takes 1024, 2048, 3072 bits, not 4096",
    ],
    [{ keyMode: "rsa-ds", chip: "esp32c3", privateKey: await pem(rsa1024!) }, "can be broken"],
    [{ keyMode: "rsa-ds", chip: "esp32c3" }, "needs a private key"],
    [{ keyMode: "rsa-ds", privateKey: await pem(rsa4096!) }, "needs a chip"],
    [
      { keyMode: "rsa-ds", chip: "esp32s3", privateKey: await pem(rsa4096!), efuseKeyId: 9 },
      "not 9",
    ],
    [
      { keyMode: "rsa-ds", chip: "esp32s31", privateKey: await pem(rsa4096!), efuseKeyId: 5 },
      "not 5",
    ],
    [{
      keyMode: "rsa-ds",
      chip: "esp32s3",
      privateKey: await pem(rsa4096!),
      hmacKey: new Uint8Array(16),
    }, "16 bytes"],
    [
      { keyMode: "ecdsa-peripheral", chip: "esp32h2", privateKey: await pem(p384!) },
      "takes P-192, P-256, not P-384",
    ],
    [
      { keyMode: "ecdsa-peripheral", chip: "esp32h2", privateKey: await pem(p256!), efuseKeyId: 5 },
      "KEY5",
    ],
    [
      { keyMode: "ecdsa-peripheral", chip: "esp32h2" },
      "needs a private key or a device certificate",
    ],
    [
      { keyMode: "hmac-derived", chip: "esp32c3", privateKey: await pem(p256!) },
      "takes no private key",
    ],
  ];
  for (const [plan, text] of cases) {
    const error = await assertRejects(() => build(plan), SecureCertError, text);
    assertEquals(error.code, "ERR_PLAN");
  }
  const weak = {
    keyMode: "rsa-ds",
    chip: "esp32c3",
    privateKey: await pem(rsa1024!),
  } as const;
  const { verdict } = await build(weak, { allowWeak: true });
  assertEquals(verdict.findings.some(({ code }) => code === "CERT_WEAK"), true);
});

Deno.test("with the HMAC key a DS value is opened and checked, and another key is reported", async () => {
  const { image, efuse } = await makeDevice("esp32s3", "rsa-ds");
  const hmacKey = efuse!.hmacKey!;
  assertEquals(errors(await verify(image, { hmacKey, chip: "esp32s3" })), []);
  assertEquals(errors(await verify(image, { hmacKey: HMAC_KEY })), ["DS_BLOB"]);
  assertEquals(errors(await verify(image, { chip: "esp32c3" })), ["DS_SIZE"]);
  assertEquals(errors(await verify(image, { chip: "esp32" })), ["CHIP_UNSUPPORTED"]);
  const other = await makeDevice("esp32s3", "rsa-ds");
  const plan = {
    keyMode: "rsa-ds",
    chip: "esp32s3",
    privateKey: await exportPrivateKey(other.key),
  } as const;
  const mixed = await build({
    ...plan,
    deviceCert: (await makeDevice("esp32s3", "rsa-ds")).certificate,
    hmacKey,
  }, { verify: false });
  assertEquals(errors(mixed.verdict), ["KEY_MISMATCH"]);
  assertEquals(errors(await verify(mixed.image, { hmacKey })), ["KEY_MISMATCH"]);
  const { dsData } = (await inspect(image, { hmacKey })).entries[0]!;
  assertEquals(Object.values(dsData!.checks!), [true, true, true, true, true, true]);
});

Deno.test("a derived key needs its salt and HMAC key, and gives its public half for a certificate", async () => {
  const first = await build({ keyMode: "hmac-derived", chip: "esp32c6", hmacKey: HMAC_KEY });
  assertEquals(first.publicKey!.length, 91);
  const salt = decodePartition(first.image).entries.find(({ type }) => type === 5)!.data;
  const { issueCertificate } = await import("../../mod.ts");
  const deviceCert = await issueCertificate({
    issuer,
    publicKey: first.publicKey!,
    subject: "CN=d",
  });
  const plan = { keyMode: "hmac-derived", chip: "esp32c6", deviceCert } as const;
  assertEquals((await build({ ...plan, salt, hmacKey: HMAC_KEY })).verdict.ok, true);
  await assertRejects(
    () => build(plan),
    SecureCertError,
    "the salt that the certificate's key was derived with",
  );
  const wrong = await build({ ...plan, salt: new Uint8Array(32), hmacKey: HMAC_KEY }, {
    verify: false,
  });
  assertEquals(errors(wrong.verdict), ["KEY_MISMATCH"]);
});

Deno.test("a second HMAC-encrypted entry and a missing salt are errors", async () => {
  const { image, efuse } = await makeDevice("esp32c3", "hmac-encrypted");
  const { encodePartition } = await import("../../mod.ts");
  const { entries } = decodePartition(image);
  const key = entries.find(({ type }) => type === 2)!;
  const twice = encodePartition([...entries.slice(0, -1), { ...key, subtype: 1 }]);
  assertEquals(errors(await verify(twice)), ["GCM_NONCE_REUSE"]);
  assertEquals(errors(await verify(image, { hmacKey: HMAC_KEY })), ["KEY_REFUSED"]);
  assertEquals(errors(await verify(image, { hmacKey: efuse!.hmacKey! })), []);
  const derived = decodePartition((await makeDevice("esp32c3", "hmac-derived")).image).entries;
  const saltless = encodePartition(derived.filter(({ type }) => type !== 5 && type !== 9));
  assertEquals(errors(await verify(saltless)), ["NO_KEY"]);
});

Deno.test("same sources, same image, for every mode", async () => {
  // A salt that is the HMAC key would give it away.
  const source = () => {
    let drawn = 0;
    return (length: number) => {
      drawn++;
      return Uint8Array.from({ length }, (_, at) => at * 7 + length + drawn);
    };
  };
  const now = () => new Date("2026-11-24T00:00:00Z");
  const key = await exportPrivateKey(await rsaKey(2048));
  const plans: readonly BuildPlan[] = [
    { keyMode: "rsa-ds", chip: "esp32c3", privateKey: key },
    { keyMode: "hmac-encrypted", chip: "esp32c3", privateKey: key },
    { keyMode: "hmac-derived", chip: "esp32c3" },
  ];
  for (const plan of plans) {
    const [a, b] = await Promise.all([0, 1].map(() => build(plan, { random: source(), now })));
    assertEquals(a!.image, b!.image, plan.keyMode);
  }
});

/** The plan of a golden case with its fixed IV and HMAC key. */
function planOf({ args = [] }: SharedCase): BuildPlan {
  const value = (option: string, skip = 1) =>
    args.includes(option) ? args[args.indexOf(option) + skip] : undefined;
  const file = (option: string) => {
    const name = value(option);
    return name === undefined ? undefined : shared(`generated/inputs/${name}`);
  };
  const isRsa = value("--priv_key_algo") === "RSA";
  const [deviceCert, caCert, privateKey, hmacKey] = [
    "--device-cert",
    "--ca-cert",
    "--private-key",
    "--efuse_key_file",
  ].map(file);
  return {
    keyMode: isRsa ? "rsa-ds" : "ecdsa-peripheral",
    chip: value("--target_chip") as ChipName,
    efuseKeyId: Number(value("--efuse_key_id")),
    iv: Uint8Array.from({ length: 16 }, (_, at) => 0xA0 + at),
    ...deviceCert && { deviceCert },
    ...caCert && { caCert },
    ...privateKey && { privateKey },
    ...isRsa && hmacKey && { hmacKey },
  };
}

sharedTest(
  "DS images of the reference come out byte for byte, and right for the ESP32-C5",
  async () => {
    let equal = 0;
    for (const each of sharedCases("rsa_ds").filter(({ args }) => args)) {
      const expected = shared(`generated/${each.name}/expected.bin`);
      if (each.known_bad !== undefined) {
        assertEquals(
          (await verify(expected, { chip: "esp32c5", allowWeak: true })).ok,
          false,
          each.name,
        );
        continue;
      }
      const { image } = await build(planOf(each), { allowWeak: true, verify: false });
      assertEquals(image, expected, each.name);
      equal++;
    }
    assertEquals(equal >= 14, true, String(equal));
    const c5 = sharedCases("rsa_ds").find(({ name }) => name === "rsads_esp32c5_2048")!;
    const { image } = await build(planOf(c5), { verify: false });
    assertEquals(image, shared("generated/rsads_esp32c5_2048_correct/expected.bin"));
  },
);

sharedTest("ECDSA peripheral images are those that hold no key", async () => {
  let equal = 0;
  for (
    const each of sharedCases("ecdsa_peripheral").filter(({ known_bad, args }) => known_bad && args)
  ) {
    const verdict = await verify(shared(`generated/${each.name}/expected.bin`));
    if (each.name === "ecdsa_wrong_curve") continue;
    assertEquals(errors(verdict).includes("KEY_IN_PERIPHERAL_ENTRY"), true, each.name);
    let safe;
    try {
      safe = shared(`generated/${each.name}_safe/expected.bin`);
    } catch {
      continue;
    }
    assertEquals((await build(planOf(each), { verify: false })).image, safe, each.name);
    equal++;
  }
  assertEquals(equal >= 3, true, String(equal));
});

sharedTest("plans that the reference refuses for the chip are refused", async () => {
  for (const each of sharedCases("rsa_ds-error", "ecdsa-error")) {
    const error = await assertRejects(
      () => build(planOf(each)),
      SecureCertError,
      undefined,
      each.name,
    );
    assertEquals(error.code, "ERR_PLAN");
  }
});
