import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { readImage } from "../../image/read/image.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { build } from "../../toolkit/build.ts";
import { signPartition } from "../../toolkit/sign.ts";
import { checkSignatures } from "../../verify/signatures.ts";
import { paths } from "../files.ts";
import type { BulkDevice } from "../list/devices.ts";
import type { DeviceSettings } from "../list/settings.ts";
import type { BulkFile } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";
import { filesOf } from "./files.ts";
import type { MadeKey } from "./keys.ts";

/** A device that was made. */
export interface MadeDevice {
  readonly key: PrivateKey;
  readonly certificate: Certificate;
  readonly image: Bytes;
  readonly files: readonly BulkFile[];
  readonly efuseKeyId: number | null;
}

/** A key with its certificate. */
export interface CertifiedKey extends MadeKey {
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
  const { image: unsigned, efuse } = await build({
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
  const image = signers.length === 0 ? unsigned : await signImage(unsigned, signers, profile, chip);
  const certificatePem = encodeUtf8(certificates.map(({ pem }) => pem).join(""));
  return {
    key,
    certificate,
    image,
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
