import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat, inRange, isFilledWith, viewOf } from "../bytes/pack.ts";
import { DS_LAYOUTS, dsLayoutOfCiphertext } from "./chips/chip.ts";

/** Bytes of an initialisation vector of the DS peripheral. */
export const DS_IV_LENGTH = 16;
/** Bytes of a DS context; the firmware takes no other length. */
const DS_CONTEXT_SIZE = 8;
/** Bytes of a security configuration. */
export const SECURITY_CONFIG_SIZE = 40;
/** KEY0 is eFuse block 4 on every chip that can keep an ECDSA key in eFuse. */
export const FIRST_KEY_BLOCK = 4;

const LAST_KEY_BLOCK = 9;
const LENGTH_WORD = 4;
const CONTEXT = "Cannot encode DS context";
const CONFIG = "Cannot encode security configuration";
const NO_TAIL = new Uint8Array(SECURITY_CONFIG_SIZE - 1);

/** What the DS peripheral decrypts to sign with an RSA key. */
export type DsData = Parameters<typeof encodeDsData>[0];

/**
 * DS data, `esp_ds_data_t` of the firmware (FORMAT: TLV types, DS_DATA), 1604 or 1220 bytes: bits / 32 -
 * 1 as u32, little-endian | IV 16 | ciphertext.
 *
 * @category Peripheral values
 * @throws {RangeError} for a ciphertext or IV of another length, or a key size that is not a multiple of
 * 32 bits or that the ciphertext has no room for.
 */
export function encodeDsData(data: {
  /** Size of the RSA key in bits, a multiple of 32. */
  readonly rsaLengthBits: number;
  /** The initialisation vector, 16 bytes. */
  readonly iv: Uint8Array;
  /** The encrypted key: 1584 bytes on chips with operands of 4096 bits, 1200 with 3072 bits. */
  readonly ciphertext: Uint8Array;
}): Bytes {
  const { rsaLengthBits, iv, ciphertext } = data;
  const layout = dsLayoutOfCiphertext(ciphertext.length);
  if (layout === undefined) {
    throw new RangeError(
      `Cannot encode DS data: no chip has ${ciphertext.length}-byte ciphertexts`,
    );
  }
  if (iv.length !== DS_IV_LENGTH) {
    throw new RangeError(`Cannot encode DS data: need an IV of 16 bytes, have ${iv.length}`);
  }
  const words = rsaLengthBits / 32;
  if (!Number.isInteger(words) || words < 1 || rsaLengthBits > layout.maxRsaBits) {
    throw new RangeError(
      `Cannot encode DS data: RSA key of ${rsaLengthBits} bits, need a multiple of 32 up to ` +
        `${layout.maxRsaBits}`,
    );
  }
  const head = new Uint8Array(LENGTH_WORD);
  viewOf(head).setUint32(0, words - 1, true);
  return concat(head, iv, ciphertext);
}

/**
 * Reads DS data of 1604 or 1220 bytes, as views of them.
 *
 * @category Peripheral values
 * @throws {SecureCertError} `ERR_LENGTH` for any other length, or a key too long for its ciphertext.
 */
export function decodeDsData(
  bytes: Uint8Array,
): { readonly rsaLengthBits: number; readonly iv: Uint8Array; readonly ciphertext: Uint8Array } {
  const layout = DS_LAYOUTS.find(({ dataLength }) => dataLength === bytes.length);
  if (layout === undefined) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot decode DS data: need 1604 or 1220 bytes, have ${bytes.length}`,
    );
  }
  const rsaLengthBits = (viewOf(bytes).getUint32(0, true) + 1) * 32;
  if (rsaLengthBits > layout.maxRsaBits) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot decode DS data: RSA key of ${rsaLengthBits} bits, ` +
        `the ciphertext has room for ${layout.maxRsaBits}`,
      { offset: 0, field: "rsaLengthBits" },
    );
  }
  const body = LENGTH_WORD + DS_IV_LENGTH;
  return {
    rsaLengthBits,
    iv: bytes.subarray(LENGTH_WORD, body),
    ciphertext: bytes.subarray(body),
  };
}

/** Which eFuse key the DS peripheral uses, and for what size of RSA key. */
export type DsContext = Parameters<typeof encodeDsContext>[0];

/**
 * The 8 bytes of a DS context, integers little-endian (FORMAT: TLV types, DS_CONTEXT): pointer u32, 0 |
 * eFuse key id u8 | 0 | key size in bits u16.
 *
 * @category Peripheral values
 * @throws {RangeError} for a number that its field cannot hold.
 */
