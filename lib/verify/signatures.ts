import { countOf, SecureCertError } from "../bytes/errors.ts";
import { type Bytes, equalBytes } from "../bytes/pack.ts";
import { isSignatureRight, publicKeyDigest, readSignatureKey } from "../crypto/signature.ts";
import { digest } from "../crypto/signing.ts";
import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { TLV_TYPES } from "../format/names.ts";
import { walkPartition } from "../format/partition.ts";
import {
  MAX_SIGNATURES,
  type ReadSignature,
  readSignature,
  type RsaSignatureKey,
  rsaSignatureKey,
  SIGNATURE_ALGORITHMS,
  type SignatureAlgorithm,
  signatureAlgorithmOf,
  type SignatureKey,
  signatureValueSize,
} from "../format/signature_block.ts";
import { type Finding, finding } from "../findings/findings.ts";
import type { ReadEntry } from "../image/contents/contents.ts";
import type { ImageEntry } from "../image/read/entry.ts";
import type { CheckOptions } from "./check.ts";

const { ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE, ESP_SECURE_CERT_INTEGRITY_TLV: INTEGRITY } =
  TLV_TYPES;
const SCHEMES = { "P-192": "ecdsa192", "P-256": "ecdsa256", "P-384": "ecdsa384" } as const;

/** What the firmware makes of one signature entry. */
type SignatureCheck = Awaited<ReturnType<typeof verifySignatures>>[number];

/**
 * Checks the signature entries of an image as the firmware does (FORMAT: signature entry): they sign
 * what comes before the entry with subtype 0, which must exist; only subtypes 0 to 2 count, and of
 * several entries with one subtype the first. The firmware accepts an image with at least one good
 * signature whose key digest is in an eFuse. An image without signatures gives an empty list.
 *
 * @category Signatures
 * @throws {SecureCertError} `ERR_PEM`, `ERR_DER`, `ERR_KEY` or `ERR_UNSUPPORTED` for a signing key that
 * cannot be read; never for the image.
 */
export async function verifySignatures(
  image: Uint8Array,
  options: {
    /** The trusted keys, SubjectPublicKeyInfo in PEM or DER. @default any key */
    readonly signingKeys?: readonly Uint8Array[];
  } = {},
): Promise<{
  /** Index among the entries of the image. */
  readonly entry: number;
  /** Where the entry starts, in bytes from the start of the image. */
  readonly offset: number;
  /** The entry's subtype. */
  readonly subtype: number;
  /** The scheme; absent when the entry cannot be decoded. */
  readonly algorithm?: SignatureKey["algorithm"];
  /** Bytes that the firmware takes as signed; absent when no signature has subtype 0. */
  readonly signedLength?: number;
  /** SHA-256 of the key as the entry holds it, what SECURE_BOOT_DIGESTn must be; 32 bytes. */
  readonly keyDigest?: Bytes;
  /** Whether the digest is that of a trusted key; absent when none were given. */
  readonly trusted?: boolean;
  /** Whether the firmware would accept this signature, with its key's digest in an eFuse. */
  readonly ok: boolean;
  /** Why not; present exactly when `ok` is false. */
  readonly problem?: string;
  /** What is wrong with fields that the firmware's software verification does not look at. */
  readonly remarks: readonly string[];
}[]> {
  return await verifyEntries(image, walkPartition(image).entries, options.signingKeys);
}

/** As {@linkcode verifySignatures}, of an image whose entries are known. */
async function verifyEntries(
  image: Uint8Array,
  entries: readonly ImageEntry[],
  signingKeys: readonly Uint8Array[] | undefined,
): Promise<SignatureCheck[]> {
  const keys = signingKeys?.map(readSignatureKey);
  const trusted = keys && await Promise.all(keys.map(publicKeyDigest));
  const chain = signaturesOf(image, entries);
  const checks: SignatureCheck[] = [];
  for (const { entry, offset, value: { subtype, data }, problem } of chain.entries) {
    const place = { entry, offset, subtype };
    try {
      const signature = readSignature(data);
      checks.push({ ...place, ...await check(signature, chain.message, trusted, problem) });
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      checks.push({ ...place, ok: false, problem: problem ?? error.message, remarks: [] });
    }
  }
  return checks;
}

/**
 * What is wrong with the signatures of an image: an error where the firmware refuses it or reads what
 * is not signed, a warning where it does not look.
 *
 * @throws {SecureCertError} as {@linkcode verifySignatures}.
 */
