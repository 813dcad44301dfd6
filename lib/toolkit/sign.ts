import { type Place, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { importPrivateKey, type KeyInput } from "../crypto/keys/keys.ts";
import {
  createSigner,
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
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  type SignatureKey,
} from "../format/signature_block.ts";
import { withIntegrity } from "../format/partition.ts";
import type { StoredTlv } from "../format/tlv.ts";
import { layOut, type OpenedImage, openForChange } from "../image/edit.ts";
import { findImage, type FoundImage, type Whereabouts } from "../image/find/locate.ts";

const SIGNATURE: number = TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV;

/** How a signed image is laid out. */
type SignOptions = NonNullable<Parameters<typeof signPartition>[2]>;

/**
 * Signs an image for the firmware's secure verification: adds one signature entry for each key, each
 * over all bytes before the first of them (FORMAT: signature entry). An erased tail stays as far as
 * there is room. The one to three keys or signers are of one kind: RSA-3072, P-192, P-256 or P-384.
 *
 * @category Signatures
 * @throws {SecureCertError} `ERR_PLAN` for an image that is empty or signed already, and what {@linkcode
 * append} throws for a damaged one; `ERR_DER` or `ERR_KEY` for a key that cannot sign it;
 * `ERR_TOO_LARGE`; `ERR_VERIFY` when a signer's signature does not verify; `RangeError` for no signer or
 * more than three.
 */
export async function signPartition(
  file: Uint8Array,
  signers: readonly (KeyInput | Signer)[],
  options: {
    /**
     * Size of the partition in bytes, which the signed image must fit.
     * @default what a table says, else 0x2000, or the length of the image when that is more
     */
    readonly size?: number;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /**
     * Close the signed image with an integrity entry over entries and signatures, of the subtype that
     * follows those of the image. Firmware that checks integrity wants the last one to cover all.
     * @default false
     */
    readonly integrity?: boolean;
  } = {},
): Promise<Bytes> {
  const opened = await openUnsigned(file, options);
  const prepared = await Promise.all(signers.map(signerOf));
  const keys = readKeys(prepared);
  // Before anything is signed: is there room?
  await attach(
    opened,
    keys,
    keys.map(({ algorithm }) => new Uint8Array(signatureSize(algorithm))),
    options,
  );
  const signatures: { publicKey: Uint8Array; signature: Uint8Array }[] = [];
  for (const signer of prepared) {
    const signature = await signer.sign(messageOf(opened));
    signatures.push({ publicKey: signer.publicKey, signature });
  }
  return await attachSignatures(file, signatures, options);
}

/** A signer with a key, or one that keeps its own. */
async function signerOf(signer: KeyInput | Signer): Promise<Signer> {
  if (typeof signer === "object" && "sign" in signer) return signer;
  return createSigner(await importPrivateKey(signer));
}

/**
 * What an external signer must sign; {@linkcode attachSignatures} adds its answer. `message` is all
 * entries of the image; `schemes` are those of every kind of key, or only of the key given.
 *
 * @category Signatures
 * @throws {SecureCertError} as {@linkcode signPartition} for the image and the key.
 */
export async function signingDigest(
  file: Uint8Array,
  options: {
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** The signer's public key, SubjectPublicKeyInfo in PEM or DER. @default any */
    readonly publicKey?: Uint8Array;
  } = {},
): Promise<{
  readonly message: Bytes;
  readonly schemes: readonly {
    readonly algorithm: SignatureKey["algorithm"];
    readonly hash: "SHA-256" | "SHA-384";
    /** The hash of the message, 32 or 48 bytes. */
    readonly digest: Bytes;
    /** Bytes of an RSA signature, or of each of r and s. */
    readonly size: number;
  }[];
  /** SHA-256 of the key as an entry holds it, what SECURE_BOOT_DIGESTn must be; with a key given. */
  readonly keyDigest?: Bytes;
}> {
  const message = messageOf(await openUnsigned(file, options));
  const key = options.publicKey && readSignatureKey(options.publicKey);
  const names = Object.keys(SIGNATURE_ALGORITHMS) as SignatureAlgorithm[];
  const wanted = key === undefined ? names : [key.algorithm];
  const schemes = await Promise.all(wanted.map(async (algorithm) => {
    const { hash, size } = SIGNATURE_ALGORITHMS[algorithm];
    return { algorithm, hash, digest: await digest(hash, message), size };
  }));
  return { message, schemes, keyDigest: key && await publicKeyDigest(key) };
}

/**
 * Adds signatures that were made elsewhere to the image that was signed: one to three, by keys of one
 * kind, in this order; see {@linkcode signingDigest}.
 *
 * @category Signatures
 * @throws {SecureCertError} as {@linkcode signPartition}; `ERR_VERIFY` when a signature does not verify;
 * `RangeError` for no signature or more than three.
 */
export async function attachSignatures(
  file: Uint8Array,
  signatures: readonly {
    /** SubjectPublicKeyInfo, PEM or DER. */
    readonly publicKey: Uint8Array;
    /** The signature as {@linkcode Signer} returns it. */
    readonly signature: Uint8Array;
  }[],
  options: {
    /** Size of the partition in bytes. @default as {@linkcode signPartition} */
    readonly size?: number;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** Close the signed image with an integrity entry. @default false */
    readonly integrity?: boolean;
  } = {},
): Promise<Bytes> {
  const opened = await openUnsigned(file, options);
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

/** An image without signatures, and the size of its partition where a table says it. */
type Unsigned = OpenedImage & Pick<FoundImage, "partitionSize">;

async function openUnsigned(file: Uint8Array, where: Whereabouts): Promise<Unsigned> {
  const { image, partitionSize } = await findImage(file, where);
  const opened = openForChange(image);
  if (opened.used === 0) throw badPlan("it holds no entries");
  const entry = opened.entries.findIndex(({ type }) => type === SIGNATURE);
  if (entry >= 0) {
    throw badPlan(`it is signed already (entry ${entry})`, { entry, field: "dropSignatures" });
  }
  return { ...opened, partitionSize };
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
  opened: Unsigned,
  keys: readonly SignatureKey[],
  signatures: readonly Uint8Array[],
  { size = opened.partitionSize, integrity = false }: SignOptions,
): Promise<Bytes> {
  const message = messageOf(opened);
  const imageDigest = await digest("SHA-256", message);
  const entries = keys.map((key, subtype): StoredTlv => {
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
