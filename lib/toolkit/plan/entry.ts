import type { Problem } from "../../bytes/errors.ts";
import { concat } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import { isProtectedKey, type KeyInput } from "../../crypto/keys/keys.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import type { ConfigColumn, ConfigPlaces, StoredForm } from "../../format/config/row.ts";
import {
  parseStoredCertificates,
  parseStoredKey,
  type StoredCertificates,
  type StoredKey,
} from "../../device/stored.ts";
import {
  type KeyMode,
  TLV_TYPES,
  type TlvType,
  tlvTypeNumber,
  tlvTypeTitle,
} from "../../format/names.ts";
import { isDer } from "../../image/stored.ts";

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
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
export function byPlace(a: Problem, b: Problem): number {
  const line = (a.line ?? Infinity) - (b.line ?? Infinity);
  return Number.isNaN(line) ? 0 : line || (a.column ?? 0) - (b.column ?? 0);
}

/** One line for each problem, in the order of the text. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems.toSorted(byPlace).map(({ line, column, message }) =>
    line === undefined ? message : `line ${line}:${column}: ${message}`
  ).join("\n  ");
}
