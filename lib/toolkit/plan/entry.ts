import { countOf, type Problem, SecureCertError } from "../../bytes/errors.ts";
import { concat } from "../../bytes/pack.ts";
import { encodeUtf8, shownName } from "../../bytes/text.ts";
import { isProtectedKey, type KeyInput } from "../../crypto/keys/keys.ts";
import { hexHmacKey } from "../../crypto/peripherals/hmac.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import {
  parseStoredCertificates,
  parseStoredKey,
  type StoredCertificates,
  type StoredKey,
} from "../../device/stored.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { readConfigCsv } from "../../format/config/csv.ts";
import {
  type ConfigColumn,
  type ConfigPlaces,
  type ConfigRow,
  configValueBytes,
  type ImageForm,
  type StoredForm,
} from "../../format/config/row.ts";
import {
  type KeyMode,
  TLV_TYPES,
  type TlvType,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../../format/names.ts";
import { isDer } from "../../image/stored.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT,
} = TLV_TYPES;

const NUL = new Uint8Array(1);

/** An entry that an image is to hold: a row of a CSV, a flag with its file, or a part of a plan. */
export interface PlannedEntry {
  /** Entry type: a number, a name of `TLV_TYPES` or a short name such as `user1`. */
  readonly type: TlvType;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /**
   * The value: certificates as PEM or DER, a private key in any encoding, either also as PEM text or as
   * objects; other bytes as they are. Empty for a derived key, and for a key in the ECDSA peripheral that
   * is not at hand.
   */
  readonly data: CertificateInput | KeyInput;
  /** How a private key reaches the device. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** The kind that a private key must be of. @default any that the key mode takes */
  readonly algorithm?: "RSA" | "ECDSA";
  /** The size that a private key must have, in bits. @default any that the key mode takes */
  readonly keySize?: number;
  /** The n of the KEYn that the eFuse key is burned into. */
  readonly efuseKeyId?: number;
  /** The key of the HMAC peripheral, 32 bytes as burned. @default that of the options */
  readonly hmacKey?: Uint8Array;
  /** Name of the file that the HMAC key came from, when it holds the raw bytes. */
  readonly efuseKeyFile?: string;
  /** `hmac-derived`: derive with a new salt, which becomes an entry too. @default false */
  readonly makeSalt?: boolean;
  /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
  readonly iv?: Uint8Array;
  /** Store the bytes of a certificate or a plaintext key as they are, not in canonical form. @default false */
  readonly verbatim?: boolean;
  /** What a comment of a CSV says of the entry. */
  readonly stored?: StoredForm;
  /** Where the cells of its row are in a CSV. */
  readonly places?: ConfigPlaces;
}

/** A problem with a cell of an entry's row, or with the whole of an entry that has none. */
export function problemAt(
  entry: PlannedEntry,
  column: ConfigColumn,
  problem: string,
): Problem {
  const place = entry.places?.[column];
  if (place !== undefined) return { message: `${column}: ${problem}`, ...place };
  return { message: `${titleOf(entry)}: ${problem}` };
}

/**
 * The problems of a certificate or private key that the device refuses, or of which it skips a block: an
 * image without that is not what was asked for.
 *
 * @param entry The entry, whose type is that of a certificate or private key.
 * @param parsed What the device makes of its stored bytes.
 */
export function refusedValue(
  entry: PlannedEntry,
  parsed: StoredCertificates | StoredKey,
): Problem[] {
  const title = titleOf(entry);
  const problem = (message: string): Problem => {
    const place = entry.places?.data_value;
    const field = "verify";
    if (place === undefined) return { message, field };
    return { message: `data_value: ${message}`, field, ...place };
  };
  if (parsed.kind === "refused") {
    const { reason, lacksNul } = parsed.refusal;
    const hint = lacksNul ? "; only hex and base64 are stored without one" : "";
    return [problem(`the device refuses the ${title}: ${reason}${hint}`)];
  }
  const skipped = "skipped" in parsed ? parsed.skipped : [];
  return skipped.map(({ index, reason }) =>
    problem(`the device refuses certificate ${index + 1} of the ${title}'s bundle: ${reason}`)
  );
}

/**
 * The problem of a value that cannot be read; of a certificate or private key that the device refuses too,
 * with its reason.
 *
 * @param entry The entry that has the value.
 * @param error What the reading ended in.
 */
