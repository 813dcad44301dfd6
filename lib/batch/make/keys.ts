import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import type { EcCurve } from "../../crypto/keys/curves.ts";
import { createDerivedKey } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { generateKey, importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { randomBytes, type Sources } from "../../crypto/sources.ts";
import type { BulkFiles, BulkJob, BulkPhase } from "../ports.ts";
import type { BulkProfile } from "../profile.ts";
import { paths } from "./results.ts";
import type { DeviceSettings } from "../list/settings.ts";

interface KeyOptions extends Pick<Sources, "random"> {
  readonly profile: BulkProfile;
  readonly files: BulkFiles;
  readonly phase?: BulkPhase;
}

/** The key of a device, and what it was derived from. */
export interface MadeKey {
  readonly key: PrivateKey;
  /** Where it is made beforehand: the eFuse key. */
  readonly hmacKey?: Bytes;
  /** What a derived key is derived with. */
  readonly salt?: Bytes;
}

/** The key of a device: given, kept from the first phase, derived or made. */
export async function makeKey(
  { profile, random, files, phase }: KeyOptions,
  job: BulkJob,
  settings: DeviceSettings,
): Promise<MadeKey> {
  const sources: Sources = random ? { random } : {};
  const { id } = job.device;
  const isDerived = settings.keyMode === "hmac-derived";
  if (phase === "certificates") {
    const key = await importPrivateKey(await files.read(paths.key(id)));
    if (!isDerived) return { key };
    const hmacKey = new Uint8Array(await files.read(paths.hmacKey(id)));
    return { key, hmacKey, salt: new Uint8Array(await files.read(paths.salt(id))) };
  }
  if (isDerived) {
    if (job.key !== undefined) throw failure("hmac-derived makes its key; it takes no other");
    const hmacKey = randomBytes(HMAC_KEY_SIZE, sources);
    const { salt, sec1 } = await createDerivedKey({ hmacKey, ...sources });
    return { key: await importPrivateKey(sec1), hmacKey, salt };
  }
  const wanted = wantedKey(profile, settings);
  if (job.key === undefined) return { key: await generateKey({ ...wanted, ...sources }) };
  const key = await importPrivateKey(job.key);
  const problem = keyProblem(key, wanted);
  if (problem === undefined) return { key };
  throw failure(problem);
}

/** What key a device gets. */
export function wantedKey(
  profile: BulkProfile,
  { keyMode }: Pick<DeviceSettings, "keyMode">,
): NonNullable<BulkProfile["key"]> {
  return { ...keyMode === "rsa-ds" ? { type: "rsa" } as const : {}, ...profile.key };
}

/** Why a key is not the one that a device gets. */
export function keyProblem(
  key: PrivateKey,
  wanted: NonNullable<BulkProfile["key"]>,
): string | undefined {
  const [had, want] = [kindOfKey(key), kindOfKey(wanted)];
  return had === want ? undefined : `its key is ${had}, the profile wants ${want}`;
}

/** The kind of a key in words, such as P-256 or RSA-2048. */
export function kindOfKey(
  { type = "ec", curve = "P-256", bits = 2048 }: {
    readonly type?: "ec" | "rsa";
    readonly curve?: EcCurve;
    readonly bits?: number;
  },
): string {
  return type === "ec" ? curve : `RSA-${bits}`;
}

/** The error of a device that cannot be made. */
export function failure(problem: string): SecureCertError {
  return new SecureCertError("ERR_PLAN", problem);
}
