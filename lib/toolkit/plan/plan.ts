import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import type { Sources } from "../../crypto/sources.ts";
import { TLV_TYPES, type TlvTypeName, tlvTypeTitle } from "../../format/names.ts";
import { MAX_TLV_LENGTH, type Tlv } from "../../format/tlv.ts";
import { type EfuseOutput, type KeyPlan, planKey, type PlannedKey } from "./plan_key.ts";
import { storedCertificates, storedPrivateKey } from "../../image/stored.ts";

/** An entry beside the credentials. */
export interface DataEntry {
  /** Entry type, a number or a name of {@linkcode TLV_TYPES}. */
  readonly type: number | TlvTypeName;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value; certificates and private keys are stored as those of the credentials are. */
  readonly data: Uint8Array;
}

/** What an image is to hold. Certificates are PEM (a bundle too) or DER. */
export interface BuildPlan extends KeyPlan {
  /** CA certificate. */
  readonly caCert?: Uint8Array;
  /** Further entries, which follow the credentials in this order. @default [] */
  readonly data?: readonly DataEntry[];
}

/** The entries of a plan, or everything that is wrong with it. */
export interface PlannedEntries {
  /** DS data or security configuration, CA certificate, device certificate, key, further entries. */
  readonly entries: readonly Tlv[];
  /** SubjectPublicKeyInfo of the private key, where it is known. */
  readonly publicKey?: Bytes;
  /** What goes into an eFuse. */
  readonly efuse?: EfuseOutput;
  /** One line for each problem; empty when the plan can be built. */
  readonly problems: readonly string[];
}

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
} = TLV_TYPES;
/** The firmware asks with 254 for the last entry, and 255 is invalid. */
const MAX_SUBTYPE = 253;
const RESERVED_TYPES: readonly number[] = [
  TLV_TYPES.ESP_SECURE_CERT_TLV_END,
  TLV_TYPES.ESP_SECURE_CERT_TLV_MAX,
  TLV_TYPES.ESP_SECURE_CERT_TLV_INVALID,
];

/**
 * Turns a plan into entries, and lists all that is wrong with it rather than the first.
 *
 * @param plan What the image is to hold.
 * @param sources Where eFuse keys, salts and initialisation vectors come from.
 * @returns Entries and problems; nothing secret stands in a problem.
 * @throws {SecureCertError} `ERR_PASSWORD` when a password is missing or wrong.
 */
export async function planEntries(plan: BuildPlan, sources: Sources = {}): Promise<PlannedEntries> {
  const problems: string[] = [];
  const key = await collect(
    problems,
    plan.privateKey ? "private key" : "key",
    () => planKey(plan, sources),
  );
  const certificates: DataEntry[] = [];
  if (plan.caCert !== undefined) certificates.push({ type: CA, data: plan.caCert });
  if (plan.deviceCert !== undefined) certificates.push({ type: DEV, data: plan.deviceCert });
  const entries: Tlv[] = [...key?.before ?? []];
  for (const each of certificates) await addEntry(each, entries, problems, plan.password);
  entries.push(...key?.after ?? []);
  for (const each of plan.data ?? []) await addEntry(each, entries, problems, plan.password);
  return { entries, ...madeBy(key), problems };
}

function madeBy(key: PlannedKey | undefined): Pick<PlannedEntries, "publicKey" | "efuse"> {
  return {
    ...key?.publicKey === undefined ? {} : { publicKey: key.publicKey },
    ...key?.efuse === undefined ? {} : { efuse: key.efuse },
  };
}

async function addEntry(
  { type: named, subtype = 0, data }: DataEntry,
  entries: Tlv[],
  problems: string[],
  password: string | undefined,
): Promise<void> {
  const type = typeof named === "number" ? named : TLV_TYPES[named];
  const problem = numberProblem(type, subtype);
  if (problem !== undefined) return void problems.push(problem);
  const name = nameOf({ type, subtype });
  const stored = await collect(problems, name, () => storedValue(type, data, password));
  if (stored === undefined) return;
  if (stored.length > MAX_TLV_LENGTH) {
    return void problems.push(`${name}: ${stored.length} bytes, an entry holds ${MAX_TLV_LENGTH}`);
  }
  if (entries.some((each) => each.type === type && each.subtype === subtype)) {
    problems.push(`${name}: a second one; the firmware would never read it`);
  }
  entries.push({ type, subtype, flags: 0, data: stored });
}

/** What a step makes, or nothing and one more problem. */
async function collect<T>(
  problems: string[],
  name: string,
  make: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof SecureCertError) || error.code === "ERR_PASSWORD") throw error;
    problems.push(`${name}: ${error.message}`);
    return undefined;
  }
}

function storedValue(
  type: number,
  data: Uint8Array,
  password: string | undefined,
): Promise<Uint8Array> {
  if (type === CA || type === DEV) return Promise.try(() => storedCertificates(data));
  return type === KEY ? storedPrivateKey(data, password) : Promise.resolve(data);
}

function numberProblem(type: number, subtype: number): string | undefined {
  if (!(Number.isInteger(type) && type >= 0 && type <= 255)) return `type ${type}: not 0 to 255`;
  if (RESERVED_TYPES.includes(type)) {
    return `type ${type}: a query value of the firmware, never stored`;
  }
  if (!(Number.isInteger(subtype) && subtype >= 0 && subtype <= MAX_SUBTYPE)) {
    return `${tlvTypeTitle(type)}: subtype ${subtype} is not 0 to ${MAX_SUBTYPE}`;
  }
  return undefined;
}

function nameOf({ type, subtype }: { type: number; subtype: number }): string {
  return subtype === 0 ? tlvTypeTitle(type) : `${tlvTypeTitle(type)} ${subtype}`;
}
