import { SecureCertError } from "../bytes/errors.ts";
import { type Bytes, concat } from "../bytes/pack.ts";
import { formatPem, isPem } from "../bytes/pem.ts";
import { decodeUtf8, encodeUtf8 } from "../bytes/text.ts";
import { readCertificates } from "../crypto/certificate_info.ts";
import { exportPrivateKey, importPrivateKey } from "../crypto/keys.ts";
import { TLV_TYPES, type TlvTypeName, tlvTypeTitle } from "../format/names.ts";
import { MAX_TLV_LENGTH, type Tlv } from "../format/tlv.ts";

/** An entry beside the credentials. */
export interface DataEntry {
  /** Entry type, a number or a name of {@linkcode TLV_TYPES}. */
  readonly type: number | TlvTypeName;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value; certificates and private keys are stored as those of the credentials are. */
  readonly data: Uint8Array;
}

/** What an image is to hold. */
export interface BuildPlan {
  /** Device certificate, PEM (a bundle too) or DER. */
  readonly deviceCert?: Uint8Array;
  /** CA certificate, PEM (a bundle too) or DER. */
  readonly caCert?: Uint8Array;
  /** Private key in any encoding that {@linkcode importPrivateKey} reads. */
  readonly privateKey?: Uint8Array;
  /** Password of a protected private key. */
  readonly password?: string;
  /** How the private key reaches the device. @default "plaintext" */
  readonly keyMode?: "plaintext";
  /** Further entries, which follow the credentials in this order. @default [] */
  readonly data?: readonly DataEntry[];
}

/** The entries of a plan, or everything that is wrong with it. */
export interface PlannedEntries {
  /** The entries in order: CA certificate, device certificate, private key, further entries. */
  readonly entries: readonly Tlv[];
  /** One line for each problem; empty when the plan can be built. */
  readonly problems: readonly string[];
}

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
} = TLV_TYPES;
const NUL = new Uint8Array(1);
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
 * @returns Entries and problems; nothing secret stands in a problem.
 */
export async function planEntries(plan: BuildPlan): Promise<PlannedEntries> {
  const { keyMode = "plaintext", password } = plan;
  const wanted: DataEntry[] = [];
  if (plan.caCert !== undefined) wanted.push({ type: CA, data: plan.caCert });
  if (plan.deviceCert !== undefined) wanted.push({ type: DEV, data: plan.deviceCert });
  if (plan.privateKey !== undefined) wanted.push({ type: KEY, data: plan.privateKey });
  wanted.push(...plan.data ?? []);
  const problems: string[] = [];
  if (keyMode !== "plaintext") problems.push(`key mode ${keyMode} is not known`);
  const entries: Tlv[] = [];
  for (const each of wanted) {
    const entry = await planEntry(each, password, problems);
    if (entry === undefined) continue;
    if (entries.some(({ type, subtype }) => type === entry.type && subtype === entry.subtype)) {
      problems.push(`${nameOf(entry)}: a second one; the firmware would never read it`);
    }
    entries.push(entry);
  }
  return { entries, problems };
}

/**
 * Certificates as the device stores them: PEM in its canonical form, one block behind the other, and
 * a NUL; DER as it is.
 *
 * @throws {SecureCertError} `ERR_CERTIFICATE` or `ERR_PEM` when they cannot be read.
 */
export function storedCertificates(bytes: Uint8Array): Bytes {
  const certificates = readCertificates(bytes);
  if (!isPem(decodeUtf8(bytes) ?? "")) return new Uint8Array(bytes);
  const text = certificates.map(({ der }) => formatPem("CERTIFICATE", der)).join("");
  return concat(encodeUtf8(text), NUL);
}

/**
 * A private key as the device stores it in plaintext: PKCS#1 or SEC1, PEM and NUL when it came as
 * PEM, else DER.
 *
 * @throws {SecureCertError} as {@linkcode importPrivateKey}.
 */
export async function storedPrivateKey(bytes: Uint8Array, password?: string): Promise<Bytes> {
  const key = await importPrivateKey(bytes, password === undefined ? {} : { password });
  if (!isPem(decodeUtf8(bytes) ?? "")) {
    return await exportPrivateKey(key, { encoding: "traditional", form: "der" });
  }
  return concat(await exportPrivateKey(key, { encoding: "traditional" }), NUL);
}

async function planEntry(
  { type: named, subtype = 0, data }: DataEntry,
  password: string | undefined,
  problems: string[],
): Promise<Tlv | undefined> {
  const type = typeof named === "number" ? named : TLV_TYPES[named];
  const problem = numberProblem(type, subtype);
  if (problem !== undefined) {
    problems.push(problem);
    return undefined;
  }
  try {
    const entry = { type, subtype, flags: 0, data: await storedValue(type, data, password) };
    if (entry.data.length <= MAX_TLV_LENGTH) return entry;
    problems.push(`${nameOf(entry)}: ${entry.data.length} bytes, an entry holds ${MAX_TLV_LENGTH}`);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    if (error.code === "ERR_PASSWORD") throw error;
    problems.push(`${nameOf({ type, subtype })}: ${error.message}`);
  }
  return undefined;
}

async function storedValue(
  type: number,
  data: Uint8Array,
  password: string | undefined,
): Promise<Uint8Array> {
  if (type === CA || type === DEV) return storedCertificates(data);
  return type === KEY ? await storedPrivateKey(data, password) : data;
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
