/** What the device makes of stored values: each rule, as mbedTLS 3.6.6 answered to the same bytes. */
import { assert, assertEquals } from "@std/assert";
import { growsLinearly } from "../growth.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { formatPem } from "../../lib/bytes/pem.ts";
import { encodeUtf8, parseHex } from "../../lib/bytes/text.ts";
import { derOid } from "../../lib/crypto/der.ts";
import {
  derBits,
  derContext,
  derElement,
  derInteger,
  derNull,
  derOctets,
  derSequence,
  derUnsigned,
} from "../der.ts";
import { CURVES, DOMAINS } from "../../lib/crypto/keys/curves.ts";
import { decodeKeyParts, type EcParts, type RsaParts } from "../../lib/crypto/keys/encoding.ts";
import { exportPrivateKey, generateKey } from "../../lib/crypto/keys/keys.ts";
import {
  deviceText,
  parseStoredCertificates,
  parseStoredKey,
  type StoredRefusal,
} from "../../lib/device/stored.ts";
import { readCertificates } from "../../lib/crypto/x509/certificate.ts";
import { encodeBigInteger } from "../../lib/bytes/big_integer.ts";
import { rsaKey } from "../rsa_keys.ts";
import { vector } from "../vectors.ts";

const [certificate] = readCertificates(vector("plain/device.pem"));
const pem = certificate!.pem;
const [begin, ...body] = pem.trimEnd().split("\n");
const end = body.pop()!;
const base64 = body.join("\n");

const stored = (text: string) => encodeUtf8(`${text}\0`);

/** How many certificates are used, and why others are not. */
function readText(text: string | Uint8Array): string | readonly (number | string)[] {
  const parsed = parseStoredCertificates(typeof text === "string" ? stored(text) : text);
  if (parsed.kind === "refused") return parsed.refusal.reason;
  return [parsed.certificates.length, ...parsed.skipped.map(({ reason }) => reason)];
}

Deno.test("a text is a character a byte, whatever its bytes are", () => {
  const latin1 = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);
  const texts = [
    [0x41, 0x42],
    [],
    [0xFF],
    [0x41, 0x80, 0x9F],
    [0xC3, 0xA9],
    [0xEF, 0xBB, 0xBF, 0x41],
    [0xEF, 0xBF, 0xBD],
    [0xEF, 0xBF],
  ].map((bytes) => Uint8Array.from(bytes));
  for (const text of texts) assertEquals(deviceText(concat(text, new Uint8Array(1))), latin1(text));
});

Deno.test("the BEGIN line is followed by at most a space and a CR, and then by LF", () => {
  for (const after of ["\n", "\r\n", " \n", " \r\n", "\n\n", "\n\r\n"]) {
    assertEquals(readText(`${begin}${after}${base64}\n${end}`), [1], JSON.stringify(after));
  }
  for (const after of ["", " ", "\r", "  \n", "\t\n", "\r \n", "\r\r\n"]) {
    const reason = "no line break after BEGIN CERTIFICATE";
    assertEquals(readText(`${begin}${after}${base64}\n${end}`), reason, JSON.stringify(after));
  }
});

Deno.test("the base64 has blanks only before line breaks, which are LF or CRLF", () => {
  const taken = ["\n", "\r\n", " \n", "   \r\n", "\n\n", "\n\r\n \n"];
  for (const eol of taken) {
    for (const last of [...taken, "", " ", "    "]) {
      const text = `${begin}\n${body.join(eol)}${last}${end}`;
      assertEquals(readText(text), [1], JSON.stringify([eol, last]));
    }
  }
  const refused: readonly (readonly [string, string])[] = [
    ["\r", "a CR without LF in the base64"],
    ["\r\r\n", "a CR without LF in the base64"],
    ["\n ", "indented base64"],
    ["\n\t", "a tab in the base64"],
    ["\t\n", "a tab in the base64"],
    [" ", "a space within a line of base64"],
    ["\nComment: x\n", "header lines in the PEM block"],
    ["*", "a character that is not base64"],
    ["=", "base64 that is cut off or wrongly padded"],
    ["A", "base64 that is cut off or wrongly padded"],
    ["====", "base64 that is cut off or wrongly padded"],
    [`\n${begin}\n`, "a PEM block within another"],
  ];
  for (const [between, reason] of refused) {
    const [first, ...rest] = body;
    const text = `${begin}\n${first}${between}${rest.join("\n")}\n${end}`;
    assertEquals(readText(text), reason, JSON.stringify(between));
  }
  assertEquals(readText(`${begin}\n${base64}\r${end}`), "a CR without LF in the base64");
  assertEquals(readText(`${begin}\n${end}`), "an empty PEM block");
  const encrypted = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
  assertEquals(readText(`${begin}\n${encrypted}${base64}\n${end}`), "encrypted PEM");
});