export async function checkSignatures(
  { bytes, entries: read }: {
    readonly bytes: Uint8Array;
    readonly entries: readonly Pick<ReadEntry, "raw">[];
  },
  { signingKeys, chip }: Pick<CheckOptions, "signingKeys" | "chip">,
): Promise<Finding[]> {
  const entries = read.map(({ raw }) => raw);
  const checks = await verifyEntries(bytes, entries, signingKeys);
  if (checks.length === 0) {
    return signingKeys?.length ? [finding("BAD_SIGNATURE", "the image is not signed")] : [];
  }
  const severity = checks.some(({ ok }) => ok) ? "warning" : "error";
  const findings = checks.flatMap(({ entry, offset, subtype, problem, remarks }) => {
    const report = (what: string, how: "error" | "warning") =>
      finding("BAD_SIGNATURE", `signature ${subtype}: ${what}`, { entry, offset }, how);
    return [
      ...problem === undefined ? [] : [report(problem, severity)],
      ...remarks.map((remark) => report(remark, "warning")),
    ];
  });
  return [...findings, ...checkOrder(entries), ...checkSchemes(checks, chip), ...checkP192(checks)];
}

/** One for the image: firmware that lacks P-192 accepts none of its signatures. */
function checkP192(checks: readonly SignatureCheck[]): Finding[] {
  return checks.filter(({ algorithm }) => algorithm === "ecdsa192").slice(0, 1)
    .map(({ entry, offset }) =>
      finding(
        "P192_REMOVED",
        "the image has a P-192 signature, which ESP-IDF does not check from version 6.0.2 on",
        { entry, offset },
      )
    );
}

/** A chip's ROM accepts certain schemes, and its eFuses hold the digests of a certain number of keys. */
function checkSchemes(checks: readonly SignatureCheck[], chip: ChipName | undefined): Finding[] {
  if (chip === undefined) return [];
  const { rsa3072, ecdsaCurves, digestSlots } = CHIPS[chip].secureBoot;
  const schemes: readonly SignatureAlgorithm[] = [
    ...rsa3072 ? ["rsa3072"] as const : [],
    ...ecdsaCurves.flatMap((curve) =>
      curve in SCHEMES ? SCHEMES[curve as keyof typeof SCHEMES] : []
    ),
  ];
  const findings = checks.flatMap(({ algorithm, entry, offset, subtype }) => {
    if (algorithm === undefined || schemes.includes(algorithm)) return [];
    const message = `signature ${subtype}: ${chip} verifies no ${algorithm}; it has ${
      schemes.join(", ")
    }`;
    return [finding("CHIP_UNSUPPORTED", message, { entry, offset })];
  });
  if (checks.length <= digestSlots) return findings;
  const message = `the image has ${
    countOf(checks.length, "signature")
  }, ${chip} keeps ${digestSlots} key digest`;
  return [...findings, finding("CHIP_UNSUPPORTED", message, {}, "warning")];
}

/** The firmware reads entries after the signature as if they were signed. */
function checkOrder(entries: readonly ImageEntry[]): Finding[] {
  const signature = entries.findIndex(({ value }) => value.type === SIGNATURE);
  return entries.flatMap(({ value: { type }, offset }, entry) => {
    if (entry < signature || type === SIGNATURE || type === INTEGRITY) return [];
    const message = "an entry follows the signature: it is not signed, and the firmware reads it";
    return [finding("BAD_SIGNATURE", message, { entry, offset })];
  });
}

interface Signatures {
  /** What is signed; absent when no signature has subtype 0. */
  readonly message?: Bytes;
  /** The signature entries, with what keeps the firmware from using them. */
  readonly entries: readonly (ImageEntry & { readonly entry: number; readonly problem?: string })[];
}

function signaturesOf(image: Uint8Array, all: readonly ImageEntry[]): Signatures {
  const entries = all.flatMap((each, entry) =>
    each.value.type === SIGNATURE ? [{ ...each, entry }] : []
  );
  const bySubtype = new Map<number, typeof entries[0]>();
  for (const each of entries) {
    if (!bySubtype.has(each.value.subtype)) bySubtype.set(each.value.subtype, each);
  }
  const first = bySubtype.get(0);
  const candidates = [...bySubtype.values()].filter((each) => !placeProblem(each));
  const wholeProblem = problemOfAll(first, candidates.map(({ value }) => value.data));
  return {
    message: first && new Uint8Array(image.subarray(0, first.offset)),
    entries: entries.map((each) => {
      const isEarlier = bySubtype.get(each.value.subtype) !== each;
      const problem = isEarlier
        ? "an earlier one has the same subtype"
        : placeProblem(each) ?? wholeProblem ?? kindProblem(each, first);
      return { ...each, problem };
    }),
  };
}

