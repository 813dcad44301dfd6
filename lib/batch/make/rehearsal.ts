import type { Issuer } from "../../crypto/x509/issue.ts";
import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { BulkDevice } from "../list/devices.ts";
import { wantedKey } from "./keys.ts";
import { createBulkMaker } from "./maker.ts";
import { memoryFiles } from "../memory.ts";
import type { BulkJob, BulkPhase } from "../ports.ts";
import type { BulkProfile } from "../profile.ts";
import type { DeviceSettings } from "../list/settings.ts";
import { createDevelopmentCa } from "../../toolkit/provision.ts";

/** A device to try a batch out with. */
interface Sample {
  readonly device: BulkDevice;
  readonly settings: DeviceSettings;
  /** About how much of the image is its own, in bytes. */
  readonly weight: number;
}

/** Devices to try a batch out with: of each kind those that have the most to store. */
export interface Samples {
  add(device: BulkDevice, settings: DeviceSettings): void;
  /** The samples of each kind, the heaviest first. */
  readonly kinds: ReadonlyMap<string, readonly Sample[]>;
}

interface RehearsalOptions extends Pick<Sources, "now"> {
  readonly profile: BulkProfile;
  readonly issuer?: Issuer;
  readonly signers?: readonly Signer[];
  readonly phase?: BulkPhase;
}

/** So many devices of a kind are told when they do not fit. */
const MOST = 20;
/** What a byte of a certificate takes as PEM, and what an entry takes beside its value. */
const PEM_BYTE = 65 / 48;
const ENTRY = 32;

/** Collects samples; memory holds a few of each kind. */
export function takeSamples(): Samples {
  const kinds = new Map<string, Sample[]>();
  return {
    kinds,
    add: (device, settings) => {
      const { keyMode, chip, efuseKeyId, subject, sans, data } = settings;
      const kind = [keyMode, chip, efuseKeyId].join();
      const names = subject.length + sans.reduce((sum, { length }) => sum + length, 0);
      const own = data.reduce((sum, { data: { length } }) => sum + length + ENTRY, 0);
      const weight = PEM_BYTE * names + own;
      const samples = kinds.get(kind) ?? [];
      kinds.set(kind, samples);
      if (samples.length === MOST && samples.at(-1)!.weight >= weight) return;
      const at = samples.findIndex((sample) => sample.weight < weight);
      samples.splice(at < 0 ? samples.length : at, 0, { device, settings, weight });
      samples.splice(MOST);
    },
  };
}

/**
 * Makes the heaviest device of each kind in memory, with a key that is thrown away, so that what no
 * image can hold and what is wrong with the CA is known before the first key that counts.
 *
 * @returns What is wrong, one line for each reason.
 */
export async function rehearse(samples: Samples, options: RehearsalOptions): Promise<string[]> {
  // The certificates of the later phase are there, and their keys too.
  if (options.phase === "certificates") return [];
  const { profile, issuer, signers, now } = options;
  const canIssue = issuer?.key !== undefined && options.phase !== "requests";
  const make = await createBulkMaker({
    profile,
    issuer: canIssue ? issuer : await createDevelopmentCa(),
    files: memoryFiles(),
    lanes: 1,
    ...signers && { signers },
    ...now && { now },
  });
  const keys = new Map<string, Uint8Array>();
  const problems = new Map<string, string[]>();
  let hasMore = false;
  for (const kind of samples.kinds.values()) {
    let failed = 0;
    for (const { device, settings } of kind) {
      const [result] = await make([await rehearsalJob(device, settings, profile, keys)]);
      if (result!.state !== "failed") break;
      const reason = result!.reason!;
      problems.set(reason, [...problems.get(reason) ?? [], device.id]);
      failed++;
    }
    if (failed === MOST) hasMore = true;
  }
  const lines = [...problems].map(([reason, ids]) => `${ids.join(", ")}: ${reason}`);
  return hasMore ? [...lines, `and maybe others: the ${MOST} largest of a kind were tried`] : lines;
}

async function rehearsalJob(
  device: BulkDevice,
  settings: DeviceSettings,
  profile: BulkProfile,
  keys: Map<string, Uint8Array>,
): Promise<BulkJob> {
  if (settings.keyMode === "hmac-derived") return { device };
  const wanted = wantedKey(profile, settings);
  const name = JSON.stringify(wanted);
  const key = keys.get(name) ??
    await exportPrivateKey(await generateKey(wanted), { form: "der" });
  keys.set(name, key);
  return { device, key };
}
