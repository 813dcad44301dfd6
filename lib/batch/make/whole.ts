import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { partitionSizeOf } from "../../image/encode.ts";
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
import { badImage, messageOf } from "./quick_image.ts";

/** A device that was made, and how its image is checked when it is read back. */
export interface Made {
  readonly key: PrivateKey;
  readonly certificate: Certificate;
  readonly image: Bytes;
  readonly files: readonly BulkFile[];
  readonly efuseKeyId: number | null;
  /** @throws {SecureCertError} `ERR_VERIFY` when the image read back is not good. */
  readonly check: (image: Bytes) => Promise<void>;
}

/** A key with its certificate. */
export interface Certified extends MadeKey {
  readonly certificate: Certificate;
  /** PEM, with the certificates of intermediate CAs after the device's own. */
  readonly certificatePem: Bytes;
}

interface WholeOptions extends Sources {
  readonly profile: BulkProfile;
  /** PEM. */
  readonly caCert?: Bytes;
  readonly signers?: readonly Signer[];
}

/**
 * A device as `build` makes it: every layout and key mode, checked before it is written.
 *
 * @throws {SecureCertError} as `build` and `signPartition` do.
 */
export async function makeWhole(
  { profile, caCert, signers = [], now, random }: WholeOptions,
  device: BulkDevice,
  { keyMode, chip, efuseKeyId, data }: DeviceSettings,
  { key, certificate, certificatePem, hmacKey, salt }: Certified,
): Promise<Made> {
  const isKeyBurned = KEY_MODE_RULES[keyMode].efuseKey === "private key";
  const { format, size, fill, integrity } = profile;
  const { image: unsigned, efuse } = await build({
    keyMode,
    chip,
    efuseKeyId,
    caCert,
    hmacKey,
    salt,
    privateKey: salt === undefined ? key : undefined,
    deviceCert: certificatePem,
    efuseKeyFile: isKeyBurned ? paths.key(device.id) : paths.hmacKey(device.id),
    data,
  }, { format, size, fill, integrity, now, random });
  const image = signers.length === 0 ? unsigned : await signImage(unsigned, signers, profile, chip);
  return {
    key,
    certificate,
    image,
    efuseKeyId: efuse?.plan.blocks[0]?.keyId ?? null,
    files: await filesOf(device, { key, certificatePem, image, efuse, salt }),
    check: (read) =>
      equalBytes(read, image)
        ? Promise.resolve()
        : Promise.reject(badImage("the file is not what was written")),
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
  const findings = await checkSignatures({ bytes: image }, { chip });
  const problem = messageOf(findings);
  if (problem === "") return image;
  throw badImage(problem);
}
