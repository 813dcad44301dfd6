import { decodeBigInteger, encodeBigInteger } from "../../bytes/big_integer.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { spelledName } from "../../bytes/nearest.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { CURVE_SYNONYMS } from "../../format/names.ts";
import { shownOid } from "../der.ts";

/**
 * A curve that a private key may be on.
 *
 * @category Keys and certificates
 */
export type EcCurve =
  | "P-192"
  | "P-224"
  | "P-256"
  | "P-384"
  | "P-521"
  | "secp256k1"
  | "brainpoolP256r1"
  | "brainpoolP384r1"
  | "brainpoolP512r1";

interface CurveFacts {
  /** Object identifier (RFC 5480 section 2.1.1.1, SEC 2 for secp256k1, RFC 5639 for brainpool). */
  readonly oid: string;
  /** Bits of the field. */
  readonly bits: number;
  /** Bytes of a coordinate or scalar. */
  readonly size: number;
  /** Hash that signs with it: at least as strong as the curve where there is one. */
  readonly hash: HashName;
  /** Whether WebCrypto knows it. */
  readonly webCrypto: boolean;
}

/** A hash of WebCrypto. */
export type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

/** A hash of signatures: those of WebCrypto, and those with which none is made here. */
export type SignatureHash = HashName | "MD5" | "SHA-224";

/** Object identifiers of the hashes (RFC 8017 appendix B.1). */
export const HASH_OIDS: Readonly<Record<SignatureHash, string>> = {
  "MD5": "1.2.840.113549.2.5",
  "SHA-1": "1.3.14.3.2.26",
  "SHA-224": "2.16.840.1.101.3.4.2.4",
  "SHA-256": "2.16.840.1.101.3.4.2.1",
  "SHA-384": "2.16.840.1.101.3.4.2.2",
  "SHA-512": "2.16.840.1.101.3.4.2.3",
};

/** RSA keys of fewer bits than this are weak: TLS peers refuse them. */
export const WEAK_RSA_BITS = 2048;

/** What is known of each curve. */
export const CURVES = {
  "P-192": { oid: "1.2.840.10045.3.1.1", bits: 192, size: 24, hash: "SHA-256", webCrypto: false },
  "P-224": { oid: "1.3.132.0.33", bits: 224, size: 28, hash: "SHA-256", webCrypto: false },
  "P-256": { oid: "1.2.840.10045.3.1.7", bits: 256, size: 32, hash: "SHA-256", webCrypto: true },
  "P-384": { oid: "1.3.132.0.34", bits: 384, size: 48, hash: "SHA-384", webCrypto: true },
  "P-521": { oid: "1.3.132.0.35", bits: 521, size: 66, hash: "SHA-512", webCrypto: true },
  "secp256k1": { oid: "1.3.132.0.10", bits: 256, size: 32, hash: "SHA-256", webCrypto: false },
  "brainpoolP256r1": {
    oid: "1.3.36.3.3.2.8.1.1.7",
    bits: 256,
    size: 32,
    hash: "SHA-256",
    webCrypto: false,
  },
  "brainpoolP384r1": {
    oid: "1.3.36.3.3.2.8.1.1.11",
    bits: 384,
    size: 48,
    hash: "SHA-384",
    webCrypto: false,
  },
  "brainpoolP512r1": {
    oid: "1.3.36.3.3.2.8.1.1.13",
    bits: 512,
    size: 64,
    hash: "SHA-512",
    webCrypto: false,
  },
} as const satisfies Record<EcCurve, CurveFacts>;

/**
 * The curve of an object identifier.
 *
 * @throws {SecureCertError} `ERR_UNSUPPORTED` for any other curve.
 */
