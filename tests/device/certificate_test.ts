import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseBase64 } from "../../lib/bytes/text.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { vector } from "../vectors.ts";

const SEED = 20261127;

interface Mutant {
  readonly mutation: string;
  readonly der: string;
  readonly code: number;
  readonly text: string;
}

interface Measured {
  readonly name: string;
  /** What the device's library answered; above 0 the number of certificates that it skipped. */
  readonly code: number;
  readonly text: string;
  readonly ders: readonly string[];
}

function readJson<T>(name: string): readonly T[] {
  return JSON.parse(new TextDecoder().decode(vector(name)));
}

const MUTANTS = readJson<Mutant>("device/mutants.json");
const MEASURED = readJson<Measured>("device/certificates.json");

const refusalOfBase64 = (der: string) => certificateRefusal(parseBase64(der));

/** What a reason names, by the words that the library has for where it stopped. */
const WORDS: readonly (readonly [RegExp, RegExp])[] = [
  [/date tag/, /in the validity/],
  [/name tag/, /in the (issuer|subject)/],
  [/algorithm tag/, /signature algorithm/],
  [/do not match/, /inner and outer signature algorithm/],
  [/serial tag/, /serial number/],
  [/version element/, /in the version/],
  [/unsupported version/, /^version \d/],
  [/\(oid\) is unsupported/, /^signature algorithm /],
  [/extension tag/, /extension|keyUsage|subjectAltName|authorityKeyIdentifier/i],
];

Deno.test("each recorded mutant is taken or refused as the device does", () => {
  for (const { mutation, der, code, text } of MUTANTS) {
    const refusal = refusalOfBase64(der);
    assertEquals(refusal === undefined, code === 0, `${mutation}: ${text}; ${refusal}`);
    const words = WORDS.find(([device]) => device.test(text))?.[1];
    if (refusal !== undefined && words !== undefined) assert(words.test(refusal), refusal);
  }
  assertEquals(MUTANTS.length, 160);
});

const REASONS: Readonly<Record<string, string>> = {
  "ca-bundle-one-unparsable": "critical extension nameConstraints",
  "cert-ber-indefinite": "indefinite length at byte 0",
  "cert-name-constraints": "critical extension nameConstraints",
  "cert-sig-ecdsa-sha3": "signature algorithm ECDSA with SHA3-256",
  "cert-unique-ids": "primitive unique identifier",
  "cert-utctime-no-seconds": "UTCTime not of the form YYMMDDhhmmssZ in the validity",
  "ext-aki-malformed":
    "need sequence (tag 0x30), found octetString (tag 0x04) at byte 214 in authorityKeyIdentifier",
  "ext-crit-freshest-crl": "critical extension freshestCRL",
  "ext-crit-policies-specific": "critical policy 1.3.6.1.4.1.99999.5 in certificatePolicies",
  "ext-crit-policy-mappings": "critical extension policyMappings",
  "ext-crit-tlsfeature": "critical extension TLS feature",
  "ext-eku-empty": "no purposes in extendedKeyUsage",
  "sigalg-outer-mismatch": "inner and outer signature algorithm differ",
  "v1-with-ext": "version 1 with extensions",
  "v4-cert": "version 4",
};

Deno.test("each recorded certificate is taken or refused as the device does, for its reason", () => {
  for (const { name, code, ders } of MEASURED) {
    const refusals = ders.map(refusalOfBase64).filter((each) => each !== undefined);
    assertEquals(refusals.length, code < 0 ? 1 : code, name);
    assertEquals(refusals[0], REASONS[name], name);
  }
});

Deno.test("cut or changed anywhere, a certificate is taken or refused, and nothing is thrown", () => {
  const certificates = [...MUTANTS, ...MEASURED.flatMap(({ ders }) => ders.map((der) => ({ der })))]
    .map(({ der }) => parseBase64(der));
  fc.assert(
    fc.property(
      fc.constantFrom(...certificates),
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 0, max: 255 }),
      (certificate, length, at, byte) => {
        assert(certificateRefusal(certificate.subarray(0, length % certificate.length)));
        const changed = certificate.slice();
        changed[at % changed.length] = byte;
        const refusal = certificateRefusal(changed);
        assert(refusal === undefined || refusal.length < 200, refusal);
      },
    ),
    { numRuns: 2000, seed: SEED },
  );
});