Deno.test("text around blocks does not matter, unless it ends or begins one", () => {
  for (const text of ["hello\n", "\uFEFF", "# -----\n", "-----BEGIN X-----\n", "-----BEGIN"]) {
    assertEquals(readText(`${text}${pem}${text}${pem}`), [2], text);
  }
  assertEquals(readText(`${pem.trimEnd()}${pem.trimEnd()}`), [2]);
  const early = "an END CERTIFICATE line before the BEGIN line";
  assertEquals(readText(`${end}\n${pem}`), early);
  assertEquals(readText(`${begin}\n${pem}`), "a PEM block within another");
  assertEquals(readText(pem.slice(0, -10)), "no END CERTIFICATE line");
});

Deno.test("a block that fails is skipped, and one that is not found ends the bundle", () => {
  const odd = pem.replace("MII", "MI*");
  const wrong = "a character that is not base64";
  assertEquals(readText(odd + pem), [1, wrong]);
  assertEquals(readText(pem + odd + pem + odd), [2, wrong, wrong]);
  const glued = `${begin}${base64}\n${end}\n`;
  assertEquals(readText(pem + glued + pem), [1, "no line break after BEGIN CERTIFICATE"]);
  // mbedTLS gives up all of them for one without base64.
  assertEquals(readText(`${pem}${begin}\n \n${end}\n${pem}`), "a PEM block without base64");
  const parsed = parseStoredCertificates(stored(pem + glued + pem));
  const skipped = parsed.kind === "used" ? parsed.skipped : [];
  assertEquals(skipped.map(({ index, isLast }) => [index, isLast]), [[1, true]]);
});

/** Why text without a NUL is refused. */
function refusalOfText(text: string): StoredRefusal | undefined {
  const parsed = parseStoredCertificates(encodeUtf8(text));
  return parsed.kind === "refused" ? parsed.refusal : undefined;
}

Deno.test("only text up to the first NUL counts, and only when the last byte is NUL", () => {
  assertEquals(readText(`${pem}\0${pem}`), [1]);
  assertEquals(readText(`\0${pem}`), "a NUL before the PEM");
  for (const ending of ["", "\n", "\0\n", "\0x"]) {
    assertEquals(refusalOfText(pem + ending)?.lacksNul, true);
  }
  const broken = refusalOfText(pem.replace("MII", "MI*"));
  assertEquals(broken, { reason: "PEM without a NUL at its end" });
});

Deno.test("what is not called CERTIFICATE is DER, and DER may have bytes after it", () => {
  const { der } = certificate!;
  for (const after of [[], [0], [0, 0, 0], [1, 2]]) {
    assertEquals(readText(concat(der, Uint8Array.from(after))), [1]);
  }
  for (const label of ["X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7"]) {
    assertEquals(readText(formatPem(label, der)), `PEM with the label ${label}`);
  }
  const units = [...`\uFEFF${pem}\0`].map((character) => character.charCodeAt(0));
  const little = Uint8Array.from(units.flatMap((unit) => [unit & 0xFF, unit >> 8]));
  const big = Uint8Array.from(units.flatMap((unit) => [unit >> 8, unit & 0xFF]));
  for (const utf16 of [little, big, little.subarray(2), big.subarray(2)]) {
    assertEquals(readText(utf16), "UTF-16 text");
  }
  assertEquals(readText(new Uint8Array()), "it is empty");
});