export function encodeDsContext(context: {
  /** The n of the KEYn that holds the HMAC key, 0 to 5 on the chips there are. */
  readonly efuseKeyId: number;
  /** Size of the RSA key in bits. */
  readonly rsaLengthBits: number;
  /** The word that the firmware replaces by a pointer. @default 0 */
  readonly pointer?: number;
  /** The byte between the two fields. @default 0 */
  readonly padding?: number;
}): Bytes {
  const { efuseKeyId, rsaLengthBits, pointer = 0, padding = 0 } = context;
  const bytes = new Uint8Array(DS_CONTEXT_SIZE);
  const view = viewOf(bytes);
  view.setUint32(0, inRange(pointer, 0xFFFFFFFF, `${CONTEXT}: pointer`), true);
  view.setUint8(4, inRange(efuseKeyId, 0xFF, `${CONTEXT}: efuseKeyId`));
  view.setUint8(5, inRange(padding, 0xFF, `${CONTEXT}: padding`));
  view.setUint16(
    6,
    inRange(rsaLengthBits, 0xFFFF, `${CONTEXT}: rsaLengthBits`),
    true,
  );
  return bytes;
}

/**
 * Reads a DS context of 8 bytes. Its numbers are not checked: the firmware takes any.
 *
 * @category Peripheral values
 * @throws {SecureCertError} `ERR_LENGTH` for any other length.
 */
export function decodeDsContext(bytes: Uint8Array): {
  readonly efuseKeyId: number;
  readonly rsaLengthBits: number;
  /** The word that the firmware replaces by a pointer, present only when it is not zero. */
  readonly pointer?: number;
  /** The byte between the two fields, present only when it is not zero. */
  readonly padding?: number;
} {
  exactly(bytes, DS_CONTEXT_SIZE, "DS context");
  const view = viewOf(bytes);
  const pointer = view.getUint32(0, true);
  const padding = view.getUint8(5);
  return {
    efuseKeyId: view.getUint8(4),
    rsaLengthBits: view.getUint16(6, true),
    pointer: pointer === 0 ? undefined : pointer,
    padding: padding === 0 ? undefined : padding,
  };
}

/** Which eFuse block holds the key of the ECDSA peripheral. */
export type SecurityConfig = ReturnType<typeof decodeSecurityConfig>;

/**
 * The 40 bytes of a security configuration (FORMAT: TLV types, SEC_CFG): eFuse block u8 | 0 x 39. The
 * block is given as `efuseBlock`, or as `efuseKeyId`, which is the block less 4.
 *
 * @category Peripheral values
 * @throws {RangeError} for a block outside 0 to 255, a key id outside 0 to 5, two that contradict each
 * other, or a tail that is not 39 bytes.
 */
export function encodeSecurityConfig(config: {
  /** Number of the eFuse block, 0 to 255. */
  readonly efuseBlock?: number;
  /** The n of KEYn, 0 to 5. */
  readonly efuseKeyId?: number;
  /** The 39 bytes after the block number. @default zeros */
  readonly tail?: Uint8Array;
}): Bytes {
  const { efuseKeyId, tail = NO_TAIL } = config;
  if (efuseKeyId !== undefined) {
    inRange(
      efuseKeyId,
      LAST_KEY_BLOCK - FIRST_KEY_BLOCK,
      `${CONFIG}: efuseKeyId`,
    );
  }
  const fromKeyId = efuseKeyId === undefined ? undefined : efuseKeyId + FIRST_KEY_BLOCK;
  const block = config.efuseBlock ?? fromKeyId;
  if (block === undefined) {
    throw new RangeError(`${CONFIG}: need efuseBlock or efuseKeyId`);
  }
  if (fromKeyId !== undefined && block !== fromKeyId) {
    throw new RangeError(
      `${CONFIG}: block ${block} is not that of KEY${efuseKeyId}`,
    );
  }
  if (tail.length !== NO_TAIL.length) {
    throw new RangeError(`${CONFIG}: need a tail of 39 bytes`);
  }
  const head = new Uint8Array([
    inRange(block, 0xFF, `${CONFIG}: efuseBlock`),
  ]);
  return concat(head, tail);
}

/**
 * Reads a security configuration of 40 bytes.
 *
 * @category Peripheral values
 * @throws {SecureCertError} `ERR_LENGTH` for any other length.
 */
export function decodeSecurityConfig(bytes: Uint8Array): {
  /** Number of the eFuse block, 0 to 255; 4 is KEY0. */
  readonly efuseBlock: number;
  /** The n of KEYn, absent when the block is not one of KEY0 to KEY5. */
  readonly efuseKeyId?: number;
  /** The 39 bytes after the block number, present only when one is not zero. */
  readonly tail?: Uint8Array;
} {
  exactly(bytes, SECURITY_CONFIG_SIZE, "security configuration");
  const efuseBlock = viewOf(bytes).getUint8(0);
  const tail = bytes.subarray(1);
  const isKey = efuseBlock >= FIRST_KEY_BLOCK && efuseBlock <= LAST_KEY_BLOCK;
  return {
    efuseBlock,
    efuseKeyId: isKey ? efuseBlock - FIRST_KEY_BLOCK : undefined,
    ...isFilledWith(tail, 0) ? {} : { tail },
  };
}

function exactly(bytes: Uint8Array, size: number, what: string): void {
  if (bytes.length === size) return;
  throw new SecureCertError(
    "ERR_LENGTH",
    `Cannot decode ${what}: need ${countOf(size, "byte")}, have ${bytes.length}`,
  );
}
