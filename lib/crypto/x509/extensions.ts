import type { Bytes } from "../../bytes/pack.ts";
import type { EcCurve, HashName } from "../keys/curves.ts";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  BitString,
  Extension,
  ExtKeyUsage,
  GeneralizedTime,
  OctetString,
  UTCTime,
} from "../deps.ts";
import { badDer, berOf, derNull, derOid, derSequence, readDer, TAG } from "../der/read.ts";
import { hashFor, type SignatureScheme } from "../signing.ts";

/** Object identifiers of the extensions that are written and read (RFC 5280 section 4.2.1). */
export const EXTENSION = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Bits of keyUsage, numbered as RFC 5280 section 4.2.1.3 numbers them. */
export const KEY_USAGE = {
  digitalSignature: 0,
  keyEncipherment: 2,
  keyCertSign: 5,
  cRLSign: 6,
} as const;

/** Object identifiers of extendedKeyUsage (RFC 5280 section 4.2.1.12). */
export const EXTENDED_KEY_USAGE = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
} as const;

/** The moment that means "no well-defined expiration date" (RFC 5280 section 4.1.2.5). */
export const NO_EXPIRY: Date = new Date("9999-12-31T23:59:59Z");

/** Signature algorithms: ECDSA (RFC 5758) and RSA PKCS#1 v1.5 (RFC 8017) by hash. */
const SIGNATURE_OIDS = {
  ec: {
    "SHA-1": "1.2.840.10045.4.1",
    "SHA-256": "1.2.840.10045.4.3.2",
    "SHA-384": "1.2.840.10045.4.3.3",
    "SHA-512": "1.2.840.10045.4.3.4",
  },
  rsa: {
    "SHA-1": "1.2.840.113549.1.1.5",
    "SHA-256": "1.2.840.113549.1.1.11",
    "SHA-384": "1.2.840.113549.1.1.12",
    "SHA-512": "1.2.840.113549.1.1.13",
  },
} as const satisfies Record<string, Record<HashName, string>>;

const RSA_PSS = "1.2.840.113549.1.1.10";
const PSS_HASHES: ReadonlyMap<string, HashName> = new Map([
  ["1.3.14.3.2.26", "SHA-1"],
  ["2.16.840.1.101.3.4.2.1", "SHA-256"],
  ["2.16.840.1.101.3.4.2.2", "SHA-384"],
  ["2.16.840.1.101.3.4.2.3", "SHA-512"],
]);

/** AlgorithmIdentifier of the signatures a key makes, DER. */
export function signatureAlgorithm(
  key: { type: "ec" | "rsa"; curve?: EcCurve; bits: number },
): Bytes {
  const oid = derOid(SIGNATURE_OIDS[key.type][hashFor(key)]);
  return key.type === "rsa" ? derSequence(oid, derNull()) : derSequence(oid);
}

/** How a signature was made, from its AlgorithmIdentifier; undefined for one that is not known. */
export function signatureScheme(algorithm: Uint8Array): SignatureScheme | undefined {
  const [oid, parameters] = readDer(algorithm, "signature algorithm").children;
  if (oid?.oid === RSA_PSS) {
    const field = (tag: number) =>
      parameters?.children.find((each) => each.tag === `[${tag}]`)?.children[0];
    const hash = PSS_HASHES.get(field(0)?.children[0]?.oid ?? "1.3.14.3.2.26");
    return hash && { hash, pssSaltLength: field(2)?.content.at(-1) ?? 20 };
  }
  for (const oids of Object.values(SIGNATURE_OIDS)) {
    for (const hash of Object.keys(oids) as HashName[]) {
      if (oids[hash] === oid?.oid) return { hash };
    }
  }
  return undefined;
}

/** A key identifier: SHA-1 of the public key's bits (RFC 5280 section 4.2.1.2, method 1). */
export async function keyIdentifier(spki: Uint8Array): Promise<Bytes> {
  const bits = readDer(spki, "public key").children[1];
  if (bits?.tag !== TAG.bitString) throw badDer("public key");
  return new Uint8Array(await crypto.subtle.digest("SHA-1", bits.content));
}

/** UTCTime to 2049, GeneralizedTime from 2050 on, whole seconds (RFC 5280 section 4.1.2.5). */
export function encodeTime(time: Date): Bytes {
  const valueDate = new Date(Math.floor(time.getTime() / 1000) * 1000);
  const year = valueDate.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) {
    throw new RangeError(`Cannot encode time: year ${year} is not 1950 to 9999`);
  }
  return berOf(year < 2050 ? new UTCTime({ valueDate }) : new GeneralizedTime({ valueDate }));
}

/** subjectKeyIdentifier. */
export function subjectKeyExtension(identifier: Bytes): Extension {
  const value = berOf(new OctetString({ valueHex: identifier }));
  return extension(EXTENSION.subjectKeyIdentifier, false, value);
}

/** authorityKeyIdentifier. */
export function authorityKeyExtension(identifier: Bytes): Extension {
  const keyIdentifier = new OctetString({ valueHex: identifier });
  const value = new AuthorityKeyIdentifier({ keyIdentifier }).toSchema();
  return extension(EXTENSION.authorityKeyIdentifier, false, berOf(value));
}

/** basicConstraints, critical. */
export function basicConstraintsExtension(cA: boolean, pathLength?: number): Extension {
  const constraints = new BasicConstraints(
    pathLength === undefined ? { cA } : { cA, pathLenConstraint: pathLength },
  );
  return extension(EXTENSION.basicConstraints, true, berOf(constraints.toSchema()));
}

/** keyUsage, critical. */
export function keyUsageExtension(...usages: readonly (keyof typeof KEY_USAGE)[]): Extension {
  const bits = usages.reduce((byte, usage) => byte | 0x80 >> KEY_USAGE[usage], 0);
  // A named bit list ends with its last set bit (X.690 section 11.2.2).
  const unusedBits = 31 - Math.clz32(bits & -bits);
  const value = new BitString({ valueHex: new Uint8Array([bits]).buffer, unusedBits });
  return extension(EXTENSION.keyUsage, true, berOf(value));
}

/** extendedKeyUsage. */
export function extendedKeyUsageExtension(keyPurposes: readonly string[]): Extension {
  const value = new ExtKeyUsage({ keyPurposes: [...keyPurposes] }).toSchema();
  return extension(EXTENSION.extendedKeyUsage, false, berOf(value));
}

/** subjectAltName; critical when the subject is empty (RFC 5280 section 4.2.1.6). */
export function subjectAltNameExtension(generalNames: Bytes, critical: boolean): Extension {
  return extension(EXTENSION.subjectAltName, critical, generalNames);
}

function extension(extnID: string, critical: boolean, value: Bytes): Extension {
  return new Extension({ extnID, critical, extnValue: value.buffer });
}