export function unreadableValue(entry: PlannedEntry, error: Error): Problem {
  // A cause is of a file of another kind, which the message names.
  const reason = error.cause === undefined ? deviceReason(entry) : undefined;
  const message = reason === undefined ? "" : `; the device refuses it too: ${reason}`;
  return problemAt(entry, "data_value", error.message + message);
}

/** Why the device refuses the value of a certificate or private key, if it is one that it refuses. */
function deviceReason({ type, data, keyMode = "plaintext" }: PlannedEntry): string | undefined {
  const number = tlvTypeNumber(type);
  const bytes = typeof data === "string" ? encodeUtf8(data) : data;
  if (!(bytes instanceof Uint8Array)) return undefined;
  if (number === CA || number === DEV) return reasonOf(parseStoredCertificates(asStored(bytes)));
  // Other keys are not stored as they are in their file.
  if (number !== KEY || keyMode !== "plaintext" || isProtectedKey(bytes)) return undefined;
  return reasonOf(parseStoredKey(asStored(bytes)));
}

function asStored(file: Uint8Array): Uint8Array {
  return isDer(file) ? file : concat(file, NUL);
}

/** Why none is used, or why not all of them are. */
function reasonOf(parsed: StoredCertificates | StoredKey): string | undefined {
  if (parsed.kind === "refused") return parsed.refusal.reason;
  return "skipped" in parsed ? parsed.skipped[0]?.reason : undefined;
}

function titleOf({ type, subtype = 0 }: PlannedEntry): string {
  const title = tlvTypeTitle(tlvTypeNumber(type));
  return subtype === 0 ? title : `${title} ${subtype}`;
}

/** Problems in the order of the text; those without a place at the end. */
function byPlace(a: Problem, b: Problem): number {
  const line = (a.line ?? Infinity) - (b.line ?? Infinity);
  return Number.isNaN(line) ? 0 : line || (a.column ?? 0) - (b.column ?? 0);
}

/** One line for each problem, in the order of the text. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.toSorted(byPlace).map(({ line, column, message }) =>
    line === undefined ? message : `line ${line}:${column}: ${message}`
  ).join("\n  ");
}

/** Brings the bytes of a file that a CSV names; undefined when there is no such file. */
export type Load = (path: string) => Promise<Uint8Array | undefined>;

