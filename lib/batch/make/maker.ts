import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { equalBytes, plainBytes } from "../../bytes/pack.ts";
import { encodeUtf8, formatBase64, formatHex } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import { canonicalSpki, isSamePublicKey } from "../../crypto/keys/encoding.ts";
import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificate,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { chainAfter } from "../../crypto/x509/chain.ts";
import {
  createIssuer,
  issueCertificate,
  type Issuer,
  type PreparedIssuer,
} from "../../crypto/x509/issue.ts";
import { createRequest } from "../../crypto/x509/request.ts";
import { attempt } from "../check/problem.ts";
import { paths } from "../files.ts";
import { type BulkDevice, manifestFields } from "../list/devices.ts";
import { type DeviceSettings, resolveDevice } from "../list/settings.ts";
import type { ManifestRow } from "../manifest.ts";
import type { BulkFiles, BulkJob, BulkMaker, BulkPhase, BulkResult, BulkState } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";
import {
  badImage,
  failure,
  filesOf,
  labelOf,
  type MadeDevice,
  makeDevice,
  makeKey,
} from "./device.ts";
import { findLeft, type LeftDevice, misfitError } from "./left.ts";

/** What a {@linkcode BulkMaker} works with. */
export interface BulkMakerOptions extends Sources {
  readonly profile: BulkProfile;
  /** The CA; only its certificate when certificates come from elsewhere. */
  readonly issuer?: Issuer;
  /** What the devices store as their CA. @default the issuer */
  readonly caCert?: CertificateInput;
  readonly files: BulkFiles;
  /** What signs each image, for the keys that the profile names. @default none */
  readonly signers?: readonly Signer[];
  /** Whether each device gets a label. @default false */
  readonly labels?: boolean;
  /** @default "all" */
  readonly phase?: BulkPhase;
  /** Devices under way at the same time; one when `random` is given. @default 4 */
  readonly lanes?: number;
}

interface Shop extends BulkMakerOptions {
  /** The CA, where it issues the certificates. */
  readonly prepared?: PreparedIssuer;
  /** The CA that every image stores, and those of its bundle. */
  readonly caCerts?: readonly Certificate[];
  /** The certificate of the CA that issues, and of those above it. */
  readonly issuers?: readonly Certificate[];
  /** Public key of the CA, in the bytes that a key made here would have. */
  readonly caKey?: Uint8Array;
}

/**
 * What makes devices: key, certificate, image, files, each image read back and checked.
 *
 * @param options Profile, CA and files.
 * @returns A maker; it throws what `files` throws, and turns what is wrong with a device into a result.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the issuer is not a CA; `ERR_PLAN` when there are not as
 * many signers as the profile names signing keys.
 */
export async function createBulkMaker(options: BulkMakerOptions): Promise<BulkMaker> {
  const shop = await openShop(options);
  const lanes = options.random === undefined ? options.lanes ?? 4 : 1;
  return async (jobs) => {
    const results: (BulkResult | undefined)[] = new Array(jobs.length);
    const errors = new Map<number, unknown>();
    let next = 0;
    const lane = async () => {
      for (let at = next++; at < jobs.length && errors.size === 0; at = next++) {
        try {
          results[at] = await work(shop, jobs[at]!);
        } catch (error) {
          errors.set(at, error);
        }
      }
    };
    // All of them end before an error goes up, so that nothing is written after it.
    await Promise.all(Array.from({ length: lanes }, lane));
    if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
    await shop.files.sync();
    return results.filter((result) => result !== undefined);
  };
}

async function openShop(options: BulkMakerOptions): Promise<Shop> {
  const { issuer, profile, signers = [], caCert } = options;
  const wanted = profile.signingKeys?.length ?? 0;
  if (signers.length !== wanted) {
    throw failure(
      `the profile names ${countOf(wanted, "signing key")}, there are ${
        countOf(signers.length, "signer")
      }`,
    );
  }
  if (profile.caCert !== undefined && caCert === undefined) {
    throw failure(
      `the profile names the CA certificate ${profile.caCert}, and caCert is not given`,
    );
  }
  const stored = caCert === undefined ? undefined : readCertificates(caCert);
  if (issuer === undefined) return { ...options, caCerts: stored };
  const issuers = readCertificates(issuer.certificate);
  const [ca] = issuers;
  const caKey = ca && canonicalSpki(ca.publicKey);
  const shop = { ...options, caCerts: stored ?? issuers, issuers, caKey };
  if (issuer.key === undefined && issuer.sign === undefined) return shop;
  return { ...shop, prepared: await createIssuer(issuer) };
}

/**
 * One device; what is wrong with it becomes its result. Undefined when the CA was stopped before it signed:
 * nothing is written then.
 */
