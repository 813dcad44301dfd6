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
  "strings without line breaks": [
    `char k[] =\n${LINES.map((l) => `"${l}"`).join("\n")};`,
    /\(C\).*sed/,
  ],
  "a list of strings": [`k = [\n${LINES.map((l) => `  '${l}'`).join(",\n")}\n]\n`, /\(C\).*sed/],
  "strings that are added": [`k = ${LINES.map((l) => `'${l}\\n'`).join(" +\n")};\n`, /\(C\).*sed/],
  "a mail that quotes": [`Hello\n> ${LINES.join("\n> ")}\n`, /quoted in a mail.*sed/],
  "a Kubernetes secret": [
    `data:\n  tls.key: ${formatBase64(encodeUtf8(PEM))}\n`,
    /Kubernetes.*tls\.key/,
  ],
  "Ansible Vault": ["$ANSIBLE_VAULT;1.1;AES256\n61\n", /Ansible Vault.*ansible-vault decrypt/],
  "openssl enc": ["Salted__12345678abcdefgh", /openssl enc/],
  "openssl enc in base64": ["U2FsdGVkX18xMjM0NTY3OA==\n", /openssl enc.*base64/],
  "S/MIME": ["MIME-Version: 1.0\nContent-Type: multipart/signed\n", /a mail/],
  "base64url": [formatBase64(DER).replaceAll("+", "-").replaceAll("/", "_"), /base64/],
  "uuencode": [`begin-base64 600 k\n${formatBase64(DER)}\n====\n`, /uuencode.*base64 -d/],
  "hex with colons": [formatHex(DER).replace(/..(?=.)/g, "$&:").toUpperCase(), /hexadecimal.*xxd/],
  "hex with 0x": [`0x${formatHex(DER)}`, /hexadecimal.*xxd/],
  "a hex dump": ["00000000: 3081 8702 0100 3013  0.....0.\n", /hex dump.*xxd -r/],
  "another hex dump": ["00000000  30 81 87 02 01 00 30 13  |0.....0.|\n", /hex dump.*xxd -r -p/],
  "numbers in C": [`x = {\n${[...DER].join(", ")}\n};`, /\(C\).*xargs/],
  "what openssl shows of a key": ["Private-Key: (256 bit)\npriv:\n    00:01\n", /-text/],
  "what openssl shows of DER": ["    0:d=0  hl=3 l= 135 cons: SEQUENCE\n", /asn1parse/],
  "what openssl shows of a certificate": ["Certificate:\n    Data:\n", /-text/],
  "four hyphens": [PEM.replaceAll("-----", "----"), /BEGIN line is not right/],
  "no hyphens": [PEM.replaceAll("-----", ""), /BEGIN line is not right/],
  "small letters": [PEM.toLowerCase(), /BEGIN line is not right/],
  "other dashes": [PEM.replaceAll("-----", "\u2014\u2014-"), /BEGIN line is not right/],
  "OpenSSH, certificate": [
    "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAAKG",
    /OpenSSH.*not one of TLS/,
  ],
  "OpenSSH": [formatPem("OPENSSH PRIVATE KEY", new Uint8Array(9)), /OpenSSH.*ssh-keygen/],
  "OpenPGP, armoured key": [formatPem("PGP PRIVATE KEY BLOCK", new Uint8Array(9)), /OpenPGP key/],
  "OpenPGP, armoured message": [
    formatPem("PGP MESSAGE", new Uint8Array(9)),
    /OpenPGP message.*gpg/,
  ],
  "OpenPGP, key": [Uint8Array.fromHex("9503ba0469286b2e0108"), /OpenPGP key/],
  "OpenPGP, public key": [Uint8Array.fromHex("98330469286b2e1609"), /OpenPGP key/],
  "OpenPGP, for a key": [Uint8Array.fromHex("85010c03000102030405060701ff"), /OpenPGP message/],
  "OpenPGP, by a password": [Uint8Array.fromHex("8c0d0409030a"), /OpenPGP message.*gpg/],
  "age": ["age-encryption.org/v1\n-> X25519 a\n", /age file.*age -d/],
  "age, armoured": [formatPem("AGE ENCRYPTED FILE", new Uint8Array(9)), /age file.*age -d/],
  "PVK": [Uint8Array.fromHex("1ef1b5b000000000"), /PVK.*-inform PVK/],
  "MSBLOB": [Uint8Array.fromHex("0702000000a40000"), /PRIVATEKEYBLOB.*-inform MSBLOB/],
  "MSBLOB, public": [
    Uint8Array.fromHex("0602000000a40000"),
    /PUBLICKEYBLOB\); give the private key/,
  ],
  "BKS": [Uint8Array.fromHex("0000000200000014" + "55".repeat(20)), /BKS.*keytool.*openssl/],
  "an empty ZIP": ["PK\x05\x06", /ZIP archive with nothing/],
  "xz": [Uint8Array.fromHex("fd377a585a00"), /xz.*unxz/],
  "parameters in DER": [Uint8Array.fromHex("06082a8648ce3d030107"), /parameters.*without a key/],
  "CMS": [formatPem("CMS", new Uint8Array(9)), /CMS message; it holds no private key/],
  "PKCS#7": [formatPem("PKCS7", new Uint8Array(9)), /PKCS#7.*no private key/],
  "a CRL": [formatPem("X509 CRL", new Uint8Array(9)), /CRL.*give the private key/],
  "a signing request": [
    formatPem("NEW CERTIFICATE REQUEST", new Uint8Array(9)),
    /signing request; give the private/,
  ],
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
  "zlib": [Uint8Array.of(0x78, 0x9C, 1, 2), /zlib.*python3/],
  "tar": [`key.der${"\0".repeat(250)}ustar\x0000`, /tar archive.*tar -xf FILE/],
  "SOPS, YAML": [`key: ENC[AES256_GCM,data:AAAA,type:str]\nsops:\n  x: y\n`, /SOPS.*sops -d FILE/],
  "SOPS, JSON": [`{"private_key":"ENC[AES256_GCM,data:AAAA]"}`, /SOPS.*sops -d FILE/],
  "ZIP": ["PK\x03\x04", /ZIP/],
  "a certificate": [CERTIFICATE, /a certificate; give the private key/],
  "a certificate in DER": [readCertificate(CERTIFICATE).der, /a certificate; give the private key/],
  "a public key": [formatPem("PUBLIC KEY", KEY.publicKey), /a public key; give the private key/],
  "a public key in DER": [KEY.publicKey, /a public key; give the private key/],
};

for (const [name, [file, words]] of Object.entries(FILES)) {
  Deno.test(`in the place of a private key: ${name}`, async () => {
    for (const input of typeof file === "string" ? [file, encodeUtf8(file)] : [file]) {
      assertMatch(foreignFormat(input)!.name, /\w/);
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
