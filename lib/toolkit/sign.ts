import { type Place, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import {
  isSignatureRight,
  publicKeyDigest,
  rawSignature,
  readSignatureKey,
  signatureSize,
  type Signer,
} from "../crypto/signature.ts";
import { digest } from "../crypto/signing.ts";
import { TLV_TYPES } from "../format/names.ts";
import {
  encodeSignatureEntry,
  MAX_SIGNATURES,
  type SignatureAlgorithm,
  type SignatureKey,
} from "../format/signature_block.ts";
import { withIntegrity } from "../format/partition.ts";
import type { Tlv } from "../format/tlv.ts";
import { layOut, type OpenedImage, openForChange } from "../image/edit.ts";

const SIGNATURE: number = TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV;

/** How a signed image is laid out. */
export interface SignOptions {
  /**
   * Size of the partition in bytes, which the signed image must fit.
   * @default 0x2000, or the length of the image when that is more
   */
  readonly size?: number;
  /**
   * Close the signed image with an integrity entry over entries and signatures, of the subtype that
   * follows those of the image. Firmware that checks integrity wants the last one to cover all.
   * @default false
   */
  readonly integrity?: boolean;
}

/** A signature made elsewhere, and the key it verifies against. */
export interface ExternalSignature {
  /** SubjectPublicKeyInfo, PEM or DER. */
  readonly publicKey: Uint8Array;
  /** The signature as {@linkcode Signer} returns it. */
  readonly signature: Uint8Array;
}

/** What a signer outside must sign. */
export interface SigningDigest {
  /** The bytes that are signed: all entries. */
  readonly message: Bytes;
  /** Their SHA-256, for RSA-3072, P-192 and P-256; 32 bytes. */
  readonly sha256: Bytes;
  /** Their SHA-384, for P-384; 48 bytes. */
  readonly sha384: Bytes;
  /** The signer's key; present when it was given. */
  readonly key?: {
    /** The scheme that it signs with. */
    readonly algorithm: SignatureAlgorithm;
    /** SHA-256 of the key as a signature entry holds it, what SECURE_BOOT_DIGESTn must be; 32 bytes. */
    readonly digest: Bytes;
  };
}

/** What {@linkcode signingDigest} is for. */
export interface SigningDigestOptions {
  /** The signer's public key, SubjectPublicKeyInfo in PEM or DER. @default any */
  readonly publicKey?: Uint8Array;
}

/**
 * Signs an image for the firmware's secure verification: after the last entry comes one signature
 * entry for each key, each over all bytes before the first of them (FORMAT: signature entry). An erased tail
 * stays as long as it can.
 *
 * @param image A TLV image with entries and no signature, with an integrity entry or without.
 * @param signers One to three signers whose keys are of one kind: RSA-3072, P-192, P-256 or P-384.
 * @param options Size of the partition.
 * @returns The signed image, its length a multiple of 16.
 * @throws {SecureCertError} `ERR_PLAN` when the image is empty or signed already; `ERR_TRUNCATED`,
 * `ERR_MAGIC`, `ERR_LENGTH`, `ERR_CHECKSUM`, `ERR_STRAY_BYTES`, `ERR_INTEGRITY` or `ERR_UNSUPPORTED`
 * when it is damaged or of another layout; `ERR_DER` or `ERR_KEY` for keys that cannot sign it;
 * `ERR_TOO_LARGE` when the signatures do not fit; `ERR_VERIFY` when a signer returns a signature that
 * is not right.
 * @throws {RangeError} for no signer or more than three.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import {
 *   createSigner,
 *   encodePartition,
 *   generateKey,
 *   signPartition,
 *   verifySignatures,
 * } from "@esp-secure-cert/toolkit";
 *
 * const signer = createSigner(await generateKey({ curve: "P-256" }));
 * const image = encodePartition([{ type: 51, data: new Uint8Array([7]) }], { integrity: true });
 * const signed = await signPartition(image, [signer]);
 * assertEquals((await verifySignatures(signed)).map(({ ok }) => ok), [true]);
 * ```
 */
export async function signPartition(
  image: Uint8Array,
  signers: readonly Signer[],
  options: SignOptions = {},
): Promise<Bytes> {
  const opened = openUnsigned(image);
  const keys = readKeys(signers);
  // Before anything is signed: is there room?
  await attach(
    opened,
    keys,
    keys.map(({ algorithm }) => new Uint8Array(signatureSize(algorithm))),
    options,
  );
  const signatures: ExternalSignature[] = [];
  for (const signer of signers) {
    const signature = await signer.sign(messageOf(opened));
    signatures.push({ publicKey: signer.publicKey, signature });
  }
  return await attachSignatures(image, signatures, options);
}

/**
 * What a signer outside must sign; {@linkcode attachSignatures} puts its answer in.
 *
 * @param image An image that {@linkcode signPartition} takes.
 * @param options The signer's key.
 * @returns The bytes and their digests, and what the key signs with.
 * @throws {SecureCertError} as {@linkcode signPartition} does for the image and the key.
 */
export async function signingDigest(
  image: Uint8Array,
  { publicKey }: SigningDigestOptions = {},
): Promise<SigningDigest> {
  const message = messageOf(openUnsigned(image));
  const key = publicKey && readSignatureKey(publicKey);
  return {
    message,
    sha256: await digest("SHA-256", message),
    sha384: await digest("SHA-384", message),
    ...key && { key: { algorithm: key.algorithm, digest: await publicKeyDigest(key) } },
  };
}

/**
 * Puts signatures that were made elsewhere into an image, all at once and in this order.
 *
 * @param image The image that was signed; see {@linkcode signingDigest}.
 * @param signatures One to three signatures by keys of one kind.
 * @param options Size of the partition.
 * @returns The signed image, its length a multiple of 16.
 * @throws {SecureCertError} as {@linkcode signPartition} does; `ERR_VERIFY` when a signature is not
 * one of this image by its key.
 * @throws {RangeError} for no signature or more than three.
 */
export async function attachSignatures(
  image: Uint8Array,
  signatures: readonly ExternalSignature[],
  options: SignOptions = {},
): Promise<Bytes> {
  const opened = openUnsigned(image);
  const keys = readKeys(signatures);
  const message = messageOf(opened);
  const right: Uint8Array[] = [];
  for (const [at, key] of keys.entries()) {
    const raw = rawSignature(key.algorithm, signatures[at]!.signature);
    if (raw === undefined || !await isSignatureRight(key, message, raw)) {
      const message = `Cannot sign image: signature ${at} is not one of this image by its key`;
      throw new SecureCertError("ERR_VERIFY", message, { field: "signature" });
    }
    right.push(raw);
  }
  return await attach(opened, keys, right, options);
}

function openUnsigned(image: Uint8Array): OpenedImage {
  const opened = openForChange(image);
  if (opened.used === 0) throw badPlan("it holds no entries");
  const entry = opened.entries.findIndex(({ type }) => type === SIGNATURE);
  if (entry >= 0) {
    throw badPlan(`it is signed already (entry ${entry})`, { entry, field: "dropSignatures" });
  }
  return opened;
}

function messageOf({ bytes, used }: OpenedImage): Bytes {
  return new Uint8Array(bytes.subarray(0, used));
}

function readKeys(signers: readonly { readonly publicKey: Uint8Array }[]): SignatureKey[] {
  if (signers.length < 1 || signers.length > MAX_SIGNATURES) {
    throw new RangeError(`Cannot sign image: need 1 to 3 keys, have ${signers.length}`);
  }
  const keys = signers.map(({ publicKey }) => readSignatureKey(publicKey));
  const other = keys.find(({ algorithm }) => algorithm !== keys[0]!.algorithm);
  if (other === undefined) return keys;
  const message = `${keys[0]!.algorithm} and ${other.algorithm} do not go together`;
  throw new SecureCertError("ERR_KEY", `Cannot sign image: ${message}`);
}

async function attach(
  opened: OpenedImage,
  keys: readonly SignatureKey[],
  signatures: readonly Uint8Array[],
  { size, integrity = false }: SignOptions,
): Promise<Bytes> {
  const message = messageOf(opened);
  const imageDigest = await digest("SHA-256", message);
  const entries = keys.map((key, subtype): Tlv => {
    const data = encodeSignatureEntry({
      signedLength: message.length,
      key,
      signature: signatures[subtype]!,
      imageDigest: key.algorithm === "rsa3072" ? imageDigest : undefined,
    });
    return { type: SIGNATURE, subtype, flags: 0, data };
  });
  const signed = [...opened.entries, ...entries];
  return layOut(opened, integrity ? withIntegrity(signed) : signed, size);
}

function badPlan(problem: string, place: Place = {}): SecureCertError {
  return new SecureCertError("ERR_PLAN", `Cannot sign image: ${problem}`, place);
}
