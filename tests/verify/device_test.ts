/** Verify against what mbedTLS answered when it was handed the stored bytes of an image. */
import { assert, assertEquals } from "@std/assert";
import { verify } from "../../mod.ts";
import { vector } from "../vectors.ts";

/** What the library answered: 0, how many certificates of a bundle it skipped, or an error. */
interface Answer {
  readonly code: number;
  readonly text: string;
}

interface Measured {
  readonly name: string;
  readonly parsed: { readonly ca: Answer; readonly dev: Answer; readonly key: Answer };
}

const MEASURED: readonly Measured[] = JSON.parse(
  new TextDecoder().decode(vector("device/parsed.json")),
);
/** While its certificates are valid. */
const now = () => new Date("2026-12-01T00:00:00Z");
const REFUSED = ["CERT_REFUSED", "KEY_REFUSED", "PEM_NO_NUL"];

async function refusals(name: string) {
  const { findings } = await verify(vector(`device/${name}.bin`), { now });
  return findings.filter(({ code }) => REFUSED.includes(code));
}

Deno.test("what the device's library refuses or skips, verify reports, and nothing else", async () => {
  for (const { name, parsed } of MEASURED) {
    const found = await refusals(name);
    const entries = [parsed.ca, parsed.dev, parsed.key];
    for (const [entry, { code, text }] of entries.entries()) {
      const own = found.filter(({ place }) => place.entry === entry);
      const wanted = code < 0 ? ["error"] : Array(code).fill("warning");
      const what = `${name} ${entry}: ${text}; ${own.map(({ message }) => message)}`;
      assertEquals(own.map(({ severity }) => severity), wanted, what);
      const isKey = entry === 2;
      for (const { code } of own) {
        assert(name === "raw-nonul" || code === (isKey ? "KEY_REFUSED" : "CERT_REFUSED"), what);
      }
    }
  }
  assertEquals(MEASURED.length, 69);
});

/** Each reason, in words. */
const REASONS: Readonly<Record<string, string>> = {
  "raw-cr": "the device refuses the device certificate: no line break after BEGIN CERTIFICATE",
  "raw-indented": "the device refuses the device certificate: indented base64",
  "raw-nonul": "the device certificate is PEM without a NUL at its end; mbedTLS refuses it",
  "raw-p7b": "the device refuses the device certificate: PEM with the label PKCS7",
  "raw-trailspaces":
    "the device refuses the device certificate: no line break after BEGIN CERTIFICATE",
  "raw-utf16": "the device refuses the device certificate: UTF-16 text",
  "rawkey-ec-any-private-key":
    "the device refuses the private key: PEM with the label ANY PRIVATE KEY",
  "rawkey-ec-cr": "the device refuses the private key: no line break after BEGIN EC PRIVATE KEY",
  "rawkey-ec-explicit": "the device refuses the private key: EC key with explicit curve parameters",
  "rawkey-ec-pem-oneline":
    "the device refuses the private key: no line break after BEGIN EC PRIVATE KEY",
  "ca-bundle-one-unparsable":
    "the device skips certificate 2 of the CA certificate's bundle: critical extension nameConstraints",
};

Deno.test("each refusal has its reason in words", async () => {
  for (const [name, reason] of Object.entries(REASONS)) {
    assertEquals((await refusals(name)).map(({ message }) => message), [reason], name);
  }
});

Deno.test("certificates and keys are compared as the device reads them", async () => {
  for (const { name, parsed: { ca, dev, key } } of MEASURED) {
    const { findings } = await verify(vector(`device/${name}.bin`), { now });
    const isRead = [ca, dev, key].every(({ code }) => code >= 0);
    // The CA's certificate comes first in the one, an RSA key before the EC key in the other.
    const isMismatch = name === "raw-comments" || name === "rawkey-ec-twokeys";
    assertEquals(findings.some(({ code }) => code === "KEY_MISMATCH"), isMismatch, name);
    const codes = findings.filter(({ severity }) => severity === "error").map(({ code }) => code);
    if (isRead && !isMismatch) assertEquals(codes, [], name);
  }
});