/** "rsa" or "ec", or why a key is refused. */
function readKeyValue(value: Uint8Array | string): string {
  const parsed = parseStoredKey(typeof value === "string" ? stored(value) : value);
  return parsed.kind === "used" ? parsed.key.type : parsed.refusal.reason;
}

const ec = await generateKey();
const rsa = await rsaKey(2048);
const sec1 = exportPrivateKey(ec, { encoding: "traditional", form: "der" });
const pkcs1 = exportPrivateKey(rsa, { encoding: "traditional", form: "der" });
const { scalar, point } = decodeKeyParts(ec.pkcs8) as Required<EcParts>;
const p256 = derContext(0, derOid(CURVES["P-256"].oid));
const P256 = DOMAINS[CURVES["P-256"].oid]!;

Deno.test("the label of a key decides how it is read: PKCS#1, then SEC1, then PKCS#8", () => {
  const blocks = {
    rsa: formatPem("RSA PRIVATE KEY", pkcs1),
    ec: formatPem("EC PRIVATE KEY", sec1),
    ec8: formatPem("PRIVATE KEY", ec.pkcs8),
    rsa8: formatPem("PRIVATE KEY", rsa.pkcs8),
    encrypted: formatPem("ENCRYPTED PRIVATE KEY", ec.pkcs8),
  };
  const { rsa: first, ec: second, ec8: third, rsa8, encrypted } = blocks;
  for (const [text, kind] of [[first, "rsa"], [second, "ec"], [third, "ec"], [rsa8, "rsa"]]) {
    assertEquals(readKeyValue(text!), kind);
    assertEquals(readKeyValue(`${pem}text\n${text}${pem}`), kind);
  }
  assertEquals(readKeyValue(second + first), "rsa");
  assertEquals(readKeyValue(rsa8 + second), "ec");
  assertEquals(readKeyValue(encrypted + rsa8 + third), "rsa");
  assertEquals(readKeyValue(encrypted), "encrypted private key");
  // The first label decides, though its block is bad and another would be good.
  const bad = first.replace("MII", "MI*");
  assertEquals(readKeyValue(second + bad), "a character that is not base64");
  // But not when the device does not see it for a block.
  assertEquals(readKeyValue(second + first.replace("-----\n", "-----")), "ec");
  for (const [label, der] of [["EC PRIVATE KEY", ec.pkcs8], ["PRIVATE KEY", sec1]] as const) {
    const reason = `another encoding than the label ${label} says`;
    assertEquals(readKeyValue(formatPem(label, der)), reason);
  }
});

Deno.test("DER keys of each encoding are read, SEC1 with bytes after it", () => {
  const cases: readonly (readonly [Uint8Array, string, string])[] = [
    [sec1, "ec", "ec"],
    [ec.pkcs8, "ec", "stray bytes after the PKCS#8 key"],
    [rsa.pkcs8, "rsa", "stray bytes after the PKCS#8 key"],
    [pkcs1, "rsa", "stray bytes after the RSA key"],
  ];
  for (const [der, kind, longer] of cases) {
    assertEquals(readKeyValue(der), kind);
    for (const after of [[0], [0, 0, 0], [1]]) {
      assertEquals(readKeyValue(concat(der, Uint8Array.from(after))), longer);
    }
  }
});

