import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { generateKey, importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { createDerivedKey } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { randomBytes, type Sources } from "../../crypto/sources.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { paths } from "../files.ts";
import { type DeviceSettings, keyProblem } from "../list/settings.ts";
import type { BulkFiles, BulkJob, BulkPhase } from "../ports.ts";
import { wantedKey } from "../../key_modes/wanted_key.ts";
import type { BulkProfile } from "../profile/profile.ts";

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
