import type { Bytes } from "../../bytes/pack.ts";
import { badDer } from "./read.ts";

/** Where an element and its contents lie. */
export interface DerSpan {
  /** The identifier octet. */
  readonly identifier: number;
  /** Offset of the identifier octet. */
  readonly start: number;
  /** Offset of the contents. */
  readonly content: number;
  /** Offset behind the contents. */
  readonly end: number;
}

/**
 * Where the element at an offset lies, without a look into it.
 *
 * @param bytes DER.
 * @param start Offset of the element.
 * @param limit Offset that it must not pass. @default the end of the bytes
 * @throws {SecureCertError} `ERR_DER` for an element that does not fit, or is not DER.
 */
export function derSpan(bytes: Uint8Array, start: number, limit = bytes.length): DerSpan {
  const [identifier, first] = [bytes[start], bytes[start + 1]];
  if (identifier === undefined || first === undefined || (identifier & 0x1F) === 0x1F) {
    throw badDer("element");
  }
  const count = first < 0x80 ? 0 : first & 0x7F;
  if (first === 0x80 || count > 3) throw badDer("element");
  const content = start + 2 + count;
  let length = count === 0 ? first : 0;
  for (let at = start + 2; at < content; at++) length = length << 8 | (bytes[at] ?? 0);
  const isShortest = count === 0 || length >= 0x80 && length >= 2 ** (8 * (count - 1));
  if (!isShortest || content + length > limit) throw badDer("element");
  return { identifier, start, content, end: content + length };
}

/** The elements within an element. */
export function derChildren(bytes: Uint8Array, parent: DerSpan): DerSpan[] {
  const children: DerSpan[] = [];
  for (let at = parent.content; at < parent.end;) {
    const child = derSpan(bytes, at, parent.end);
    children.push(child);
    at = child.end;
  }
  return children;
}

/** The parts of a certificate that identify it. */
export interface CertificateParts {
  /** The signed part, DER. */
  readonly signedPart: Bytes;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
  /** The serial number without a sign byte. */
  readonly serial: Bytes;
  /** The signature. */
  readonly signature: Bytes;
}

/**
 * The parts of a certificate (RFC 5280 section 4.1) by their place; they are views of it.
 *
 * @throws {SecureCertError} `ERR_DER` when it is none.
 */
export function certificateParts(der: Bytes): CertificateParts {
  const root = derSpan(der, 0);
  const [tbs, , signature] = derChildren(der, root);
  if (root.end !== der.length || tbs === undefined || signature === undefined) {
    throw badDer("certificate");
  }
  const fields = derChildren(der, tbs);
  // Version 1, which OpenSSL issues from a request without extensions, is not written.
  const first = fields[0]?.identifier === 0xA0 ? 1 : 0;
  const [serial, key] = [fields[first], fields[first + 5]];
  if (serial?.identifier !== 2 || key?.identifier !== 0x30) {
    throw badDer("certificate");
  }
  const number = der.subarray(serial.content, serial.end);
  return {
    signedPart: der.subarray(tbs.start, tbs.end),
    publicKey: der.subarray(key.start, key.end),
    serial: number[0] === 0 && number.length > 1 ? number.subarray(1) : number,
    signature: der.subarray(signature.content + 1, signature.end),
  };
}