async function work(shop: Shop, job: BulkJob): Promise<BulkResult | undefined> {
  const { device } = job;
  let reached: BulkState = "pending";
  const reach = (state: BulkState) => void (reached = state);
  const settings = resolveDevice(shop.profile, device);
  const left = shop.files.find && await attempt(() => findLeft(shop, job, settings));
  if (job.onlyCheck === true) {
    return typeof left === "string" ? misfit(job, settings, left) : undefined;
  }
  // What does not fit ends the run: a device that fails is cleared away.
  if (typeof left === "string") throw misfitError([`${device.id}: ${left}`]);
  try {
    const needsJob = left === undefined || device.fields.certificate || device.fields.privateKey;
    if (job.problem !== undefined && needsJob) throw failure(job.problem);
    if (settings.problems.length > 0) throw failure(settings.problems.join("; "));
    if (shop.phase === "requests") return await request(shop, job, settings, left);
    const made = await make(shop, job, settings, { left, reach });
    const labels = shop.labels === true ? [labelOf(device, made.certificate)] : [];
    await shop.files.write([...labels, ...made.files]);
    const path = paths.image(device.id);
    const image = plainBytes(await shop.files.read(path));
    if (!equalBytes(image, made.image)) throw badImage("the file is not what was written");
    return { device, state: "verified", row: verifiedRow(device, settings, made) };
  } catch (error) {
    if (isAbort(error)) return undefined;
    if (!(error instanceof SecureCertError)) throw error;
    // The journal has the key of a device that waits for its certificate, and keeps it.
    if (left !== undefined && shop.phase !== "certificates") throw leftFailure(device, error);
    const row = failedRow(device, settings);
    return { device, state: "failed", reached, reason: error.message, row };
  }
}

/** The result of a device of which an earlier run left what does not fit. */
function misfit({ device }: BulkJob, settings: DeviceSettings, reason: string): BulkResult {
  return { device, state: "failed", reached: "pending", reason, row: failedRow(device, settings) };
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** The error of a device whose key is in the files of an earlier run, and stays there. */
function leftFailure({ id }: BulkDevice, error: SecureCertError): SecureCertError {
  const message = `Cannot make ${id} with ${paths.key(id)} of an earlier run: ${error.message}`;
  return new SecureCertError(error.code, message, {}, { cause: error });
}

async function request(
  shop: Shop,
  job: BulkJob,
  settings: DeviceSettings,
  left: LeftDevice | undefined,
): Promise<BulkResult> {
  const { device } = job;
  const { key, hmacKey, salt } = left ?? await makeKey(shop, job, settings);
  const { subject, sans } = settings;
  const csr = await createRequest({ key, subject, sans });
  const pem = encodeUtf8(csr.pem);
  await shop.files.write([
    ...await filesOf(device, { key, hmacKey, salt }),
    { path: paths.request(device.id), bytes: pem },
  ]);
  return { device, state: "key made", row: requestRow(device, settings, key) };
}

async function make(
  shop: Shop,
  job: BulkJob,
  settings: DeviceSettings,
  { left, reach }: {
    readonly left?: LeftDevice;
    readonly reach: (state: BulkState) => void;
  },
): Promise<MadeDevice> {
  const { key, hmacKey, salt } = left ?? await makeKey(shop, job, settings);
  if (shop.caKey !== undefined && equalBytes(key.publicKey, shop.caKey)) {
    throw failure("its key is that of the CA");
  }
  reach("key made");
  const certified = left?.certified ??
    { certificate: await certify(shop, job, settings, key), chain: chainOf(job) };
  reach("certified");
  const made = { key, hmacKey, salt, ...certified };
  const issuers = issuersOf(shop, job);
  const device = await makeDevice({ ...shop, issuers }, job.device, settings, made);
  reach("built");
  return device;
}

/** Who must have issued a device's certificate; unknown for one of a cloud, whose CA the device stores. */
function issuersOf({ issuers, caCert, prepared }: Shop, { certificate }: BulkJob) {
  const isClouds = certificate !== undefined && caCert !== undefined && prepared !== undefined;
  return isClouds ? undefined : issuers;
}

/** What an external CA sent along with the device's own certificate. */
function chainOf({ certificate }: BulkJob): Certificate[] {
  if (certificate === undefined) return [];
  const [leaf, ...others] = readCertificates(certificate);
  return chainAfter(leaf!, others);
}

async function certify(
  { prepared: issuer, profile: { days, usage }, random, now }: Shop,
  { certificate }: BulkJob,
  { subject, sans }: DeviceSettings,
  key: PrivateKey,
): Promise<Certificate> {
  if (certificate !== undefined) {
    const given = readCertificate(certificate);
    if (isSamePublicKey(given.publicKey, key.publicKey)) return given;
    throw failure("its certificate is for another key");
  }
  if (issuer === undefined) throw failure("there is neither a certificate nor a CA key");
  const sources = { random, now };
  return await issueCertificate({ issuer, publicKey: key, subject, sans, days, usage, ...sources });
}

/** The row of a device that was verified. */
function verifiedRow(
  device: BulkDevice,
  settings: DeviceSettings,
  made: {
    readonly key: PrivateKey;
    readonly certificate: Certificate;
    readonly sha256: Uint8Array;
    readonly efuseKeyId: number | null;
  },
): ManifestRow {
  const { key, certificate, efuseKeyId } = made;
  return {
    ...failedRow(device, settings),
    serial: certificate.serial,
    fingerprint: formatHex(sha256(certificate.der)),
    publicKey: formatBase64(key.publicKey),
    imageSha256: formatHex(made.sha256),
    efuseKeyId,
    status: "verified",
  };
}

/** The row of a device whose signing request waits for a certificate. */
function requestRow(
  device: BulkDevice,
  settings: DeviceSettings,
  key: PrivateKey,
): ManifestRow {
  return { ...failedRow(device, settings), publicKey: formatBase64(key.publicKey) };
}

/** The row of a device that failed. */
function failedRow(
  { id, fields }: BulkDevice,
  { keyMode }: Pick<DeviceSettings, "keyMode">,
): ManifestRow {
  return {
    id,
    serial: "",
    fingerprint: "",
    publicKey: "",
    imageSha256: "",
    keyMode,
    efuseKeyId: null,
    status: "failed",
    ...manifestFields(fields),
  };
}
