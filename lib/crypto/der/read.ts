import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { fromBER } from "../deps.ts";

export {
  derBits,
  derContext,
  derElement,
  derInteger,
  derNull,
  derOctets,
  derOid,
  derPrimitive,
  derSequence,
  derSet,
  derTrue,
  derUnsigned,
} from "./write.ts";

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