Deno.test("EC keys: scalar, curve and point", () => {
  const order = encodeBigInteger(P256.n, 32);
  const under = encodeBigInteger(P256.n - 1n, 32);
  const key = (digits: Uint8Array, ...more: Uint8Array[]) =>
    readKeyValue(derSequence(derInteger(1), derOctets(digits), ...more));
  assertEquals(key(scalar, p256), "ec");
  assertEquals(key(under, p256), "ec");
  assertEquals(key(Uint8Array.of(1), p256), "ec");
  assertEquals(key(concat(new Uint8Array(40), scalar), p256), "ec");
  for (const digits of [new Uint8Array(), new Uint8Array(32), order, concat(scalar, scalar)]) {
    assertEquals(key(digits, p256), "private scalar out of the range of P-256");
  }
  const withPoint = (bytes: Uint8Array) => key(scalar, p256, derContext(1, derBits(bytes)));
  const half = concat(Uint8Array.of(2 + (point.at(-1)! & 1)), point.subarray(1, 33));
  assertEquals(withPoint(point), "ec");
  assertEquals(withPoint(half), "ec");
  // A point of the curve, though not the key's: nobody compares them.
  const base = concat(
    Uint8Array.of(4),
    encodeBigInteger(P256.Gx, 32),
    encodeBigInteger(P256.Gy, 32),
  );
  assertEquals(withPoint(base), "ec");
  const off = point.slice();
  off[64]! ^= 1;
  assertEquals(withPoint(off), "point off its curve");
  assertEquals(withPoint(Uint8Array.of(0)), "point of an unknown form");
  assertEquals(key(scalar), "EC key without a curve");
  assertEquals(key(scalar, derNull()), "EC key without a curve");
  const explicit = derContext(0, derSequence(derInteger(1)));
  assertEquals(key(scalar, explicit), "EC key with explicit curve parameters");
  const other = derContext(0, derOid("1.3.132.0.26"));
  assertEquals(key(scalar, other), "EC key on curve 1.3.132.0.26");
  assertEquals(
    readKeyValue(derSequence(derInteger(2), derOctets(scalar), p256)),
    "SEC1 version 2",
  );
});

Deno.test("compressed points that the device cannot expand do not matter beside the scalar", () => {
  const curve = derContext(0, derOid(CURVES["P-224"].oid));
  const half = derContext(1, derBits(concat(Uint8Array.of(2), new Uint8Array(28))));
  assertEquals(
    readKeyValue(derSequence(derInteger(1), derOctets(scalar.subarray(8)), curve, half)),
    "ec",
  );
});

Deno.test("PKCS#8: version, algorithm and what is after the key", () => {
  const inner = derOctets(derSequence(derInteger(1), derOctets(scalar)));
  const named = derSequence(derOid("1.2.840.10045.2.1"), derOid(CURVES["P-256"].oid));
  const info = (...parts: Uint8Array[]) => readKeyValue(derSequence(...parts));
  assertEquals(info(derInteger(0), named, inner), "ec");
  assertEquals(info(derInteger(1), named, inner), "PKCS#8 version 1");
  const attributes = derContext(0, derSequence());
  assertEquals(info(derInteger(0), named, inner, attributes), "attributes after the PKCS#8 key");
  const other = derSequence(derOid("1.2.840.10045.2.1"), derOid(CURVES["P-384"].oid));
  const both = derOctets(derSequence(derInteger(1), derOctets(scalar), p256));
  assertEquals(info(derInteger(0), other, both), "P-256 key called P-384");
  assertEquals(
    info(derInteger(0), derSequence(derOid("1.2.840.10045.2.1")), both),
    "EC key without a curve",
  );
  const bytes = derOctets(derOctets(scalar));
  for (
    const [oid, reason] of [
      ["1.3.101.112", "Ed25519 key"],
      ["1.2.840.113549.1.1.10", "RSASSA-PSS key"],
      ["1.2.3", "1.2.3 key"],
    ] as const
  ) {
    assertEquals(info(derInteger(0), derSequence(derOid(oid)), bytes), reason);
  }
  const encrypted = derSequence(derOid("1.2.840.113549.1.5.13"), derSequence());
  assertEquals(info(encrypted, derOctets(new Uint8Array(64))), "encrypted private key");
});

