/** Odd flags on every type and value: each verb ends in a result or a SecureCertError. */
import { assertEquals } from "@std/assert";
import {
  append,
  buildFromCsv,
  convert,
  diff,
  encodePartition,
  exportPrivateKey,
  extract,
  generateKey,
  inspect,
  openSecureCert,
  SecureCertError,
  signPartition,
  type Tlv,
  verify,
} from "../../mod.ts";
import { createSigner } from "../../lib/crypto/signature.ts";
import { rsaKey } from "../rsa_keys.ts";

const hmacKey = new Uint8Array(32).fill(3);
const TYPES = [0, 1, 2, 3, 4, 5, 6, 8, 9, 50, 51, 201];
const FLAGS = [0x08, 0x40, 0x48, 0x80, 0x88, 0xC0, 0xC8, 0xFF];
const pem = (key: Parameters<typeof exportPrivateKey>[0]) => {
  const bytes = exportPrivateKey(key, { form: "pem", encoding: "traditional" });
  return new Uint8Array([...bytes, 0]);
};
const der = (key: Parameters<typeof exportPrivateKey>[0]) =>
  exportPrivateKey(key, { form: "der", encoding: "pkcs8" });
const [rsa, ec] = [await rsaKey(2048), await generateKey()];
const VALUES: Readonly<Record<string, Uint8Array>> = {
  "RSA": pem(rsa),
  "EC in DER": der(ec),
  "garbage": new Uint8Array(73).map((_, at) => at * 37),
  "nothing": new Uint8Array(),
};
const OTHER = encodePartition([{ type: 52, data: new Uint8Array([1]) }]);
const signer = createSigner(await generateKey());

const VERBS: Readonly<Record<string, (image: Uint8Array) => unknown>> = {
  verify: async (image) => [await verify(image), await verify(image, { hmacKey, chip: "esp32c3" })],
  inspect: async (image) =>
    JSON.stringify([await inspect(image), await inspect(image, { hmacKey, showSecrets: true })]),
  extract: (image) => extract(image),
  "convert to tlv": (image) => convert(image, { to: "tlv" }),
  "convert to nvs": (image) => convert(image, { to: "nvs", hmacKey }),
  "convert to cust_flash": (image) => convert(image, { to: "cust_flash", hmacKey }),
  append: (image) => append(image, { integrity: true }),
  sign: (image) => signPartition(image, [signer]),
  diff: async (image) => [await diff(image, OTHER), await diff(OTHER, image)],
  "the getters": async (image) => {
    for (const legacyBuild of [false, true]) {
      const device = openSecureCert(image, { hmacKey, legacyBuild });
      await device.entries();
      const getters = [
        device.deviceCert,
        device.caCert,
        device.privateKey,
        device.privateKeyType,
        device.privateKeyEfuseBlock,
        device.dsContext,
        device.verifyIntegrity,
        ...TYPES.map((type) => () => device.entry(type)),
      ];
      for (const get of getters) await outcome(get);
    }
  },
};

/** Throws on anything but a value or a SecureCertError. */
async function outcome(run: () => unknown): Promise<"value" | "refused"> {
  try {
    await run();
    return "value";
  } catch (error) {
    if (error instanceof SecureCertError) return "refused";
    throw error;
  }
}

Deno.test("no type, flags and value make a verb throw anything but a SecureCertError", async () => {
  const salt: Tlv = { type: 5, data: new Uint8Array(32) };
  let runs = 0;
  for (const type of TYPES) {
    for (const flags of FLAGS) {
      for (const [what, data] of Object.entries(VALUES)) {
        const entry: Tlv = { type, flags, data };
        for (const list of [[entry], [salt, entry]]) {
          const image = encodePartition(list, { integrity: true });
          for (const [verb, run] of Object.entries(VERBS)) {
            try {
              await outcome(() => run(image));
            } catch (error) {
              throw new Error(`${verb}: type ${type}, flags ${flags}, ${what}`, { cause: error });
            }
            runs++;
          }
        }
      }
    }
  }
  assertEquals(runs, TYPES.length * FLAGS.length * 4 * 2 * 10);
});

Deno.test("what is extracted of a key with odd flags builds the same image", async () => {
  for (const flags of FLAGS) {
    for (const [what, data] of Object.entries(VALUES)) {
      const image = encodePartition([{ type: 2, flags, data }], { integrity: true });
      const [csv, ...files] = await extract(image);
      const load = (path: string) =>
        Promise.resolve(files.find(({ name }) => name === path)?.bytes);
      const text = new TextDecoder().decode(csv!.bytes);
      const built = await buildFromCsv(text, { load, verify: false });
      assertEquals(built.image, image, `${flags} ${what}`);
    }
  }
});
