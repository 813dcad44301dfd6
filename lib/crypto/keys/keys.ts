import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat, equalBytes } from "../../bytes/pack.ts";
import { formatPem, parsePem, type PemBlock, pemText, refuseLong } from "../../bytes/pem.ts";
import { encodeUtf8, parseBase64Url } from "../../bytes/text.ts";
import { foreignError } from "../foreign.ts";
import { type CurveDomain, CURVES, type EcCurve, parseCurve } from "./curves.ts";
import {
  bitLength,
  decodeKeyParts,
  type EcParts,
  encodeEcSpki,
  encodePkcs8,
  encodePointSpki,
  encodeRsaSpki,
  encodeTraditional,
  isConsistentRsa,
  isEncryptedPkcs8,
  type KeyParts,
  passwordError,
  type PrivateKey,
  type RsaParts,
  traditionalLabel,
} from "./encoding.ts";
import { keepHandle, operationsOn, otherCurve } from "../signing.ts";
import { bitLength as bitLengthOf } from "../../bytes/big_integer.ts";
import { randomBytes, type Sources } from "../sources.ts";

export type { PrivateKey } from "./encoding.ts";

/**
 * A private key: an object that this library gave, or a file as bytes or PEM text.
 *
 * @category Keys and certificates
 */
export type KeyInput = PrivateKey | Uint8Array | string;

/** What key {@linkcode generateKey} makes. */
export type GenerateKeyOptions = NonNullable<Parameters<typeof generateKey>[0]>;

/** What each key was made from, for as long as it is there. */
const partsOf = new WeakMap<PrivateKey, KeyParts>();

const RSA_BITS: readonly number[] = [1024, 2048, 3072, 4096];
const UNCOMPRESSED = 4;
/** Tab, line feed, carriage return, space. */
const BLANKS: readonly number[] = [9, 10, 13, 32];
const RSA_PUBLIC_EXPONENT = new Uint8Array([1, 0, 1]);

/**
 * A new private key: EC on P-256 by default, RSA with public exponent 65537. EC keys follow from
 * `random`; RSA keys cannot, because WebCrypto takes no seed.
 *
 * @category Keys and certificates
 * @throws {RangeError} for a curve or key size that is not offered.
 */
export async function generateKey(
  options: {
    /** Kind of key. @default "ec" */
    readonly type?: "ec" | "rsa";
    /** Curve of an EC key. @default "P-256" */
    readonly curve?: EcCurve;
    /** Length of an RSA modulus in bits; 1024 only by asking for it. @default 2048 */
    readonly bits?: 1024 | 2048 | 3072 | 4096;
    /** A number of random bytes, from which an EC key follows. @default `crypto.getRandomValues` */
    readonly random?: (length: number) => Uint8Array;
  } = {},
): Promise<PrivateKey> {
  const { type = "ec", bits = 2048 } = options;
  if (type === "rsa") return await generateRsa(bits);
  const curve = parseCurve(options.curve ?? "P-256");
  if (type !== "ec" || curve === undefined) {
    throw new RangeError(`Unknown kind of key: ${type} ${options.curve ?? ""}`.trimEnd());
  }
  if (options.random !== undefined || !CURVES[curve].webCrypto) {
    return await drawScalar(curve, options);
  }
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: curve }, true, [
    "sign",
    "verify",
  ]);
  return await fromCryptoKey(pair.privateKey);
}

/**
 * A private key from a file in any encoding: PEM or DER; PKCS#8, PKCS#1 or SEC1; a JSON Web Key;
 * password-protected as PKCS#8 (PBES2) or traditional PEM. Certificates in the PEM and a NUL after it are
 * skipped. A key whose halves do not belong together is refused; a key object is returned as it is.
 *
 * @category Keys and certificates
 * @throws {SecureCertError} `ERR_PEM`, `ERR_DER` or `ERR_KEY` for a malformed key; `ERR_PASSWORD` for a
 * missing or wrong password; `ERR_UNSUPPORTED` for another kind of key or protection.
 */
export async function importPrivateKey(
  key: KeyInput,
  options: {
    /** Opens a protected key. */
    readonly password?: string;
  } = {},
): Promise<PrivateKey> {
  if (typeof key !== "string" && !(key instanceof Uint8Array)) return key;
  try {
    return await keyFromParts(await openKeyParts(key, options.password));
  } catch (error) {
    throw foreignError(error, key, "private key");
  }
}