function placeProblem({ value, crc }: ImageEntry): string | undefined {
  if (value.subtype >= MAX_SIGNATURES) return "the firmware looks only at subtypes 0 to 2";
  return crc.stored === crc.computed ? undefined : "the entry's checksum does not match";
}

/** What makes the firmware give up before it looks at a single signature. */
function problemOfAll(
  first: ImageEntry | undefined,
  values: readonly Uint8Array[],
): string | undefined {
  if (first === undefined) return "there is none with subtype 0";
  if (placeProblem(first)) return "the one with subtype 0 has a wrong checksum";
  if (first.offset === 0) return "nothing is signed";
  const kind = signatureAlgorithmOf(first.value.data);
  if (kind === undefined) return undefined;
  const seen = values.filter(({ length }) => length >= signatureValueSize(kind));
  if (seen.some(([version]) => version !== 1)) {
    return "one of the signatures has a version other than 1";
  }
  if (kind === "rsa3072") return undefined;
  const { hash } = SIGNATURE_ALGORITHMS[kind];
  const isMixed = seen.some((value) => {
    const other = signatureAlgorithmOf(value);
    return other === undefined || other === "rsa3072" || SIGNATURE_ALGORITHMS[other].hash !== hash;
  });
  return isMixed
    ? "one of the signatures is not of the same kind as the one with subtype 0"
    : undefined;
}

/** Firmware is built for one scheme. */
function kindProblem({ value }: ImageEntry, first: ImageEntry | undefined): string | undefined {
  if (first === undefined) return undefined;
  const [kind, wanted] = [value.data, first.value.data].map(signatureAlgorithmOf);
  if (kind === undefined || wanted === undefined || kind === wanted) return undefined;
  return `it is ${kind}, and the one with subtype 0 ${wanted}`;
}

async function check(
  signature: ReadSignature,
  message: Uint8Array | undefined,
  trusted: readonly Uint8Array[] | undefined,
  problem: string | undefined,
): Promise<Omit<SignatureCheck, "entry" | "offset" | "subtype">> {
  const { key } = signature;
  const keyDigest = await publicKeyDigest(key);
  const known = trusted?.some((each) => equalBytes(each, keyDigest));
  const found = problem ?? await problemOf(signature, message, known);
  return {
    algorithm: key.algorithm,
    signedLength: message?.length,
    keyDigest,
    trusted: known,
    ok: found === undefined,
    problem: found,
    remarks: message && !problem ? await remarksOn(signature, message) : [],
  };
}

async function problemOf(
  { key, signature }: ReadSignature,
  message: Uint8Array | undefined,
  known: boolean | undefined,
): Promise<string | undefined> {
  if (message === undefined || !await isSignatureRight(key, message, signature)) {
    return "the signature does not match";
  }
  return known === false ? "the key is not a trusted one" : undefined;
}

async function remarksOn(value: ReadSignature, message: Uint8Array): Promise<string[]> {
  const { key, signedLength, imageDigest, oddByte } = value;
  const remarks: string[] = [];
  if (oddByte !== undefined) {
    remarks.push(`byte ${oddByte} is not what it should be; the firmware skips it`);
  }
  if (signedLength !== message.length) {
    remarks.push(
      `the length field says ${countOf(signedLength, "byte")}, ${message.length} are signed`,
    );
  }
  if (imageDigest && !equalBytes(imageDigest, await digest("SHA-256", message))) {
    remarks.push("the digest in the block is not that of the signed bytes");
  }
  if (key.algorithm === "rsa3072" && !isConsistent(key)) {
    remarks.push("R or M' in the block does not belong to the modulus, so the key digest differs");
  }
  return remarks;
}

function isConsistent(key: RsaSignatureKey): boolean {
  try {
    const { rinv, mPrime } = rsaSignatureKey(key.n, key.e);
    return mPrime === key.mPrime && key.rinv !== undefined && equalBytes(rinv, key.rinv);
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}
