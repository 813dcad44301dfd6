import { growsLinearly } from "../growth.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../lib/bytes/text.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { foreignFormat } from "../../lib/crypto/foreign.ts";
import { exportPrivateKey, generateKey, importPrivateKey } from "../../lib/crypto/keys/keys.ts";
import { readCertificate } from "../../lib/crypto/x509/certificate.ts";
import { readRequest } from "../../lib/crypto/x509/request.ts";
import { vector } from "../vectors.ts";

const KEY = await generateKey();
const PEM = new TextDecoder().decode(exportPrivateKey(KEY));
const DER = exportPrivateKey(KEY, { form: "der" });
const LINES = PEM.trim().split("\n");
const CERTIFICATE = vector("plain/device.pem");

/** Files in the place of a private key, and what the message says. */
const FILES: Readonly<Record<string, readonly [Uint8Array | string, RegExp]>> = {
  "nothing": ["", /the file is empty/],
  "blanks": ["\n \n", /the file is blank/],
  "escaped line breaks": [PEM.replaceAll("\n", "\\n"), /\\n in the place.*printf '%b'/],
  "a line of a .env file": [`KEY="${PEM.replaceAll("\n", "\\n")}"\n`, /\\n in the place/],
  "C strings": [`char k[] =\n${LINES.map((line) => `  "${line}\\n"`).join("\n")};\n`, /\(C\).*sed/],
  "a C string over lines": [`char *k = "${LINES.join("\\n\\\n")}\\n";`, /\(C\).*sed/],
  "a C array": [`x = {\n${[...DER].map((b) => `0x${b.toString(16).padStart(2, "0")}`)}}`, /\(C\)/],
  "base64 of DER": [LINES.slice(1, -1).join("\n"), /without the BEGIN.*base64 -d/],
  "base64 of PEM": [formatBase64(encodeUtf8(PEM)), /PEM in base64.*base64 -d/],
  "hex": [formatHex(DER), /hexadecimal.*xxd -r -p/],
  "JSON of a cloud": [JSON.stringify({ a: { private_key: PEM } }), /jq -r \.a\.private_key FILE/],
  "other JSON": ["{}", /the file is JSON/],
  "HTML": ["<!DOCTYPE html><html>", /HTML page.*download/],
  "a URL": ["https://example.com/key.pem\n", /a URL.*curl/],
  "PuTTY": ["PuTTY-User-Key-File-3: ssh-rsa\n", /PuTTY.*puttygen/],
  "OpenSSH, public": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here", /OpenSSH public key/],
  "TPM": [formatPem("TSS2 PRIVATE KEY", new Uint8Array(9)), /TPM 2\.0/],
  "DSA": [formatPem("DSA PRIVATE KEY", new Uint8Array(9)), /DSA key/],
  "parameters": [formatPem("EC PARAMETERS", new Uint8Array(9)), /parameters.*without a key/],
  "JKS": [Uint8Array.of(0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2), /JKS.*keytool/],
  "JCEKS": [Uint8Array.of(0xCE, 0xCE, 0xCE, 0xCE, 0, 0, 0, 2), /JCEKS.*keytool/],
  "gzip": [Uint8Array.of(0x1F, 0x8B, 8, 0), /gzip.*gunzip/],
  "ZIP": ["PK\x03\x04", /ZIP/],
  "a certificate": [CERTIFICATE, /a certificate; give the private key/],
  "a certificate in DER": [readCertificate(CERTIFICATE).der, /a certificate; give the private key/],
  "a public key": [formatPem("PUBLIC KEY", KEY.publicKey), /a public key; give the private key/],
  "a public key in DER": [KEY.publicKey, /a public key; give the private key/],
};

for (const [name, [file, words]] of Object.entries(FILES)) {
  Deno.test(`in the place of a private key: ${name}`, async () => {
    for (const input of typeof file === "string" ? [file, encodeUtf8(file)] : [file]) {
      const error = await assertRejects(() => importPrivateKey(input), SecureCertError);
      assertMatch(error.message, words);
      assert(!error.message.includes(LINES[1]!.slice(0, 12)));
    }
  });
}

Deno.test("what was not asked for is named by every reader", async () => {
  assertMatch(refusal(() => readCertificate(PEM)), /a private key; give the certificate/);
  assertMatch(refusal(() => readCertificate(DER)), /a private key; give the certificate/);
  const error = await assertRejects(() => readRequest(CERTIFICATE), SecureCertError);
  assertStringIncludes(error.message, "the file is a certificate");
});

Deno.test("a damaged key among certificates is called damaged", async () => {
  const bad = new TextDecoder().decode(CERTIFICATE) + formatPem("PRIVATE KEY", DER.subarray(9));
  const error = await assertRejects(() => importPrivateKey(bad), SecureCertError);
  assert(!error.message.includes("certificate"), error.message);
});

Deno.test("a JSON Web Key is read, in a set too; what is wrong with it is said", async () => {
  const handle = await crypto.subtle.importKey(
    "pkcs8",
    KEY.pkcs8 as BufferSource,
    { name: "ECDSA", namedCurve: "P-256" },
    true,
    ["sign"],
  );
  const jwk = await crypto.subtle.exportKey("jwk", handle);
  for (const text of [JSON.stringify(jwk), ` ${JSON.stringify({ keys: [jwk] }, null, 2)}\n`]) {
    assertEquals((await importPrivateKey(text)).publicKey, KEY.publicKey);
    assertEquals((await importPrivateKey(encodeUtf8(text))).publicKey, KEY.publicKey);
  }
  const wrong: [object, RegExp][] = [
    [{ ...jwk, d: undefined }, /no d: it is a public key/],
    [{ ...jwk, d: "AAAA" }, /d has 3 bytes/],
    [{ ...jwk, d: "?" }, /d is not base64url/],
    [{ ...jwk, x: jwk.y }, /do not match/],
    [{ ...jwk, crv: "P-257" }, /curve/],
    [{ kty: "OKP", crv: "Ed25519", d: "AAAA" }, /neither RSA nor EC/],
    [{ keys: [jwk, jwk], kty: "x" }, /a set of 2 keys/],
  ];
  for (const [key, words] of wrong) {
    const error = await assertRejects(() => importPrivateKey(JSON.stringify(key)), SecureCertError);
    assertMatch(error.message, words);
  }
});

Deno.test("an RSA key is the same as a JSON Web Key", async () => {
  const key = await importPrivateKey(vector("plain/rsa2048.encrypted.pem"), {
    password: "test1234",
  });
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const handle = await crypto.subtle.importKey(
    "pkcs8",
    key.pkcs8 as BufferSource,
    algorithm,
    true,
    ["sign"],
  );
  const jwk = JSON.stringify(await crypto.subtle.exportKey("jwk", handle));
  assertEquals((await importPrivateKey(jwk)).pkcs8, key.pkcs8);
});

Deno.test("random bytes are of no format", () => {
  for (let length = 1; length < 4096; length = length * 2 + 1) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    bytes[0] = 0x7E;
    assertEquals(foreignFormat(bytes), undefined);
  }
});

Deno.test("a large file of blocks, blanks or quotes is named in linear time", async () => {
  for (const part of ["-----BEGIN A-----", " ", '"  ', "{ ", "M"]) {
    const work = (size: number) => {
      const text = part.repeat(size / part.length);
      const bytes = encodeUtf8(text);
      return () => [foreignFormat(text), foreignFormat(bytes)];
    };
    assert(await growsLinearly(work, [20_000, 800_000]), part);
  }
});

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
  }
  throw new Error("not refused");
}
