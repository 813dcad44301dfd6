import type { Bytes } from "../../bytes/pack.ts";
import { ecdsa, sha256, weierstrass } from "./deps.ts";
import type { CurveDomain } from "./curves.ts";

/** What is done with a key on a curve; nothing here is constant in time. */
export interface CurveOperations {
  /** The public point, uncompressed, of a private scalar; throws when the scalar is out of range. */
  publicPoint(scalar: Uint8Array): Bytes;
  /** An ECDSA signature r, s of a digest, each as long as a scalar; deterministic (RFC 6979). */
  signDigest(digest: Uint8Array, scalar: Uint8Array): Bytes;
  /** Whether an ECDSA signature r, s of a digest is good; false too for a point off the curve. */
  verifyDigest(signature: Uint8Array, digest: Uint8Array, point: Uint8Array): boolean;
}

const known = new Map<CurveDomain, CurveOperations>();

/** Operations on a curve in JavaScript, for curves and hashes that WebCrypto lacks. */
export function curveOperations(domain: CurveDomain): CurveOperations {
  const operations = known.get(domain) ?? createOperations(domain);
  known.set(domain, operations);
  return operations;
}

function createOperations(domain: CurveDomain): CurveOperations {
  const operations = ecdsa(weierstrass({ ...domain, h: 1n }), sha256);
  const options = { prehash: false, lowS: false } as const;
  return {
    publicPoint: (scalar) => new Uint8Array(operations.getPublicKey(scalar, false)),
    signDigest: (digest, scalar) => new Uint8Array(operations.sign(digest, scalar, options)),
    verifyDigest: (signature, digest, point) => {
      // It throws for a point or a number that is not of this curve: a wrong signature as well.
      try {
        return operations.verify(signature, digest, point, options);
      } catch {
        return false;
      }
    },
  };
}