/**
 * Whether a file's private key cannot be read without a password.
 *
 * @param bytes The file, as {@linkcode importPrivateKey} takes it.
 * @returns False too for what is no private key.
 */
export function isProtectedKey(bytes: Uint8Array): boolean {
  const text = pemText(bytes);
  if (text === undefined) return isEncryptedPkcs8(bytes);
  try {
    return parsePem(text).some((block) =>
      block.label === "ENCRYPTED PRIVATE KEY" || isEncryptedBlock(block)
    );
  } catch {
    return false;
  }
}

/**
 * The bytes of a private key, not encrypted: PEM as UTF-8 without a NUL, or DER. Keep them secret.
 *
 * @category Keys and certificates
 */
export function exportPrivateKey(
  key: PrivateKey,
  options: {
    /** PKCS#8, or the traditional PKCS#1 and SEC1. @default "pkcs8" */
    readonly encoding?: "pkcs8" | "traditional";
    /** PEM text or DER. @default "pem" */
    readonly form?: "pem" | "der";
  } = {},
): Bytes {
  const { encoding = "pkcs8", form = "pem" } = options;
  const [der, label] = encoding === "pkcs8" ? [key.pkcs8, "PRIVATE KEY"] : traditional(key);
  return form === "der" ? der.slice() : encodeUtf8(formatPem(label, der));
}

/** What a key was made from; not to be changed. */
export function keyPartsOf(key: PrivateKey): KeyParts {
  return partsOf.get(key) ?? decodeKeyParts(key.pkcs8);
}

function traditional(key: PrivateKey): [Bytes, string] {
  const parts = keyPartsOf(key);
  return [encodeTraditional(parts), traditionalLabel(parts)];
}

async function generateRsa(modulusLength: number): Promise<PrivateKey> {
  if (!RSA_BITS.includes(modulusLength)) {
    throw new RangeError(`RSA keys have ${RSA_BITS.join(", ")} bits, not ${modulusLength}`);
  }
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength,
    publicExponent: RSA_PUBLIC_EXPONENT,
    hash: "SHA-256",
  };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  return await fromCryptoKey(pair.privateKey);
}

/** WebCrypto made it, so its halves need no check. */
async function fromCryptoKey(handle: CryptoKey): Promise<PrivateKey> {
  const parts = decodeKeyParts(new Uint8Array(await crypto.subtle.exportKey("pkcs8", handle)));
  if (parts.type === "ec" && parts.point === undefined) return await keyFromParts(parts);
  const key = parts.type === "rsa" ? rsaKey(parts) : ecKey(parts, parts.point!);
  keepHandle(key, handle);
  return key;
}

/** FIPS 186-5 appendix A.2.2: draw scalars until one is in range, which all but never takes a second. */
async function drawScalar(curve: EcCurve, sources: Pick<Sources, "random">): Promise<PrivateKey> {
  const { size, bits } = CURVES[curve];
  for (let tries = 0; tries < 64; tries++) {
    const scalar = randomBytes(size, sources);
    scalar[0]! &= 0xFF >>> (size * 8 - bits);
    const key = await ecKeyOf(curve, scalar);
    if (key !== undefined) return key;
  }
  throw new RangeError("random gives no usable key");
}

async function openKeyParts(
  file: Uint8Array | string,
  password: string | undefined,
): Promise<KeyParts> {
  refuseLong(file);
  const text = pemText(file);
  if (text === undefined) {
    if (startsJson(file)) return (await import("./jwk.ts")).decodeJwk(file);
    if (typeof file !== "string") return await openDer(file, password);
  }
  const keys = parsePem(text ?? "").filter(({ label }) => label.endsWith("PRIVATE KEY"));
  if (keys.length !== 1) {
    throw new SecureCertError(
      "ERR_KEY",
      `Cannot decode private key: PEM holds ${countOf(keys.length, "key")}`,
    );
  }
  return await openPem(keys[0]!, password);
}

/** A brace, after blanks. */
function startsJson(file: Uint8Array | string): boolean {
  const first = typeof file === "string" ? file.trimStart()[0] : String.fromCharCode(
    file.find((byte) => !BLANKS.includes(byte)) ?? 0,
  );
  return first === "{";
}

async function openPem(block: PemBlock, password: string | undefined): Promise<KeyParts> {
  if (!isEncryptedBlock(block)) return await openDer(block.bytes, password);
  if (password === undefined) throw passwordError("needs a password");
  const { decryptTraditional } = await import("./password.ts");
  return decodeDecrypted(await decryptTraditional(block, password));
}

