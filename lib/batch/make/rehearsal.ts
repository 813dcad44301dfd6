import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import type { Signer } from "../../crypto/signature.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import type { Issuer } from "../../crypto/x509/issue.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { createDevelopmentCa } from "../../toolkit/provision.ts";
import { MOST_SAMPLES, type Sample, type Samples } from "../list/samples.ts";
import { memoryFiles } from "../memory.ts";
import type { BulkJob, BulkPhase } from "../ports.ts";
import { wantedKey } from "../../key_modes/wanted_key.ts";
import type { BulkProfile } from "../profile/profile.ts";
import { createBulkMaker } from "./maker.ts";

interface RehearsalOptions extends Pick<Sources, "now"> {
  readonly profile: BulkProfile;
  readonly issuer?: Issuer;
  readonly caCert?: CertificateInput;
  readonly signers?: readonly Signer[];
  readonly phase?: BulkPhase;
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
  const { profile, issuer, caCert, signers, now } = options;
  const signs = issuer?.key !== undefined || issuer?.sign !== undefined;
  const canIssue = signs && options.phase !== "requests";
  const make = await createBulkMaker({
    profile,
    issuer: canIssue ? issuer : await createDevelopmentCa(),
    caCert,
    files: { ...memoryFiles(), find: undefined },
    lanes: 1,
    signers,
    now,
  });
  const keys = new Map<string, Uint8Array>();
  const problems = new Map<string, string[]>();
  let hasMore = false;
  for (const kind of samples.kinds.values()) {
    let failed = 0;
    for (const sample of kind) {
      const [result] = await make([await rehearsalJob(sample, profile, keys)]);
      if (result?.state !== "failed") break;
      const reason = result.reason!;
      problems.set(reason, [...problems.get(reason) ?? [], sample.device.id]);
      failed++;
    }
    if (failed === MOST_SAMPLES) hasMore = true;
  }
  const lines = [...problems].map(([reason, ids]) => `${ids.join(", ")}: ${reason}`);
  if (!hasMore) return lines;
  return [...lines, `and maybe others: the ${MOST_SAMPLES} largest of a kind were tried`];
}

async function rehearsalJob(
  { device, settings: { keyMode } }: Sample,
  profile: BulkProfile,
  keys: Map<string, Uint8Array>,
): Promise<BulkJob> {
  if (KEY_MODE_RULES[keyMode].privateKey === "derived") return { device };
  const wanted = wantedKey(keyMode, profile.key);
  const name = JSON.stringify(wanted);
  const key = keys.get(name) ?? await exportPrivateKey(await generateKey(wanted), { form: "der" });
  keys.set(name, key);
  return { device, key };
}
