import type { Bytes } from "../../bytes/pack.ts";
import type { EcCurve } from "./curves.ts";
import { ecdsa, sha256, weierstrass } from "./deps.ts";

/** Domain parameters of the curves that WebCrypto lacks (SEC 2 sections 2.2.2 and 2.4.1). */
const PARAMETERS: Readonly<Partial<Record<EcCurve, Parameters<typeof weierstrass<bigint>>[0]>>> = {
  "P-192": {
    p: 0xfffffffffffffffffffffffffffffffeffffffffffffffffn,
    n: 0xffffffffffffffffffffffff99def836146bc9b1b4d22831n,
    h: 1n,
    a: 0xfffffffffffffffffffffffffffffffefffffffffffffffcn,
    b: 0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1n,
    Gx: 0x188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012n,
    Gy: 0x07192b95ffc8da78631011ed6b24cdd573f977a11e794811n,
  },
  "secp256k1": {
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
    n: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
    h: 1n,
    a: 0n,
    b: 7n,
    Gx: 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
    Gy: 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
  },
};

/** What is done with a key on a curve; nothing here is constant in time. */
export interface CurveOperations {
  /** The public point, uncompressed, of a private scalar; throws when the scalar is out of range. */
  publicPoint(scalar: Uint8Array): Bytes;
  /** An ECDSA signature r, s of a digest, each as long as a scalar; deterministic (RFC 6979). */
  signDigest(digest: Uint8Array, scalar: Uint8Array): Bytes;
  /** Whether an ECDSA signature r, s of a digest is good; false too for a point off the curve. */
  verifyDigest(signature: Uint8Array, digest: Uint8Array, point: Uint8Array): boolean;
}

/**
 * Operations on a curve that WebCrypto lacks.
 *
 * @param curve `P-192` or `secp256k1`.
 * @throws {RangeError} for any other curve.
 */
export function curveOperations(curve: EcCurve): CurveOperations {
  const parameters = PARAMETERS[curve];
  if (parameters === undefined) throw new RangeError(`${curve} is for WebCrypto`);
  const operations = ecdsa(weierstrass(parameters), sha256);
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
