import { SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import type { PemBlock } from "../../bytes/pem.ts";
import { encodeUtf8, parseHex, shownWord } from "../../bytes/text.ts";
import type { HashName } from "./curves.ts";
import { md5 } from "../deps.ts";
import {
  contentOf,
  derError,
  type DerNode,
  enterDer,
  nextDer,
  numberOf,
  optionalDer,
  readDer,
  shownOid,
  TAG,
} from "../der.ts";
import { passwordError, readAlgorithm } from "./encoding.ts";

/**
 * The most PBKDF2 iterations that are worked through, so that a hostile file cannot keep the machine
 * busy: these take about a second. OpenSSL writes 2048, and OWASP advises 600,000 to 1,300,000.
 */
const MAX_PBKDF2_ITERATIONS = 4_000_000;

const PBES2 = "1.2.840.113549.1.5.13";
const DEFAULT_PRF = "1.2.840.113549.2.7";
const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";
/**
 * The most that scrypt may take: 128 · N · r · p bytes are worked through, and 128 · N · r of them are in
 * memory. This is N = 2^17 with r = 8, the strongest that is usual, in about a second; OpenSSL writes 2^14.
 */
const MAX_SCRYPT_BYTES = 128 << 20;
/** The schemes of PKCS#12 (RFC 7292 appendix C) and of PKCS#5 version 1.5 (RFC 8018 appendix A.3). */
const OLD_SCHEMES = ["1.2.840.113549.1.12.1.", "1.2.840.113549.1.5."];

type CipherName = "AES-128-CBC" | "AES-192-CBC" | "AES-256-CBC" | "DES-EDE3-CBC";

const KEY_SIZES: Readonly<Record<CipherName, number>> = {
  "AES-128-CBC": 16,
  "AES-192-CBC": 24,
  "AES-256-CBC": 32,
  "DES-EDE3-CBC": 24,
};

const CIPHER_OIDS: ReadonlyMap<string, CipherName> = new Map([
  ["2.16.840.1.101.3.4.1.2", "AES-128-CBC"],
  ["2.16.840.1.101.3.4.1.22", "AES-192-CBC"],
  ["2.16.840.1.101.3.4.1.42", "AES-256-CBC"],
  ["1.2.840.113549.3.7", "DES-EDE3-CBC"],
]);

const PRF_OIDS: ReadonlyMap<string, HashName> = new Map([
  [DEFAULT_PRF, "SHA-1"],
  ["1.2.840.113549.2.9", "SHA-256"],
  ["1.2.840.113549.2.10", "SHA-384"],
  ["1.2.840.113549.2.11", "SHA-512"],
]);

/**
 * Opens password-protected PKCS#8: PBES2 with PBKDF2 or scrypt, and AES-CBC or 3DES-CBC
 * (RFC 8018, RFC 7914).
 *
 * @param der The EncryptedPrivateKeyInfo.
 * @param password The password, used as UTF-8.
 * @returns The PKCS#8 inside.
 * @throws {SecureCertError} `ERR_PASSWORD` when the password is wrong, `ERR_UNSUPPORTED` for other
 * schemes, more than four million iterations or a cost of scrypt above that of N = 2^17 with r = 8,
 * `ERR_DER` when malformed.
 */
export async function decryptPkcs8(der: Uint8Array, password: string): Promise<Bytes> {
  const fields = enterDer(readDer(der, "encrypted private key"));
  const { oid, parameters } = readAlgorithm(nextDer(fields, TAG.sequence));
  const encrypted = nextDer(fields, TAG.octetString);
  if (oid !== PBES2) throw unsupportedScheme(oid);
  if (parameters === undefined) throw derError(encrypted, 0, "no parameters");
  const { kdf, cipher, iv } = readPbes2(parameters);
  const key = await deriveKey(password, kdf, KEY_SIZES[cipher]);
  return await decryptCbc(cipher, key, iv, contentOf(encrypted));
}

/**
 * Opens a traditional PEM key with `Proc-Type: 4,ENCRYPTED` (RFC 1421; the key comes from OpenSSL's
 * EVP_BytesToKey with MD5, one round, salt = the first 8 bytes of the IV).
 *
 * @param block The PEM block with its headers.
 * @param password The password, used as UTF-8.
 * @returns The PKCS#1 or SEC1 structure inside.
 * @throws {SecureCertError} `ERR_PASSWORD` when the password is wrong, `ERR_UNSUPPORTED` for other
 * ciphers, `ERR_PEM` when the headers are malformed.
 */
export async function decryptTraditional(block: PemBlock, password: string): Promise<Bytes> {
  const [name = "", ivHex = ""] = (block.headers["DEK-Info"] ?? "").split(",");
  const cipher = name.trim().toUpperCase() as CipherName;
  if (!Object.hasOwn(KEY_SIZES, cipher)) {
    throw unsupported(`cipher ${shownWord(name.trim()) || "unnamed"}`);
  }
  const iv = parseHex(ivHex.trim());
  if (iv.length !== ivSize(cipher)) {
    throw new SecureCertError(
      "ERR_PEM",
      "Cannot decode encrypted private key: bad DEK-Info header",
    );
  }
  const salted = concat(encodeUtf8(password), iv.subarray(0, 8));
  let key: Bytes = new Uint8Array(0);
  for (let digest: Uint8Array = new Uint8Array(0); key.length < KEY_SIZES[cipher];) {
    digest = md5(concat(digest, salted));
    key = concat(key, digest);
  }
  return await decryptCbc(cipher, key.slice(0, KEY_SIZES[cipher]), iv, block.bytes);
}

interface Pbkdf2 {
  readonly salt: Bytes;
  readonly iterations: number;
  readonly hash: HashName;
}

interface Scrypt {
  readonly salt: Bytes;
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

type Kdf = Pbkdf2 | Scrypt;

/** PBES2-params (RFC 8018 appendix A.4) with the parameters of its key derivation. */
function readPbes2(parameters: DerNode): { kdf: Kdf; cipher: CipherName; iv: Bytes } {
  const fields = enterDer(parameters);
  const derivation = readAlgorithm(nextDer(fields, TAG.sequence));
  const scheme = readAlgorithm(nextDer(fields, TAG.sequence));
  const readKdf = KDFS.get(derivation.oid);
  if (readKdf === undefined) throw unsupported(`derivation ${shownOid(derivation.oid)}`);
  const cipher = CIPHER_OIDS.get(scheme.oid);
  if (cipher === undefined) throw unsupported(`cipher ${shownOid(scheme.oid)}`);
  const iv = scheme.parameters && contentOf(scheme.parameters);
  if (derivation.parameters === undefined || iv?.length !== ivSize(cipher)) {
    throw derError(
      parameters,
      parameters.start,
      "need the parameters of the derivation and of the cipher",
    );
  }
  return { kdf: readKdf(derivation.parameters), cipher, iv };
}

/** PBKDF2-params (RFC 8018 appendix A.2). */
function readPbkdf2(parameters: DerNode): Pbkdf2 {
  const fields = enterDer(parameters);
  const salt = contentOf(nextDer(fields, TAG.octetString));
  const iterations = numberOf(nextDer(fields, TAG.integer));
  optionalDer(fields, TAG.integer);
  const prf = optionalDer(fields, TAG.sequence);
  const oid = prf ? readAlgorithm(prf).oid : DEFAULT_PRF;
  const hash = PRF_OIDS.get(oid);
  if (hash === undefined) throw unsupported(`hash ${shownOid(oid)}`);
  if (iterations >= 1 && iterations <= MAX_PBKDF2_ITERATIONS) return { salt, iterations, hash };
  throw unsupported(`a count of ${iterations} iterations, above ${MAX_PBKDF2_ITERATIONS},`);
}

/** scrypt-params (RFC 7914 section 7.1). */
function readScrypt(parameters: DerNode): Scrypt {
  const fields = enterDer(parameters);
  const salt = contentOf(nextDer(fields, TAG.octetString));
  const [N, r, p] = [0, 1, 2].map(() => numberOf(nextDer(fields, TAG.integer))) as NRP;
  const isPowerOf2 = N > 1 && Number.isInteger(Math.log2(N));
  if (!isPowerOf2 || r < 1 || p < 1) {
    throw derError(parameters, parameters.start, "bad scrypt cost");
  }
  if (128 * N * r * p <= MAX_SCRYPT_BYTES) return { salt, N, r, p };
  throw unsupported(`scrypt with N = ${N}, r = ${r}, p = ${p}, above N = 131072 with r = 8,`);
}

type NRP = [number, number, number];

/** The key derivations by object identifier. */
const KDFS: ReadonlyMap<string, (parameters: DerNode) => Kdf> = new Map<
  string,
  (parameters: DerNode) => Kdf
>([
  [PBKDF2, readPbkdf2],
  [SCRYPT, readScrypt],
]);

async function deriveKey(password: string, kdf: Kdf, size: number): Promise<Bytes> {
  if ("hash" in kdf) return await pbkdf2(password, kdf, size);
  const { scrypt } = await import("./scrypt/deps.ts");
  const { salt, ...cost } = kdf;
  return new Uint8Array(scrypt(encodeUtf8(password), salt, { ...cost, dkLen: size }));
}

async function pbkdf2(
  password: string,
  { salt, iterations, hash }: Pbkdf2,
  size: number,
): Promise<Bytes> {
  const base = await crypto.subtle.importKey("raw", encodeUtf8(password), "PBKDF2", false, [
    "deriveBits",
  ]);
  const derivation = { name: "PBKDF2", salt, iterations, hash };
  return new Uint8Array(await crypto.subtle.deriveBits(derivation, base, size * 8));
}

async function decryptCbc(cipher: CipherName, key: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  try {
    if (cipher === "DES-EDE3-CBC") return await decryptTripleDes(key, iv, data);
    const aes = await crypto.subtle.importKey("raw", key, "AES-CBC", false, ["decrypt"]);
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, aes, data));
  } catch (cause) {
    throw passwordError("wrong password", cause);
  }
}

