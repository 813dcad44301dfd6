import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { isSamePublicKey } from "../../crypto/keys/encoding.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { deriveEcdsaKey, HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac.ts";
import { type Certificate, readCertificates } from "../../crypto/x509/certificate.ts";
import { chainAfter } from "../../crypto/x509/chain.ts";
import { readRequest } from "../../crypto/x509/request.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { wantedKey } from "../../key_modes/requirements.ts";
import { checkImage } from "../../verify/verify.ts";
import { attempt } from "../check/problem.ts";
import { paths } from "../files.ts";
import { firstOf } from "../list/list.ts";
import { type DeviceSettings, keyProblem } from "../list/settings.ts";
import type { BulkFiles, BulkJob, BulkPhase } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";
import type { MadeKey } from "./device.ts";

/**
 * What an earlier run left of a device that the journal does not list as made: a run that was cut off, or all of
 * a device when the journal is an older copy. It is used again, so that the device gets no second key.
 */
export interface LeftDevice extends MadeKey {
  /** The certificate that was issued for the key, with those that follow it. */
  readonly certified?: {
    readonly certificate: Certificate;
    readonly chain: readonly Certificate[];
  };
}

interface LeftOptions {
  readonly profile: BulkProfile;
  readonly files: BulkFiles;
  readonly phase?: BulkPhase;
}

/** The files of a device that may be there, by what they are. */
type Found = Readonly<Partial<Record<keyof typeof LOOKED_FOR, Uint8Array>>>;

const LOOKED_FOR = {
  key: paths.key,
  hmacKey: paths.hmacKey,
  salt: paths.salt,
  request: paths.request,
  certificate: paths.certificate,
  image: paths.image,
} as const;

/**
 * Finds what an earlier run left of a device.
 *
 * @returns undefined when there is nothing, or no more than the beginning of a key file.
 * @throws {SecureCertError} `ERR_PLAN` with the file that does not fit the others, or not this device, and
 * why; see {@linkcode misfitError}.
 */
export async function findLeft(
  { profile, files, phase = "all" }: LeftOptions,
  job: BulkJob,
  settings: DeviceSettings,
): Promise<LeftDevice | undefined> {
  const { id } = job.device;
  const found = await lookFor(id, files);
  const names = Object.keys(found) as (keyof Found)[];
  if (names.length === 0 || names.length === 1 && isCutOff(found)) return undefined;
  const refuse: Refuse = (name, problem) =>
    new SecureCertError("ERR_PLAN", `${LOOKED_FOR[name](id)} ${problem}`);
  if (found.key === undefined) throw refuse(names[0]!, `is there, but ${paths.key(id)} is not`);
  const key = await attempt(() => importPrivateKey(found.key!));
  if (typeof key === "string") throw refuse("key", `is not a key: ${key}`);
  const problem = keyProblem(key, wantedKey(settings.keyMode, profile.key));
  if (problem !== undefined) throw refuse("key", `is not for this batch: ${problem}`);
  if (await isOther(key, job)) throw refuse("key", "is not the key that the list names");
  const made = await hmacOf(found, key, settings, refuse);
  if (made === undefined) return undefined;
  await checkRequest(found, key, refuse);
  // The certificates of the later phase come from elsewhere, and the first phase has none.
  if (phase !== "all") return made;
  return { ...made, certified: await certifiedOf(found, made, { job, settings, refuse }) };
}

type Refuse = (name: keyof Found, problem: string) => SecureCertError;

/** An empty file is what a loss of power leaves of one that was not on the disk yet. */
async function lookFor(id: string, { find }: BulkFiles): Promise<Found> {
  const found: Partial<Record<keyof Found, Uint8Array>> = {};
  for (const [name, path] of Object.entries(LOOKED_FOR)) {
    const bytes = await find?.(path(id));
    if (bytes !== undefined && bytes.length > 0) found[name as keyof Found] = bytes;
  }
  return found;
}

/** Whether a key file has only the beginning of a key in PEM, which nothing can have been made with. */
function isCutOff({ key }: Found): boolean {
  if (key === undefined) return false;
  const text = new TextDecoder().decode(key);
  const begin = "-----BEGIN PRIVATE KEY-----";
  return !text.includes("-----END") && (text.startsWith(begin) || begin.startsWith(text));
}

/** Whether the row of the list names another key. */
async function isOther(
  { publicKey }: PrivateKey,
  { device: { fields }, key }: BulkJob,
): Promise<boolean> {
  if (key === undefined || !fields.privateKey) return false;
  return !isSamePublicKey((await importPrivateKey(key)).publicKey, publicKey);
}

/**
 * The key with its HMAC key and salt; undefined for a derived key whose files were cut off before
 * anything was made with it.
 */
