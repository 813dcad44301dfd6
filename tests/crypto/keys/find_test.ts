/** Private keys among other bytes: what counts as one, and in how much time. */
import { assertEquals } from "@std/assert";
import { exportPrivateKey, formatPem, generateKey, importPrivateKey } from "../../../mod.ts";
import { concat } from "../../../lib/bytes/pack.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../../lib/bytes/text.ts";
import { findPrivateKey } from "../../../lib/crypto/keys/find.ts";
import { growsLinearly } from "../../growth.ts";
import { rsaKey } from "../../rsa_keys.ts";
import { OPENSSL, openssl, vector } from "../../vectors.ts";
import { needing } from "../../needs.ts";

const KEYS = [
  ...await Promise.all(
    (["P-192", "P-256", "P-384", "P-521", "secp256k1"] as const).map((curve) =>
      generateKey({ curve })
    ),
  ),
  await rsaKey(1024),
  await rsaKey(2048),
  await rsaKey(4096),
];

const found = (bytes: Uint8Array) => findPrivateKey(bytes)?.form;
const utf16 = (text: string, endian: "le" | "be") =>
  Uint8Array.from(
    [...text].flatMap((each) =>
      endian === "le" ? [each.charCodeAt(0), 0] : [0, each.charCodeAt(0)]
    ),
  );

/** Every encoding of every key, with the bytes that are enough of it. */
function* encodings() {
  for (const key of KEYS) {
    for (const encoding of ["pkcs8", "traditional"] as const) {
      const der = exportPrivateKey(key, { encoding, form: "der" });
      const pem = new TextDecoder().decode(exportPrivateKey(key, { encoding }));
      yield { name: `${key.curve ?? `RSA-${key.bits}`} ${encoding}`, der, pem };
    }
  }
}

Deno.test("a key is found in every form, whatever is around it", () => {
  for (const { name, der, pem } of encodings()) {
    const base64 = formatBase64(der);
    const url = base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    const [head, ...lines] = pem.trimEnd().split("\n");
    const body = lines.slice(0, -1);
    const texts: Record<string, string> = {
      pem,
      crlf: pem.replaceAll("\n", "\r\n"),
      "one line": pem.replaceAll("\n", ""),
      "without END": [head, ...body].join("\n"),
      "without BEGIN": lines.join("\n"),
      "only its lines": body.join("\n"),
      indented: pem.replaceAll("\n", "\n      "),
      "in JSON": JSON.stringify({ key: pem }),
      "in JSON with escaped slashes": JSON.stringify({ key: pem }).replaceAll("/", "\\/"),
      "twice in JSON": JSON.stringify(JSON.stringify({ key: pem })),
      base64,
      url,
      "base64 of PEM": formatBase64(encodeUtf8(pem)),
      hex: formatHex(der),
      "upper-case hex": formatHex(der).toUpperCase(),
      "hex with colons": formatHex(der).replace(/(..)(?!$)/g, "$1:"),
    };
    for (const [form, text] of Object.entries(texts)) {
      for (const around of ["", "x", "key=", "abcdefg", "\0\0"]) {
        const bytes = encodeUtf8(around + text + around);
        assertEquals(found(bytes) !== undefined, true, `${name} ${form} after "${around}"`);
      }
    }
    assertEquals(found(utf16(pem, "le")), "base64", name);
    assertEquals(found(utf16(pem, "be")), "base64", name);
    for (const before of [0, 1, 2, 3, 100]) {
      const junk = new Uint8Array(before).fill(0x30);
      assertEquals(
        findPrivateKey(concat(junk, der, junk)),
        { at: before, form: "DER" },
        `${name} DER after ${before}`,
      );
    }
  }
});

