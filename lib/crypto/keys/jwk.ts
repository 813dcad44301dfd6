import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import { decodeUtf8, parseBase64Url, shownValue } from "../../bytes/text.ts";
import { derInteger, derSequence, derUnsigned, encodeDer } from "../der.ts";
import { CURVES, isEcCurve } from "./curves.ts";
import type { EcParts, KeyParts, RsaParts } from "./encoding.ts";

type Members = Readonly<Record<string, unknown>>;

/** In the order of RSAPrivateKey (RFC 8017 appendix A.1.2). */
const RSA_MEMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"] as const;
const UNCOMPRESSED = 4;

/**
 * The parts of a private JSON Web Key (RFC 7517 section 4, RFC 7518 section 6), or of the only key of a
 * set of them (RFC 7517 section 5).
 *
 * @param file The JSON.
 * @throws {SecureCertError} `ERR_KEY` for what is not one, and for a member that is missing or has the
 * wrong length; `ERR_UNSUPPORTED` for another kind of key or curve, and for more than two primes.
 */
export function decodeJwk(file: Uint8Array | string): KeyParts {
  const key = onlyKey(parse(file));
  if (key.kty === "EC") return decodeEc(key);
  if (key.kty === "RSA") return decodeRsa(key);
  throw unsupported(`a key of type ${shown(key.kty)}, which is neither RSA nor EC`);
}

function parse(file: Uint8Array | string): Members {
  const text = typeof file === "string" ? file : decodeUtf8(file);
  try {
    const value: unknown = JSON.parse(text ?? "");
    if (typeof value === "object" && value !== null) return value as Members;
  } catch {
    // The error of JSON.parse quotes the text.
  }
  throw bad("not JSON");
}

function onlyKey(members: Members): Members {
  const keys: unknown = members.keys;
  if (!Array.isArray(keys)) return members;
  const [only, ...others]: unknown[] = keys;
  if (typeof only === "object" && only !== null && others.length === 0) return only as Members;
  throw bad(`a set of ${countOf(keys.length, "key")}, need one`);
}

function decodeEc(key: Members): EcParts {
  const curve = key.crv;
  if (typeof curve !== "string" || !isEcCurve(curve)) {
    throw unsupported(`a key on the curve ${shown(curve)}`);
  }
  const { size } = CURVES[curve];
  const scalar = sized(key, "d", size);
  const point = key.x === undefined && key.y === undefined
    ? undefined
    : concat(Uint8Array.of(UNCOMPRESSED), sized(key, "x", size), sized(key, "y", size));
  return { type: "ec", curve, scalar, point };
}

function decodeRsa(key: Members): RsaParts {
  if (key.oth !== undefined) throw unsupported("an RSA key with more than two primes");
  const numbers = RSA_MEMBERS.map((name) => minimal(number(key, name)));
  const [modulus, publicExponent, privateExponent] = numbers;
  return {
    type: "rsa",
    pkcs1: encodeDer(derSequence(derInteger(0), ...numbers.map(derUnsigned))),
    modulus: modulus!,
    publicExponent: publicExponent!,
    privateExponent: privateExponent!,
  };
}

/** Coordinates and scalars have all their bytes (RFC 7518 section 6.2). */
function sized(key: Members, name: string, size: number): Bytes {
  const bytes = number(key, name);
  if (bytes.length === size) return bytes;
  throw bad(`${name} has ${countOf(bytes.length, "byte")}, ${shown(key.crv)} takes ${size}`);
}

function number(key: Members, name: string): Bytes {
  const text = key[name];
  if (typeof text !== "string" || text === "") {
    throw bad(name === "d" ? "no d: it is a public key, not a private one" : `no ${name}`);
  }
  try {
    return parseBase64Url(text);
  } catch {
    throw bad(`${name} is not base64url`);
  }
}

/** Without leading zeros, which some writers leave. */
function minimal(bytes: Bytes): Bytes {
  const first = bytes.findIndex((byte) => byte !== 0);
  return bytes.subarray(first < 0 ? bytes.length - 1 : first);
}

function shown(value: unknown): string {
  return typeof value === "string" && value.length <= 20 ? shownValue(value) : "unknown";
}

function bad(problem: string): SecureCertError {
  return new SecureCertError("ERR_KEY", `Cannot decode private key: JSON Web Key: ${problem}`);
}

function unsupported(what: string): SecureCertError {
  return new SecureCertError("ERR_UNSUPPORTED", `Cannot use key: it is ${what}`);
}