async function hmacOf(
  { hmacKey, salt, request, certificate, image }: Found,
  key: PrivateKey,
  { keyMode }: DeviceSettings,
  refuse: Refuse,
): Promise<MadeKey | undefined> {
  const rules = KEY_MODE_RULES[keyMode];
  const [hasHmac, isDerived] = [rules.efuseKey === "hmac key", rules.privateKey === "derived"];
  if (hmacKey !== undefined && !hasHmac) throw refuse("hmacKey", `does not go with ${keyMode}`);
  if (salt !== undefined && !isDerived) throw refuse("salt", `does not go with ${keyMode}`);
  if (hmacKey !== undefined && hmacKey.length !== HMAC_KEY_SIZE) {
    throw refuse("hmacKey", `has ${countOf(hmacKey.length, "byte")}, not ${HMAC_KEY_SIZE}`);
  }
  const isBuilt = certificate !== undefined || image !== undefined;
  const isUsed = isBuilt || isDerived && request !== undefined;
  const isGone = "is not there, but what was made with it is";
  if (hasHmac && hmacKey === undefined && isUsed) throw refuse("hmacKey", isGone);
  if (!isDerived) return { key, hmacKey: hmacKey && new Uint8Array(hmacKey) };
  if (salt === undefined && isUsed) throw refuse("salt", isGone);
  if (hmacKey === undefined || salt === undefined) return undefined;
  const derived = await attempt(() => deriveEcdsaKey(hmacKey, salt));
  if (typeof derived === "string" || !isSamePublicKey(derived.publicKey, key.publicKey)) {
    throw refuse("salt", "and the HMAC key give another key");
  }
  return { key, hmacKey: new Uint8Array(hmacKey), salt: new Uint8Array(salt) };
}

async function checkRequest(
  { request }: Found,
  { publicKey }: PrivateKey,
  refuse: Refuse,
): Promise<void> {
  if (request === undefined) return;
  const read = await attempt(() => readRequest(request));
  if (typeof read === "string") throw refuse("request", `is not one: ${read}`);
  if (!isSamePublicKey(read.publicKey, publicKey)) throw refuse("request", "is for another key");
}

/** The certificate that was issued for the key; undefined when it was not yet. */
async function certifiedOf(
  { certificate: file, image }: Found,
  { key, hmacKey }: MadeKey,
  { job, settings: { chip }, refuse }: {
    readonly job: BulkJob;
    readonly settings: DeviceSettings;
    readonly refuse: Refuse;
  },
): Promise<LeftDevice["certified"]> {
  if (file === undefined && image === undefined) return undefined;
  if (file === undefined) throw refuse("image", "is there, but its certificate is not");
  const all = await attempt(() => readCertificates(file));
  if (typeof all === "string") throw refuse("certificate", `is not one: ${all}`);
  const [certificate, ...others] = all as [Certificate, ...Certificate[]];
  if (!isSamePublicKey(certificate.publicKey, key.publicKey)) {
    throw refuse("certificate", "is for another key");
  }
  const given = job.certificate && readCertificates(job.certificate)[0];
  if (given && !equalBytes(given.der, certificate.der)) {
    throw refuse("certificate", "is not the one that the list names");
  }
  const problem = image && await imageProblem(image, certificate, { chip, hmacKey });
  if (problem !== undefined) throw refuse("image", problem);
  return { certificate, chain: chainAfter(certificate, others) };
}

/** Why an image is not one of a certificate and its key. */
async function imageProblem(
  image: Uint8Array,
  { der }: Certificate,
  options: Pick<DeviceSettings, "chip"> & { readonly hmacKey?: Uint8Array },
): Promise<string | undefined> {
  const checked = await checkImage(image, { ...options, allowWeak: true });
  const [own] = checked.credentials.deviceCerts;
  if (own === undefined || !equalBytes(own.der, der)) return "has another device certificate";
  const wrong = checked.findings.find(({ severity }) => severity === "error");
  return wrong && `is not valid: ${wrong.code}: ${wrong.message}`;
}

/** The option of `bulk` whose content is wrong, by which a {@linkcode misfitError} is known. */
const FIELD = "files";
/** What to do about files that do not fit. */
export const REMEDY = "restore the journal of these files, or move the files of these devices away";

/**
 * The error of devices whose files do not fit: whichever was replaced, a key might be lost that is in use.
 *
 * @param misfits A line for each device, which begins with its id.
 */
export function misfitError(misfits: readonly string[]): SecureCertError {
  const what = "Cannot make devices that the journal does not list as made";
  const message = `${what}: ${firstOf(misfits)}; ${REMEDY}`;
  const problems = misfits.map((message) => ({ message }));
  return new SecureCertError("ERR_PLAN", message, { field: FIELD }, { problems });
}

/** Whether an error is one of {@linkcode misfitError}. */
export function isMisfit({ place }: SecureCertError): boolean {
  return place.field === FIELD;
}