Deno.test("a key that is cut short is one as long as enough of its secret is there", async () => {
  for (const { name, der, pem } of encodings()) {
    const isRsa = name.startsWith("RSA");
    const enough = isRsa ? Math.ceil(der.length / 2) : der.length - 2;
    assertEquals(found(der.subarray(0, enough)), "DER", name);
    if (isRsa) assertEquals(found(encodeUtf8(pem.slice(0, pem.length * 2 / 3))), "base64", name);
    assertEquals(found(der.subarray(0, 20)), undefined, `${name}, 20 bytes`);
    assertEquals(found(encodeUtf8(formatBase64(der).slice(0, 24))), undefined, name);
  }
  const sec1 = exportPrivateKey(await generateKey(), { encoding: "traditional", form: "der" });
  // SEQUENCE 2, version 3, OCTET STRING 2 + 32.
  assertEquals([38, 39].map((length) => found(sec1.subarray(0, length))), [undefined, "DER"]);
});

Deno.test("a public key, a certificate or words about a key are none", async () => {
  for (const key of KEYS) {
    assertEquals(found(key.publicKey), undefined);
    assertEquals(found(encodeUtf8(formatPem("PUBLIC KEY", key.publicKey))), undefined);
    assertEquals(found(encodeUtf8(formatHex(key.publicKey))), undefined);
  }
  assertEquals(found(vector("plain/device.pem")), undefined);
  assertEquals(found(vector("plain/rsa2048.encrypted.pem")), undefined);
  const words = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\nMIGH is how one begins\n";
  assertEquals(found(encodeUtf8(words)), undefined);
  const random = crypto.getRandomValues(new Uint8Array(0x10000));
  assertEquals(found(encodeUtf8(formatBase64(random))), undefined);
  assertEquals(found(random), undefined);
  await importPrivateKey(vector("plain/ecp256.pkcs8.pem"));
});

needing(OPENSSL).test("encrypted keys are none, other algorithms and OpenSSH are", async () => {
  const p256 = vector("plain/ecp256.pkcs8.pem");
  const encrypt = ["pkcs8", "-topk8", "-passout", "pass:x"];
  for (const form of ["PEM", "DER"]) {
    const bytes = await openssl([...encrypt, "-outform", form], p256);
    assertEquals(found(bytes), undefined, form);
    assertEquals(found(encodeUtf8(formatBase64(bytes))), undefined, `base64 of ${form}`);
    assertEquals(found(encodeUtf8(formatHex(bytes))), undefined, `hex of ${form}`);
  }
  for (const algorithm of ["ed25519", "x25519"]) {
    const bytes = await openssl(["genpkey", "-algorithm", algorithm, "-outform", "DER"]);
    assertEquals(found(bytes), "DER", algorithm);
  }
  const explicit = await openssl([
    "ecparam",
    "-name",
    "secp521r1",
    "-genkey",
    "-noout",
    "-param_enc",
    "explicit",
  ]);
  assertEquals(found(explicit), "base64");
  assertEquals(found(await openssl(["pkcs8", "-topk8", "-nocrypt"], explicit)), "base64");
});

Deno.test("finding takes linear time in whatever looks like the start of a key", async () => {
  const pkcs8 = [0x30, 0x82, 4, 0, 2, 1, 0, 0x30, 0x82, 1, 0xFF, 6, 3];
  const pkcs1 = [0x30, 0x82, 4, 0xA4, 2, 1, 0, 2, 0x82, 1, 1];
  const units: readonly Uint8Array[] = [
    Uint8Array.of(0x30, 0x82),
    Uint8Array.from(pkcs8),
    Uint8Array.from(pkcs1),
    encodeUtf8("-----BEGIN PRIVATE KEY-----\n"),
    encodeUtf8("MI"),
    encodeUtf8(`MI${" ".repeat(79)}`),
    encodeUtf8(formatBase64(Uint8Array.from(pkcs8)).slice(0, -4)),
    encodeUtf8(`${formatBase64(Uint8Array.from(pkcs1)).slice(0, -4)}\n`),
    encodeUtf8(formatHex(Uint8Array.from(pkcs8))),
    encodeUtf8("LS0tLS1CRUdJTi"),
    encodeUtf8("b3BlbnNzaC1rZXk"),
  ];
  for (const unit of units) {
    const work = (size: number) => {
      const bytes = new Uint8Array(size).map((_, at) => unit[at % unit.length]!);
      return () => findPrivateKey(bytes);
    };
    assertEquals(await growsLinearly(work, [0x4000, 0x80000]), true, unit.join());
  }
});