async function decryptTripleDes(key: Bytes, iv: Bytes, data: Bytes): Promise<Bytes> {
  const { des } = await import("./des/deps.ts");
  const decipher = des.CBC.instantiate(des.EDE).create({ type: "decrypt", key, iv });
  return new Uint8Array([...decipher.update(data), ...decipher.final()]);
}

function ivSize(cipher: CipherName): number {
  return cipher === "DES-EDE3-CBC" ? 8 : 16;
}

/** The old schemes whose ciphers OpenSSL 3 has without its legacy provider. */
function isTripleDes(oid: string): boolean {
  return /^1\.2\.840\.113549\.1\.12\.1\.[34]$/.test(oid);
}

function unsupportedScheme(oid: string): SecureCertError {
  const isOld = OLD_SCHEMES.some((start) => oid.startsWith(start));
  if (!isOld) return unsupported(`scheme ${shownOid(oid)}`);
  const providers = isTripleDes(oid) ? "" : "-provider legacy -provider default ";
  const command = `openssl pkcs8 ${providers}-in FILE -topk8 -v2 aes256 -out key.pem`;
  return new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot open private key: it is protected with an old scheme (PKCS#12 or PKCS#5 v1.5); convert it: ${command}`,
  );
}

function unsupported(what: string): SecureCertError {
  return new SecureCertError(
    "ERR_UNSUPPORTED",
    `Cannot open private key: ${what} is not supported`,
  );
}
