import { type Bytes, equalBytes } from "../../bytes/pack.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { build, type BuildOptions } from "../../toolkit/build.ts";
import type { BulkDevice } from "../list/devices.ts";
import { bad } from "./quick_image.ts";
import type { MadeKey } from "./keys.ts";
import type { BulkFile } from "../ports.ts";
import type { BulkProfile } from "../profile.ts";
import { filesOf, paths } from "./results.ts";
import type { DeviceSettings } from "../list/settings.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import type { BuildPlan } from "../../toolkit/plan/credentials.ts";
import { signPartition } from "../../toolkit/sign.ts";
import { checkSignatures } from "../../verify/signatures.ts";

/** A device that was made, and how its image is judged when it is read back. */
export interface Made {
  readonly key: PrivateKey;
  readonly certificate: Certificate;
  readonly image: Bytes;
  readonly files: readonly BulkFile[];
  readonly efuseKeyId: number | null;
  readonly judge: (image: Bytes) => Promise<void>;
}

/** `build` has judged all but the signatures, which not every chip takes. */
async function signImage(
  unsigned: Bytes,
  signers: readonly Signer[],
  profile: BulkProfile,
  chip: ChipName | undefined,
): Promise<Bytes> {
  const image = await signPartition(unsigned, signers, { size: partitionSizeOf(profile) });
  const findings = await checkSignatures({ bytes: image }, { chip });
  const errors = findings.filter(({ severity }) => severity === "error");
  if (errors.length === 0) return image;
  throw bad(errors.map(({ code, message }) => `${code}: ${message}`).join("; "));
}

interface Certificates {
  readonly certificate: Certificate;
  /** The same, and those of the CA after it. */
  readonly certificatePem: Bytes;
}

interface WholeOptions extends Sources {
  readonly profile: BulkProfile;
  /** PEM. */
  readonly caCert?: Bytes;
  readonly signers?: readonly Signer[];
}

/**
 * A device as `build` makes it: every layout and key mode, what is wrong with it found beforehand.
 *
 * @throws {SecureCertError} as `build` and `signPartition` do.
 */
export async function makeWhole(
  shop: WholeOptions,
  device: BulkDevice,
  settings: DeviceSettings,
  { key, certificate, certificatePem, hmacKey, salt }: MadeKey & Certificates,
): Promise<Made> {
  const { profile, caCert, signers = [], now, random } = shop;
  const { keyMode, chip, efuseKeyId, data } = settings;
  const isEcdsa = keyMode === "ecdsa-peripheral";
  const plan: BuildPlan = {
    keyMode,
    ...chip && { chip },
    ...efuseKeyId === undefined ? {} : { efuseKeyId },
    ...caCert && { caCert },
    ...hmacKey && { hmacKey },
    ...salt ? { salt } : { privateKey: key },
    deviceCert: certificatePem,
    efuseKeyFile: isEcdsa ? paths.key(device.id) : paths.hmacKey(device.id),
    data,
  };
  const { format, size, fill, integrity } = profile;
  const options: BuildOptions = {
    ...format && { format },
    ...size === undefined ? {} : { size },
    ...fill === undefined ? {} : { fill },
    ...integrity === undefined ? {} : { integrity },
    ...now && { now },
    ...random && { random },
  };
  const { image: unsigned, efuse } = await build(plan, options);
  const image = signers.length === 0 ? unsigned : await signImage(unsigned, signers, profile, chip);
  return {
    key,
    certificate,
    image,
    efuseKeyId: efuse?.plan.blocks[0]?.keyId ?? null,
    files: await filesOf(device, {
      key,
      certificatePem,
      image,
      ...efuse && { efuse },
      ...salt && { salt },
    }),
    judge: (read) =>
      equalBytes(read, image)
        ? Promise.resolve()
        : Promise.reject(bad("the file is not what was written")),
  };
}