Deno.test("keys for key agreement are taken by their own rules", () => {
  const kindOf = (oid: string, key: Uint8Array, ...parameters: Uint8Array[]) => {
    const algorithm = derSequence(derOid(oid), ...parameters);
    const parsed = parseStoredKey(derSequence(derInteger(0), algorithm, derOctets(key)));
    if (parsed.kind === "refused") return parsed.refusal.reason;
    return parsed.key.type === "agreement" ? parsed.key.name : parsed.key.type;
  };
  const [x25519, x448, ecdh] = ["1.3.101.110", "1.3.101.111", "1.3.132.1.12"];
  assertEquals(kindOf(x25519, derOctets(new Uint8Array(32))), "X25519");
  assertEquals(kindOf(x25519, derOctets(new Uint8Array(31))), "X25519 key of 31 bytes");
  assertEquals(kindOf(x25519, derOctets(scalar), derNull()), "parameters of the X25519 algorithm");
  assertEquals(kindOf(x25519, derOctets(scalar), parseHex("0000")), "X25519");
  assertEquals(kindOf(x25519, concat(derOctets(scalar), derNull())), "stray bytes at byte 48");
  assertEquals(kindOf(x448, derOctets(new Uint8Array(56))), "X448");
  assertEquals(kindOf(x448, derOctets(scalar)), "X448 key of 32 bytes");
  assertEquals(kindOf(ecdh, sec1, derOid(CURVES["P-256"].oid)), "ECDH");
  assertEquals(kindOf(ecdh, sec1), "EC key without a curve");
  assertEquals(kindOf(ecdh, sec1, derOid(CURVES["P-384"].oid)), "P-256 key called P-384");
  const pkcs8 = derSequence(
    derInteger(0),
    derSequence(derOid(x25519)),
    derOctets(derOctets(scalar)),
  );
  assertEquals(readKeyValue(formatPem("PRIVATE KEY", pkcs8)), "agreement");
  assertEquals(
    readKeyValue(formatPem("EC PRIVATE KEY", pkcs8)),
    "another encoding than the label EC PRIVATE KEY says",
  );
});

Deno.test("RSA keys: the numbers are looked at, and not compared with each other", () => {
  const { modulus, publicExponent } = decodeKeyParts(rsa.pkcs8) as RsaParts;
  const odd = derUnsigned(Uint8Array.of(0x85));
  const key = (changed: Readonly<Record<number, Uint8Array>>, version = derInteger(0)) => {
    const numbers = [derUnsigned(modulus), derUnsigned(publicExponent), ...Array(6).fill(odd)];
    const all = numbers.map((number, at) => changed[at] ?? number);
    return readKeyValue(derSequence(version, ...all, ...Object.values(changed).slice(1)));
  };
  assertEquals(key({}), "rsa");
  // The sign bit is not looked at.
  assertEquals(key({ 3: derElement(2, parseHex("85")) }), "rsa");
  const zero = derElement(2, Uint8Array.of(0));
  assertEquals(key({ 7: zero }), "RSA 1/q mod p of 0");
  assertEquals(key({ 2: derElement(2) }), "RSA d of 0");
  assertEquals(key({ 3: derUnsigned(Uint8Array.of(4)) }), "even RSA prime p");
  assertEquals(key({ 4: derUnsigned(Uint8Array.of(4)) }), "even RSA prime q");
  assertEquals(key({ 1: derUnsigned(Uint8Array.of(4)) }), "even RSA exponent");
  assertEquals(key({ 1: derUnsigned(Uint8Array.of(1)) }), "RSA exponent 1");
  assertEquals(key({ 1: derUnsigned(modulus) }), "RSA exponent not below the modulus");
  assertEquals(key({ 1: derUnsigned(parseHex("010000000001")) }), "rsa");
  assertEquals(
    key({ 7: odd, 8: derSequence(derSequence(odd, odd, odd)) }, derInteger(1)),
    "RSA key with three primes",
  );
  assertEquals(key({}, derInteger(2)), "PKCS#1 version 2");
});

Deno.test("any bytes end in a result, in linear time", async () => {
  const valuesOf = (size: number) => [
    new Uint8Array(size).fill(0x20),
    new Uint8Array(size).fill(0x30),
    stored(`${begin}\n`.repeat(size / 28)),
    stored(`${end}\n`.repeat(size / 28)),
    stored(`${begin}\n${end}\n`.repeat(size / 56)),
    stored(`${begin}\n${" ".repeat(size)}${end}`),
    stored(`${begin}\n${" \r".repeat(size / 2)}${end}`),
    stored(`${begin}\n${"=".repeat(size)}${end}`),
    stored(`${begin}\n${"A".repeat(size)}${end}`),
    stored("-----BEGIN PRIVATE KEY-----".repeat(size / 28)),
  ];
  const work = (size: number) => {
    const values = valuesOf(size);
    return () => values.map((value) => [parseStoredCertificates(value), parseStoredKey(value)]);
  };
  assert(await growsLinearly(work, [1 << 14, 1 << 19]));
});