export function curveOfOid(oid: string): EcCurve {
  for (const curve of Object.keys(CURVES) as EcCurve[]) if (CURVES[curve].oid === oid) return curve;
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot use key: curve ${shownOid(oid) || "unnamed"} is not known`,
  );
}

/**
 * The curve that a text names in any usual spelling, such as `p256`, `prime256v1` or `secp256r1` for
 * `P-256`.
 */
export function parseCurve(text: string): EcCurve | undefined {
  return spelledName(text, Object.keys(CURVES) as EcCurve[], CURVE_SYNONYMS);
}

/** Whether a private key may be on a curve of this name. */
export function isEcCurve(name: string): name is EcCurve {
  return Object.hasOwn(CURVES, name);
}

/** The curve y² = x³ + ax + b over the integers modulo p, and a base point of the prime order n. */
export interface CurveDomain {
  /** Object identifier. */
  readonly oid: string;
  /** Name as people write it. */
  readonly name: string;
  /** Bytes of a coordinate. */
  readonly size: number;
  readonly p: bigint;
  readonly n: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly Gx: bigint;
  readonly Gy: bigint;
}

/**
 * Domain parameters of the curves that ESP-IDF's mbedTLS has, by object identifier (FIPS 186-4 appendix
 * D.1.2, SEC 2 version 2 section 2, RFC 5639 section 3).
 */
export const DOMAINS: Readonly<Record<string, CurveDomain>> = {
  "1.2.840.10045.3.1.1": {
    oid: "1.2.840.10045.3.1.1",
    name: "P-192",
    size: 24,
    p: 0xfffffffffffffffffffffffffffffffeffffffffffffffffn,
    n: 0xffffffffffffffffffffffff99def836146bc9b1b4d22831n,
    a: 0xfffffffffffffffffffffffffffffffefffffffffffffffcn,
    b: 0x64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1n,
    Gx: 0x188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012n,
    Gy: 0x7192b95ffc8da78631011ed6b24cdd573f977a11e794811n,
  },
  "1.3.132.0.33": {
    oid: "1.3.132.0.33",
    name: "P-224",
    size: 28,
    p: 0xffffffffffffffffffffffffffffffff000000000000000000000001n,
    n: 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn,
    a: 0xfffffffffffffffffffffffffffffffefffffffffffffffffffffffen,
    b: 0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4n,
    Gx: 0xb70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21n,
    Gy: 0xbd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34n,
  },
  "1.2.840.10045.3.1.7": {
    oid: "1.2.840.10045.3.1.7",
    name: "P-256",
    size: 32,
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    a: 0xffffffff00000001000000000000000000000000fffffffffffffffffffffffcn,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    Gx: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
    Gy: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
  },
  "1.3.132.0.34": {
    oid: "1.3.132.0.34",
    name: "P-384",
    size: 48,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    a: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffcn,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
    Gx:
      0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
    Gy:
      0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
  },
  "1.3.132.0.35": {
    oid: "1.3.132.0.35",
    name: "P-521",
    size: 66,
    p: 0x1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffn,
    n: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    a: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffcn,
    b: 0x51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
    Gx:
      0xc6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66n,
    Gy:
      0x11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650n,
  },
  "1.3.132.0.31": {
    oid: "1.3.132.0.31",
    name: "secp192k1",
    size: 24,
    p: 0xfffffffffffffffffffffffffffffffffffffffeffffee37n,
    n: 0xfffffffffffffffffffffffe26f2fc170f69466a74defd8dn,
    a: 0x0n,
    b: 0x3n,
    Gx: 0xdb4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7dn,
    Gy: 0x9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9dn,
  },
  "1.3.132.0.32": {
    oid: "1.3.132.0.32",
    name: "secp224k1",
    size: 28,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffeffffe56dn,
    n: 0x10000000000000000000000000001dce8d2ec6184caf0a971769fb1f7n,
    a: 0x0n,
    b: 0x5n,
    Gx: 0xa1455b334df099df30fc28a169a467e9e47075a90f7e650eb6b7a45cn,
    Gy: 0x7e089fed7fba344282cafbd6f7e319f7c0b0bd59e2ca4bdb556d61a5n,
  },
  "1.3.132.0.10": {
    oid: "1.3.132.0.10",
    name: "secp256k1",
    size: 32,
    p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn,
    n: 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
    a: 0x0n,
    b: 0x7n,
    Gx: 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n,
    Gy: 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n,
  },
  "1.3.36.3.3.2.8.1.1.7": {
    oid: "1.3.36.3.3.2.8.1.1.7",
    name: "brainpoolP256r1",
    size: 32,
    p: 0xa9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377n,
    n: 0xa9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7n,
    a: 0x7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9n,
    b: 0x26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6n,
    Gx: 0x8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262n,
    Gy: 0x547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997n,
  },
  "1.3.36.3.3.2.8.1.1.11": {
    oid: "1.3.36.3.3.2.8.1.1.11",
    name: "brainpoolP384r1",
    size: 48,
    p: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53n,
    n: 0x8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565n,
    a: 0x7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826n,
    b: 0x4a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11n,
    Gx:
      0x1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1en,
    Gy:
      0x8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315n,
  },
  "1.3.36.3.3.2.8.1.1.13": {
    oid: "1.3.36.3.3.2.8.1.1.13",
    name: "brainpoolP512r1",
    size: 64,
    p: 0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528aa6056583a48f3n,
    n: 0xaadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb58796829ca90069n,
    a: 0x7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94can,
    b: 0x3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b75ebae5dd2809bd638016f723n,
    Gx:
      0x81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b352209bcb9f822n,
    Gy:
      0x7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892n,
  },
};

const UNCOMPRESSED = 4;
const COMPRESSED_EVEN = 2;
const COMPRESSED_ODD = 3;

/**
 * A point in uncompressed form (SEC 1 section 2.3.3: 0x04, X, Y), from this or from compressed form.
 *
 * @param domain The curve.
 * @param point The point in either form.
 * @returns Undefined for the point at infinity, the hybrid form, what is not on the curve, and for
 * compressed points on P-224 and secp224k1, which mbedTLS does not read either.
 */
export function uncompressedPoint(domain: CurveDomain, point: Uint8Array): Bytes | undefined {
  const { size } = domain;
  const [form] = point;
  const isWhole = form === UNCOMPRESSED && point.length === 1 + 2 * size;
  const isHalf = (form === COMPRESSED_EVEN || form === COMPRESSED_ODD) && point.length === 1 + size;
  if (!isWhole && !isHalf) return undefined;
  const x = decodeBigInteger(point.subarray(1, 1 + size));
  const y = isWhole
    ? decodeBigInteger(point.subarray(1 + size))
    : rootOf(domain, x, form === COMPRESSED_ODD);
  if (y === undefined || !isOnCurve(domain, x, y)) return undefined;
  if (isWhole) return new Uint8Array(point);
  const found = new Uint8Array(1 + 2 * size);
  found[0] = UNCOMPRESSED;
  found.set(encodeBigInteger(x, size), 1);
  found.set(encodeBigInteger(y, size), 1 + size);
  return found;
}

/** Whether a curve's field has the quick square root (SEC 1 section 2.3.4), the only one mbedTLS knows. */
export function canUncompress({ p }: CurveDomain): boolean {
  return (p & 3n) === 3n;
}

function isOnCurve(domain: CurveDomain, x: bigint, y: bigint): boolean {
  const { p } = domain;
  return x < p && y < p && y * y % p === rightSide(domain, x);
}

/** y of a point whose x is known; not of this curve when x is of no point. */
function rootOf(domain: CurveDomain, x: bigint, isOdd: boolean): bigint | undefined {
  const { p } = domain;
  if (!canUncompress(domain)) return undefined;
  const root = power(rightSide(domain, x), p + 1n >> 2n, p);
  return (root & 1n) === (isOdd ? 1n : 0n) ? root : p - root;
}

function rightSide({ p, a, b }: CurveDomain, x: bigint): bigint {
  return ((x * x + a) * x + b) % p;
}

/** Not constant in time: for public values only. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = result * result % modulus;
    if (bit === "1") result = result * base % modulus;
  }
  return result;
}
