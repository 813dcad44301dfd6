import { SecureCertError } from "../../bytes/errors.ts";
import { concat } from "../../bytes/pack.ts";
import { importPrivateKey } from "../../crypto/keys/keys.ts";
import { TLV_TYPES } from "../../format/names.ts";
import { MAX_TLV_LENGTH } from "../../format/tlv.ts";
import {
  type EntrySource,
  type PlannedSources,
  problemAt,
  type SourceOptions,
  type SourcePlan,
  storedEntry,
} from "./entry_source.ts";
import { certificateProblems } from "./key_matches.ts";
import { planKey } from "./key_sources.ts";
import { storedCertificates } from "../../image/stored.ts";

const { ESP_SECURE_CERT_PRIV_KEY_TLV: KEY } = TLV_TYPES;
const NUL = new Uint8Array(1);

/**
 * Turns sources into entries, in the order of Espressif's host tool, and lists all that is wrong.
 *
 * @param sources What to make the entries of.
 * @param options Chip, password and eFuse keys.
 * @returns Entries, eFuse keys, problems and mismatches; nothing secret stands in a problem.
 */
export async function planSources(
  sources: readonly EntrySource[],
  options: SourceOptions = {},
): Promise<PlannedSources> {
  const plan: SourcePlan = {
    options,
    sources,
    peripheral: [],
    ordinary: [],
    efuseKeys: [],
    problems: [],
    publicKeys: new Map(),
  };
  for (const source of sources) {
    try {
      await planSource(source, plan);
    } catch (error) {
      if (!(error instanceof SecureCertError) && !(error instanceof RangeError)) throw error;
      plan.problems.push(problemAt(source, "data_value", error.message));
    }
  }
  return {
    entries: [...plan.peripheral, ...plan.ordinary],
    efuseKeys: plan.efuseKeys,
    problems: plan.problems,
    mismatches: certificateProblems(sources, plan.publicKeys),
  };
}

async function planSource(source: EntrySource, plan: SourcePlan): Promise<void> {
  const { type, data, stored } = source;
  if (type === KEY && stored?.raw !== true) return await planKey(source, plan);
  if (type === KEY) await noteRawKey(source, plan);
  const isCertificate = type <= TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV && stored?.raw !== true;
  const value = isCertificate ? storedCertificates(data) : data;
  const entry = storedEntry(source, stored?.nul === true ? concat(value, NUL) : value);
  if (entry.data.length <= MAX_TLV_LENGTH) plan.ordinary.push(entry);
  else {
    const message = `${entry.data.length} bytes, an entry holds ${MAX_TLV_LENGTH}`;
    plan.problems.push(problemAt(source, "data_value", message));
  }
}

/** A key that is stored as it is may still be compared with its certificate. */
async function noteRawKey({ data, subtype }: EntrySource, { publicKeys }: SourcePlan) {
  try {
    publicKeys.set(subtype, (await importPrivateKey(data)).publicKey);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
  }
}