/** RFC 1421, `Proc-Type: 4,ENCRYPTED`. */
function isEncryptedBlock({ headers }: PemBlock): boolean {
  return headers["Proc-Type"]?.includes("ENCRYPTED") === true;
}

async function openDer(der: Uint8Array, password: string | undefined): Promise<KeyParts> {
  if (!isEncryptedPkcs8(der)) return decodeKeyParts(der);
  if (password === undefined) throw passwordError("needs a password");
  const { decryptPkcs8 } = await import("./password.ts");
  return decodeDecrypted(await decryptPkcs8(der, password));
}

/** One wrong password in 256 leaves a good padding and no key before it. */
function decodeDecrypted(der: Uint8Array): KeyParts {
  try {
    return decodeKeyParts(der);
  } catch (cause) {
    if (cause instanceof SecureCertError && cause.code === "ERR_UNSUPPORTED") throw cause;
    throw passwordError("wrong password", cause);
  }
}

async function keyFromParts(parts: KeyParts): Promise<PrivateKey> {
  const key = parts.type === "rsa" ? openRsa(parts) : await openEc(parts);
  if (key !== undefined) return key;
  throw new SecureCertError(
    "ERR_KEY",
    "Cannot use private key: its public and private halves do not match",
  );
}

/** Undefined when its numbers contradict each other. */
function openRsa(parts: RsaParts): PrivateKey | undefined {
  return isConsistentRsa(parts) ? rsaKey(parts) : undefined;
}

/**
 * The key on a curve with a private scalar.
 *
 * @param scalar As long as a coordinate of the curve, big-endian.
 * @returns Undefined when the scalar is out of range.
 */
export async function ecKeyOf(curve: EcCurve, scalar: Bytes): Promise<PrivateKey | undefined> {
  return await openEc({ type: "ec", curve, scalar });
}

/**
 * SubjectPublicKeyInfo, DER, of a private scalar on any curve, those too on which no key is made here.
 *
 * @param domain The curve.
 * @param scalar In the range of the curve, big-endian, without leading zeros.
 */
export async function ecPublicKeyOf(domain: CurveDomain, scalar: Bytes): Promise<Bytes> {
  const size = Math.ceil(bitLengthOf(domain.n) / 8);
  const { publicPoint } = await operationsOn(domain);
  const point = publicPoint(concat(new Uint8Array(size - scalar.length), scalar));
  return encodePointSpki(domain.oid, point);
}

/**
 * Undefined when the scalar is out of range, or the point is not its own. WebCrypto works the point out
 * when a PKCS#8 comes without it.
 */
async function openEc(parts: EcParts): Promise<PrivateKey | undefined> {
  const { curve, scalar } = parts;
  const operations = CURVES[curve].webCrypto ? undefined : await otherCurve(curve);
  try {
    if (operations !== undefined) {
      const point = operations.publicPoint(scalar);
      return isOwn(point, parts) ? ecKey(parts, point) : undefined;
    }
    const pkcs8 = encodePkcs8({ type: "ec", curve, scalar });
    const algorithm = { name: "ECDSA", namedCurve: curve };
    const handle = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]);
    const { x, y } = await crypto.subtle.exportKey("jwk", handle);
    const point = concat(Uint8Array.of(UNCOMPRESSED), parseBase64Url(x!), parseBase64Url(y!));
    if (!isOwn(point, parts)) return undefined;
    const key = ecKey(parts, point);
    keepHandle(key, handle);
    return key;
  } catch {
    return undefined;
  }
}

function isOwn(found: Bytes, { point = found }: EcParts): boolean {
  return equalBytes(found, point);
}

function rsaKey(parts: RsaParts): PrivateKey {
  const bits = bitLength(parts.modulus);
  return keyOf({ type: "rsa", bits, publicKey: encodeRsaSpki(parts) }, parts);
}

function ecKey({ curve, scalar }: EcParts, point: Bytes): PrivateKey {
  const publicKey = encodeEcSpki(curve, point);
  const parts = { type: "ec", curve, scalar, point } as const;
  return keyOf({ type: "ec", curve, bits: CURVES[curve].bits, publicKey }, parts);
}

/** Keeps what is secret of a key out of sight. */
function keyOf(shown: Omit<PrivateKey, "pkcs8">, parts: KeyParts): PrivateKey {
  const hidden = Object.defineProperty(shown, "pkcs8", { value: encodePkcs8(parts) });
  const key = Object.freeze(hidden) as PrivateKey;
  partsOf.set(key, parts);
  return key;
}