/** What a configuration CSV asks for. */
export interface CsvPlan {
  /** The entries of the rows, in their order. */
  readonly entries: readonly PlannedEntry[];
  /** What a comment says of the image. */
  readonly image: ImageForm;
  /** The bytes of the patch that it names. */
  readonly patch?: Uint8Array;
  /** Everything that is wrong with the rows and the files they name, by line and column. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a configuration CSV and the files that it names.
 *
 * @param text The text: nine columns, byte order mark, any line breaks, comments, quotes.
 * @param load Brings the files, under the names that the CSV gives them.
 * @returns The rows with their values, and all that is wrong in one go. Of the text, problems repeat
 * only names of files.
 */
export async function planFromCsv(text: string, load: Load): Promise<CsvPlan> {
  const { rows, places, image = {}, problems: found } = readConfigCsv(text);
  const problems: Problem[] = [...found];
  const entries: PlannedEntry[] = [];
  for (const [at, row] of rows.entries()) {
    const entry = await readRow(row, places[at]!, load, problems);
    if (entry !== undefined) entries.push(entry);
  }
  const patch = image.patch === undefined ? undefined : await load(image.patch);
  if (image.patch !== undefined && patch === undefined) {
    problems.push({ message: `@image: no such file: ${shownName(image.patch)}` });
  }
  return { entries, image, patch, problems: problems.sort(byPlace) };
}

async function readRow(
  row: ConfigRow,
  places: ConfigPlaces,
  load: Load,
  problems: Problem[],
): Promise<PlannedEntry | undefined> {
  const file = async (column: ConfigColumn, path: string) => {
    const bytes = await load(path);
    if (bytes === undefined) {
      problems.push({ ...places[column], message: `${column}: no such file: ${shownName(path)}` });
    }
    return bytes;
  };
  const data = row.dataType === "file"
    ? await file("data_value", row.dataValue)
    : configValueBytes(row);
  const keyFile = row.efuseKey === undefined ? undefined : await file("efuse_key", row.efuseKey);
  if (data === undefined || row.efuseKey !== undefined && keyFile === undefined) return undefined;
  const { type, subtype, keyMode, algorithm, keySize, efuseId, stored } = row;
  return {
    type,
    subtype,
    data,
    places,
    keyMode,
    algorithm,
    keySize,
    stored,
    verbatim: row.dataType === "hex" || row.dataType === "base64",
    efuseKeyId: efuseId,
    ...keyFile && hmacKeyOf(keyFile, row.efuseKey!),
  };
}

/** The HMAC key of a file; one of hex text is not named, because espefuse cannot burn that file. */
export function hmacKeyOf(
  bytes: Uint8Array,
  path: string,
): Pick<PlannedEntry, "hmacKey" | "efuseKeyFile"> {
  const hmacKey = hexHmacKey(bytes);
  return hmacKey === undefined ? { hmacKey: bytes, efuseKeyFile: path } : { hmacKey };
}

/** The error of a CSV that cannot be built. */
export function csvError(problems: readonly Problem[]): SecureCertError {
  const sorted = problems.toSorted(byPlace);
  const count = problems.length === 1 ? "a problem" : countOf(problems.length, "problem");
  const line = sorted[0]?.line;
  return new SecureCertError(
    "ERR_CSV",
    `Cannot build from CSV, ${count}:\n  ${formatProblems(problems)}`,
    line === undefined ? {} : { line },
    { problems: sorted },
  );
}

/**
 * An entry beside the credentials.
 *
 * @category Building and changing
 */
export interface DataEntry {
  /** Entry type: a number, a name of {@linkcode TLV_TYPES} or a short name such as `user1`. */
  readonly type: TlvType;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value; certificates and private keys are taken and stored as those of the credentials are. */
  readonly data: Uint8Array;
  /** Store the bytes of a certificate or key as they are, not in canonical form. @default false */
  readonly verbatim?: boolean;
}

/**
 * What an image is to hold.
 *
 * @category Building and changing
 */
export interface BuildPlan {
  /** CA certificate: PEM (a bundle too), DER, or as an object. */
  readonly caCert?: CertificateInput;
  /** Device certificate, with those of intermediate CAs after it: PEM, DER, or as objects. */
  readonly deviceCert?: CertificateInput;
  /**
   * Private key in any encoding or as an object. It is left out for `hmac-derived`, and may be for
   * `ecdsa-peripheral`, where the device certificate shows its curve.
   */
  readonly privateKey?: KeyInput;
  /** Password of a protected private key. */
  readonly password?: string;
  /** How the private key reaches the device. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** The chip; needed for every mode but `plaintext`. */
  readonly chip?: ChipName;
  /** The n of the KEYn that holds the eFuse key. @default 1 */
  readonly efuseKeyId?: number;
  /** The eFuse key of the modes with an HMAC, 32 bytes as burned. @default made from `random` */
  readonly hmacKey?: Uint8Array;
  /** `hmac-derived`: the salt that the certificate's key was derived with. @default a new one */
  readonly salt?: Uint8Array;
  /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
  readonly iv?: Uint8Array;
  /** Further entries, which follow the credentials in this order. @default [] */
  readonly data?: readonly DataEntry[];
}

/** KEY0 is what flash encryption and secure boot like to take. */
export const DEFAULT_EFUSE_KEY_ID = 1;
const NO_DATA = new Uint8Array();

/**
 * A plan as a list of entries: CA certificate, device certificate, key, further entries.
 *
 * @param plan What the image is to hold.
 */
export function entriesOf(plan: BuildPlan): PlannedEntry[] {
  const { caCert, deviceCert, salt, data = [] } = plan;
  const entries: PlannedEntry[] = [];
  if (caCert !== undefined) entries.push({ type: CA, data: caCert });
  if (deviceCert !== undefined) entries.push({ type: DEV, data: deviceCert });
  if (salt !== undefined) entries.push({ type: SALT, data: salt });
  const key = keyOf(plan);
  if (key !== undefined) entries.push(key);
  return [...entries, ...data];
}

function keyOf(plan: BuildPlan): PlannedEntry | undefined {
  const { keyMode = "plaintext", privateKey, hmacKey, salt, iv } = plan;
  if (keyMode === "plaintext" && privateKey === undefined) return undefined;
  const { efuseKey, privateKey: wanted } = KEY_MODE_RULES[keyMode];
  return {
    type: KEY,
    data: privateKey ?? NO_DATA,
    keyMode,
    hmacKey,
    iv,
    efuseKeyId: efuseKey === "none" ? undefined : plan.efuseKeyId ?? DEFAULT_EFUSE_KEY_ID,
    makeSalt: wanted === "derived" && salt === undefined,
  };
}
