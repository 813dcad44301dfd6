import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat } from "../bytes/pack.ts";
import {
  Asn1Set,
  BitString,
  Constructed,
  fromBER,
  Integer,
  Null,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
} from "./deps.ts";

/** One element of an ASN.1 structure. */
export interface DerNode {
  /** `universal` tag number, or `[n]` for a context-specific one. */
  readonly tag: number | `[${number}]`;
  /** The elements of a constructed one. */
  readonly children: readonly DerNode[];
  /** The contents of a primitive one; of a BIT STRING without the count of unused bits. */
  readonly content: Bytes;
  /** The whole element. */
  readonly raw: Bytes;
  /** Dotted form of an OBJECT IDENTIFIER, else empty. */
  readonly oid: string;
}

/** Universal tag numbers (X.680 section 8.6). */
export const TAG = {
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  sequence: 16,
} as const;

/** What asn1js gives, as far as it is read here. */
interface Block {
  readonly idBlock: {
    readonly tagClass: number;
    readonly tagNumber: number;
    readonly isConstructed: boolean;
  };
  readonly valueBlock: {
    readonly value?: unknown;
    readonly valueHexView?: Uint8Array;
    readonly unusedBits?: number;
    toString(): string;
  };
  readonly valueBeforeDecodeView: Uint8Array;
}

/**
 * The structure of DER bytes.
 *
 * @param bytes One element, with nothing behind it.
 * @param what What the bytes should be, for the message.
 * @throws {SecureCertError} `ERR_DER` when they are no ASN.1, or more than one element.
 */
export function readDer(bytes: Uint8Array, what: string): DerNode {
  let parsed;
  try {
    parsed = fromBER(new Uint8Array(bytes), { parseEmbedded: false });
  } catch (cause) {
    throw badDer(what, { cause });
  }
  if (parsed.offset === -1 || parsed.offset !== bytes.length) throw badDer(what);
  return nodeOf(parsed.result as unknown as Block);
}

/** The error for a structure that is not what it should be. */
export function badDer(what: string, options?: ErrorOptions): SecureCertError {
  return new SecureCertError("ERR_DER", `Cannot decode ${what}: malformed ASN.1`, {}, options);
}

/** SEQUENCE of elements that are DER already. */
export function derSequence(...parts: readonly Uint8Array[]): Bytes {
  return berOf(new Sequence({ value: parts.map(rawBlock) }));
}

/** SET OF elements that are DER already, which the caller has sorted. */
export function derSet(...parts: readonly Uint8Array[]): Bytes {
  return berOf(new Asn1Set({ value: parts.map(rawBlock) }));
}

/** A context-specific constructed element `[tag]` around DER elements. */
export function derContext(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  return berOf(
    new Constructed({ idBlock: { tagClass: 3, tagNumber: tag }, value: parts.map(rawBlock) }),
  );
}

/** INTEGER of a small number. */
export function derInteger(value: number): Bytes {
  return berOf(new Integer({ value }));
}

/** INTEGER of an unsigned big-endian number, with the sign byte it needs and no zeros more. */
export function derUnsigned(number: Uint8Array): Bytes {
  let first = 0;
  while (first < number.length - 1 && number[first] === 0) first++;
  const sign = new Uint8Array(number[first]! >= 0x80 ? 1 : 0);
  return berOf(new Integer({ valueHex: concat(sign, number.subarray(first)).buffer }));
}

/** OCTET STRING. */
export function derOctets(bytes: Uint8Array): Bytes {
  return berOf(new OctetString({ valueHex: new Uint8Array(bytes) }));
}

/** BIT STRING of whole bytes. */
export function derBits(bytes: Uint8Array): Bytes {
  return berOf(new BitString({ valueHex: new Uint8Array(bytes) }));
}

/** OBJECT IDENTIFIER of a dotted form. */
export function derOid(oid: string): Bytes {
  return berOf(new ObjectIdentifier({ value: oid }));
}

/** NULL. */
export function derNull(): Bytes {
  return berOf(new Null());
}

/** The content of an INTEGER without its sign byte, as an unsigned big-endian number. */
export function unsignedContent(node: DerNode): Bytes {
  let first = 0;
  while (first < node.content.length - 1 && node.content[first] === 0) first++;
  return node.content.slice(first);
}

/** The bytes of an asn1js block. */
export function berOf(block: { toBER(): ArrayBuffer }): Bytes {
  return new Uint8Array(block.toBER());
}

/** DER as it is, for a place where asn1js wants a block; its own RawData forgets the writer. */
function rawBlock(bytes: Uint8Array): never {
  const { buffer } = new Uint8Array(bytes);
  const toBER = (_sizeOnly?: boolean, writer?: { write(part: ArrayBuffer): void }) => {
    writer?.write(buffer);
    return buffer;
  };
  return { toBER } as never;
}

function nodeOf(block: Block): DerNode {
  const { tagClass, tagNumber, isConstructed } = block.idBlock;
  const isUniversal = tagClass === 1;
  const { value } = block.valueBlock;
  return {
    tag: isUniversal ? tagNumber : `[${tagNumber}]`,
    children: isConstructed && Array.isArray(value) ? value.map(nodeOf) : [],
    content: new Uint8Array(block.valueBlock.valueHexView ?? []),
    raw: new Uint8Array(block.valueBeforeDecodeView),
    oid: isUniversal && tagNumber === TAG.oid ? block.valueBlock.toString() : "",
  };
}

/** A context-specific primitive element `[tag]`. */
export function derPrimitive(tag: number, bytes: Uint8Array): Bytes {
  return berOf(
    new Primitive({ idBlock: { tagClass: 3, tagNumber: tag }, valueHex: new Uint8Array(bytes) }),
  );
}
