import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import {
  exportPrivateKey,
  generateKey,
  importPrivateKey,
  type PrivateKey,
} from "../../crypto/keys/keys.ts";
import { sha256 } from "../../crypto/deps.ts";
import { createDerivedKey, HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac.ts";
import type { Signer } from "../../crypto/signature.ts";
import { randomBytes, type Sources } from "../../crypto/sources.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { readImage } from "../../image/read/image.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { wantedKey } from "../../key_modes/requirements.ts";
import { buildHashed, type EfuseOutput } from "../../toolkit/build.ts";
import { signPartition } from "../../toolkit/sign.ts";
import { checkSignatures } from "../../verify/signatures.ts";
import { paths } from "../files.ts";
import { formatLabel } from "../label.ts";
import type { BulkDevice } from "../list/devices.ts";
import { type DeviceSettings, keyProblem } from "../list/settings.ts";
import type { BulkFile, BulkFiles, BulkJob, BulkPhase } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";

/** A device that was made. */
export interface MadeDevice {
  readonly key: PrivateKey;
  readonly certificate: Certificate;
  readonly image: Bytes;
  /** SHA-256 of the image. */
  readonly sha256: Uint8Array;
  readonly files: readonly BulkFile[];
  readonly efuseKeyId: number | null;
}

/** A key with its certificate. */
interface CertifiedKey extends MadeKey {
  readonly certificate: Certificate;
  /** Certificates of intermediate CAs, which follow the device's own. */
  readonly chain: readonly Certificate[];
}

interface MakeOptions extends Sources {
  readonly profile: BulkProfile;
  /** What the device stores as its CA. */
  readonly caCerts?: readonly Certificate[];
  /** Those of which one issued its certificate. @default what the device stores */
  readonly issuers?: readonly Certificate[];
  readonly signers?: readonly Signer[];
}

/**
 * The image and files of a device: every layout and key mode, as `build` makes and checks them.
 *
 * @throws {SecureCertError} as `build` and `signPartition` do.
 */
export async function makeDevice(
  { profile, caCerts, issuers, signers = [], now, random }: MakeOptions,
  device: BulkDevice,
  { keyMode, chip, efuseKeyId, data }: DeviceSettings,
  { key, certificate, chain, hmacKey, salt }: CertifiedKey,
): Promise<MadeDevice> {
  const isKeyBurned = KEY_MODE_RULES[keyMode].efuseKey === "private key";
  const { format, size, fill, integrity } = profile;
  const certificates = [certificate, ...chain];
  const { built: { image: unsigned, efuse }, sha256: unsignedHash } = await buildHashed({
    keyMode,
    chip,
    efuseKeyId,
    caCert: caCerts,
    hmacKey,
    salt,
    privateKey: salt === undefined ? key : undefined,
    deviceCert: certificates,
    data,
  }, {
    format,
    size,
    fill,
    integrity,
    ca: issuers,
    efuseKeyFile: isKeyBurned ? paths.key(device.id) : paths.hmacKey(device.id),
    now,
    random,
  });
  const isSigned = signers.length > 0;
  const image = isSigned ? await signImage(unsigned, signers, profile, chip) : unsigned;
  const certificatePem = encodeUtf8(certificates.map(({ pem }) => pem).join(""));
  return {
    key,
    certificate,
    image,
    sha256: isSigned ? sha256(image) : unsignedHash(),
    efuseKeyId: efuse?.plan.blocks[0]?.keyId ?? null,
    files: await filesOf(device, { key, certificatePem, image, efuse, salt }),
  };
}

/** `build` has checked all but the signatures, which not every chip takes. */
async function signImage(
  unsigned: Bytes,
  signers: readonly Signer[],
  profile: BulkProfile,
  chip: ChipName | undefined,
): Promise<Bytes> {
  const image = await signPartition(unsigned, signers, { size: partitionSizeOf(profile) });
  const entries = readImage(image).entries.map((raw) => ({ raw }));
  const findings = await checkSignatures({ bytes: image, entries }, { chip });
  const errors = findings.filter(({ severity }) => severity === "error");
  if (errors.length === 0) return image;
  throw badImage(errors.map(({ code, message }) => `${code}: ${message}`).join("; "));
}

/** The error for an image that is not as it should be. */
export function badImage(problem: string): SecureCertError {
  return new SecureCertError("ERR_VERIFY", `Cannot verify image: ${problem}`);
}

interface KeyOptions extends Pick<Sources, "random"> {
  readonly profile: BulkProfile;
  readonly files: BulkFiles;
  readonly phase?: BulkPhase;
}

/** The key of a device, and what it was derived from. */
export interface MadeKey {
  readonly key: PrivateKey;
  /** The eFuse key, where it is made before the image. */
  readonly hmacKey?: Bytes;
  /** What a derived key is derived with. */
  readonly salt?: Bytes;
}

/** The key of a device: given, kept from the first phase, derived or made. */
export async function makeKey(
  { profile, random, files, phase }: KeyOptions,
  job: BulkJob,
  { keyMode }: DeviceSettings,
): Promise<MadeKey> {
  const { id } = job.device;
  const isDerived = KEY_MODE_RULES[keyMode].privateKey === "derived";
  if (phase === "certificates") {
    const key = await importPrivateKey(await files.read(paths.key(id)));
    if (!isDerived) return { key };
    const hmacKey = new Uint8Array(await files.read(paths.hmacKey(id)));
    return { key, hmacKey, salt: new Uint8Array(await files.read(paths.salt(id))) };
  }
  if (isDerived) {
    if (job.key !== undefined) throw failure(`${keyMode} makes its key; it takes no other`);
    const hmacKey = randomBytes(HMAC_KEY_SIZE, { random });
    const { salt, key } = await createDerivedKey({ hmacKey, random });
    return { key, hmacKey, salt };
  }
  const wanted = wantedKey(keyMode, profile.key);
  if (job.key === undefined) return { key: await generateKey({ ...wanted, random }) };
  const key = await importPrivateKey(job.key);
  const problem = keyProblem(key, wanted);
  if (problem === undefined) return { key };
  throw failure(problem);
}

/** The error of a device that cannot be made. */
export function failure(problem: string): SecureCertError {
  return new SecureCertError("ERR_PLAN", problem);
}

/** What was made for a device, as far as it goes into files. */
interface DeviceParts {
  readonly key: PrivateKey;
  /** PEM, with the certificates of intermediate CAs after the device's own. */
  readonly certificatePem?: Bytes;
  readonly image?: Bytes;
  readonly hmacKey?: Bytes;
  readonly salt?: Bytes;
  readonly efuse?: EfuseOutput;
}

/** The files of a device; the image, which may hold the key, is for its owner only. */
export async function filesOf({ id }: BulkDevice, parts: DeviceParts): Promise<BulkFile[]> {
  const { key, certificatePem, image, salt, efuse } = parts;
  const hmacKey = efuse?.hmacKey ?? parts.hmacKey;
  const halfOf = (path: string) => efuse?.keyFiles.find((file) => file.path === path)?.bytes;
  const files: (Omit<BulkFile, "bytes"> & { readonly bytes: Bytes | undefined })[] = [
    { path: paths.key(id), bytes: await exportPrivateKey(key), secret: true },
    { path: paths.keyLow(id), bytes: halfOf(paths.keyLow(id)), secret: true },
    { path: paths.keyHigh(id), bytes: halfOf(paths.keyHigh(id)), secret: true },
    { path: paths.hmacKey(id), bytes: hmacKey, secret: true },
    { path: paths.salt(id), bytes: salt, secret: true },
    { path: paths.efusePlan(id), bytes: efuse && planBytes(efuse) },
    { path: paths.certificate(id), bytes: certificatePem },
    { path: paths.image(id), bytes: image, secret: true },
  ];
  return files.flatMap(({ bytes, ...file }) => bytes === undefined ? [] : [{ ...file, bytes }]);
}

/** The label of a device that has its certificate. */
export function labelOf({ id }: BulkDevice, { serial }: Certificate): BulkFile {
  return { path: paths.label(id), bytes: encodeUtf8(formatLabel({ id, serial })) };
}

function planBytes({ plan: { command, ...rest } }: EfuseOutput): Bytes {
  return encodeUtf8(`${JSON.stringify({ ...rest, command: formatCommand(command) }, null, 2)}\n`);
}
