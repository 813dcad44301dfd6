import { countOf, type Problem, SecureCertError } from "../../bytes/errors.ts";
import { quoted } from "../../bytes/text.ts";
import { concat, equalBytes } from "../../bytes/pack.ts";
import { WEAK_RSA_BITS } from "../../crypto/keys/curves.ts";
import { importPrivateKey, type KeyInput, type PrivateKey } from "../../crypto/keys/keys.ts";
import { isSamePublicKey, keyName } from "../../crypto/keys/encoding.ts";
import { deriveEcdsaKey, HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac.ts";
import { randomBytes, type Sources } from "../../crypto/sources.ts";
import {
  type Certificate,
  type CertificateInput,
  fitInBundle,
  publicKeyOf,
  readCertificate,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import type { Curve } from "../../format/chips/chip.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import type { ConfigColumn } from "../../format/config/row.ts";
import {
  isReservedType,
  keyStorageOf,
  MAX_SUBTYPE,
  TLV_TYPES,
  tlvTypeNumber,
} from "../../format/names.ts";
import { parseStoredCertificates, parseStoredKey } from "../../device/stored.ts";
import { MAX_TLV_LENGTH, type StoredTlv } from "../../format/tlv.ts";
import { hidesKey, type KnownValue, parseMade } from "../../image/contents/contents.ts";
import { encodeStoredKey, isDer, storedCertificates } from "../../image/stored.ts";
import type { EfuseKeyMode, KeyKind, KeyModeRules, ModeEntries } from "../../key_modes/mode.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { keyModeProblems } from "../../key_modes/requirements.ts";
import { findSecret, secretsOf } from "../../verify/exposed.ts";
import { type PlannedEntry, problemAt, refusedValue, unreadableValue } from "./entry.ts";

/**
 * An eFuse key that an image needs.
 *
 * @category Building and changing
 */
export interface EfuseKey {
  /** What it is for. */
  readonly keyMode: "rsa-ds" | "ecdsa-peripheral" | "hmac-encrypted" | "hmac-derived";
  /** The n of KEYn. */
  readonly efuseKeyId: number;
  /** Subtypes of the private keys that it serves. */
  readonly subtypes: readonly number[];
  /** The key of the HMAC peripheral, 32 bytes as burned. Secret: without it the image is worthless. */
  readonly hmacKey?: Uint8Array;
  /** Name of the file that it came from, when espefuse can burn that. */
  readonly file?: string;
  /** Whether the HMAC key was made just now and is nowhere else. */
  readonly isNew: boolean;
  /** The key of the ECDSA peripheral, where it is at hand. */
  readonly privateKey?: PrivateKey;
  /** Curve of the key of the ECDSA peripheral. */
  readonly curve?: "P-192" | "P-256" | "P-384";
}

/** How {@linkcode planEntries} plans. */
export interface PlanOptions extends Pick<Sources, "random"> {
  /** The chip that the image is for; keys in peripherals need it. */
  readonly chip?: ChipName;
  /** Password of protected private keys. */
  readonly password?: string;
  /** The HMAC key of entries that have none of their own, 32 bytes as burned. */
  readonly hmacKey?: Uint8Array;
  /** Make an HMAC key for entries that have none. @default false */
  readonly makeHmacKeys?: boolean;
  /** Take RSA keys under 2048 bits for the DS peripheral. @default false */
  readonly allowWeak?: boolean;
  /** The image that the entries are added to hides its private key. @default what the entries say */
  readonly hidesKey?: boolean;
  /** Take private keys in the open beside one that is hidden, as an image has them. @default false */
  readonly allowExposed?: boolean;
  /** Take certificates and keys that the device refuses, for `verify` to find. @default false */
  readonly allowRefused?: boolean;
}

/** The entries of an image, or all that is wrong with them. */
export interface Plan {
  /** The entries: values of the DS and ECDSA peripherals first, the others in their order. */
  readonly entries: readonly StoredTlv[];
  /** The eFuse keys that have to be burned. */
  readonly efuseKeys: readonly EfuseKey[];
  /** SubjectPublicKeyInfo, DER, of the private keys that are known, by subtype. */
  readonly publicKeys: ReadonlyMap<number, Uint8Array>;
  /** Everything that is wrong; empty when the entries can be stored. */
  readonly problems: readonly Problem[];
  /** Certificates and keys that the device refuses; problems too unless they are allowed. */
  readonly refused: readonly Problem[];
  /** Device certificates that are for another key than the private key with the same subtype. */
  readonly mismatches: readonly Problem[];
  /** The stored values, and the certificates and keys that they were made from. */
  readonly known: readonly KnownValue[];
}

/** An entry whose type is a number and whose subtype is known. */
type NumberedEntry = PlannedEntry & { readonly type: number; readonly subtype: number };

/** What the planning gathers. */
interface Draft {
  readonly options: PlanOptions;
  readonly all: readonly NumberedEntry[];
  readonly first: StoredTlv[];
  readonly others: StoredTlv[];
  /** What each of the others was planned as. */
  readonly planned: Map<StoredTlv, NumberedEntry>;
  readonly efuseKeys: EfuseKey[];
  readonly problems: Problem[];
  readonly refused: Problem[];
  readonly publicKeys: Map<number, Uint8Array>;
  /** Device certificates, and what follows them in a bundle, by subtype. */
  readonly certificates: Map<number, readonly Certificate[]>;
  readonly known: KnownValue[];
}

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT,
} = TLV_TYPES;
const NUL = new Uint8Array(1);

/**
 * Turns planned entries into the entries of an image, in the order of Espressif's host tool, and lists
 * everything that is wrong with them rather than the first.
 *
 * @param planned What the image is to hold.
 * @param options Chip, password, HMAC key and randomness.
 * @returns Entries, eFuse keys, problems and mismatches; no message holds a secret.
 * @throws {SecureCertError} `ERR_PASSWORD` when a password is missing or wrong.
 */
export async function planEntries(
  planned: readonly PlannedEntry[],
  options: PlanOptions = {},
): Promise<Plan> {
  const all = planned.map((entry): NumberedEntry => ({
    ...entry,
    type: tlvTypeNumber(entry.type),
    subtype: entry.subtype ?? 0,
  }));
  const draft: Draft = {
    options,
    all,
    first: [],
    others: [],
    planned: new Map(),
    efuseKeys: [],
    problems: [],
    refused: [],
    publicKeys: new Map(),
    certificates: new Map(),
    known: [],
  };
  for (const entry of all) {
    try {
      await planEntry(entry, draft);
    } catch (error) {
      const isProblem = error instanceof SecureCertError && error.code !== "ERR_PASSWORD";
      if (!isProblem && !(error instanceof RangeError)) throw error;
      draft.problems.push(unreadableValue(entry, error));
    }
  }
  if (options.allowExposed !== true) refuseExposed(draft);
  const { first, others, efuseKeys, problems, refused, publicKeys, known } = draft;
  return {
    entries: [...first, ...others],
    efuseKeys,
    publicKeys,
    problems,
    refused,
    mismatches: certificateMismatches(draft),
    known,
  };
}

async function planEntry(entry: NumberedEntry, draft: Draft): Promise<void> {
  const { type, data, stored } = entry;
  const isRaw = stored?.raw === true;
  if (!isRaw && !checkNumbers(entry, draft)) return;
  if (type === KEY && !isRaw) return await planKey(entry, draft);
  if (!isRaw && (type === CA || type === DEV)) return await planCertificates(entry, draft);
  if (!(data instanceof Uint8Array)) throw new RangeError("the value must be bytes");
  if (type === KEY || type === DEV) await noteRaw(entry, data, draft);
  add(entry, { type, subtype: entry.subtype, flags: 0, data }, draft);
}

async function planCertificates(entry: NumberedEntry, draft: Draft): Promise<void> {
  const { type, subtype } = entry;
  if (isVerbatim(entry)) return await planVerbatim(entry, entry.data, draft);
  const input = entry.data as CertificateInput;
  const certificates = readCertificates(input);
  const data = isDer(input) ? storedCertificates(input) : storedCertificates(certificates);
  const parsed = parseMade(parseStoredCertificates, data, certificates[0]);
  refuse(refusedValue(entry, parsed), draft);
  if (type === DEV) draft.certificates.set(subtype, certificates);
  draft.known.push({ bytes: data, certificates });
  add(entry, { type, subtype, flags: 0, data }, draft);
}

/** Whether the value is to be stored byte for byte, and is nothing that a key mode works with. */
function isVerbatim(
  entry: NumberedEntry,
): entry is NumberedEntry & { readonly data: Uint8Array } {
  const { verbatim = false, data, keyMode = "plaintext" } = entry;
  return verbatim && data instanceof Uint8Array && data.length > 0 && keyMode === "plaintext";
}

/** Checks a value that is stored byte for byte. */
async function planVerbatim(
  entry: NumberedEntry,
  data: Uint8Array,
  draft: Draft,
): Promise<void> {
  const { type, subtype } = entry;
  const parsed = type === KEY ? parseStoredKey(data) : parseStoredCertificates(data);
  refuse(refusedValue(entry, parsed), draft);
  await noteRaw(entry, data, draft);
  add(entry, { type, subtype, flags: 0, data }, draft);
}

/** Certificates that the device refuses or skips, or a key: an image without is not what was asked for. */
function refuse(found: readonly Problem[], { options, problems, refused }: Draft): void {
  refused.push(...found);
  if (options.allowRefused !== true) problems.push(...found);
}

/** Whether type and subtype are numbers that may be stored, and are not there already. */
function checkNumbers(entry: NumberedEntry, { all, problems }: Draft): boolean {
  const { type, subtype } = entry;
  const fail = (column: ConfigColumn, message: string) =>
    void problems.push(problemAt(entry, column, message));
  if (!(Number.isInteger(type) && type >= 0 && type <= 255)) {
    fail("tlv_type", `type ${type}: not 0 to 255`);
  } else if (isReservedType(type)) {
    fail("tlv_type", `type ${type}: a query value of the firmware, never stored`);
  } else if (!(Number.isInteger(subtype) && subtype >= 0 && subtype <= MAX_SUBTYPE)) {
    fail("tlv_subtype", `subtype ${subtype} is not 0 to ${MAX_SUBTYPE}`);
  } else if (all.find((each) => each.type === type && each.subtype === subtype) !== entry) {
    fail("tlv_subtype", "a second one; the firmware would never read it");
  } else return true;
  return false;
}

/** Adds an entry with what the comment of its row says of it. */
function add(entry: NumberedEntry, { flags, data, ...numbers }: StoredTlv, draft: Draft): void {
  const { stored } = entry;
  const value = stored?.nul === true ? concat(data, NUL) : data;
  if (value.length > MAX_TLV_LENGTH) {
    const message = `${countOf(value.length, "byte")}, an entry holds ${MAX_TLV_LENGTH}`;
    return void draft.problems.push(problemAt(entry, "data_value", message));
  }
  const tlv = {
    ...numbers,
    flags: stored?.flags ?? flags,
    data: value,
    ...stored?.reserved && { reserved: stored.reserved },
    ...stored?.padding && { padding: stored.padding },
  };
  draft.others.push(tlv);
  draft.planned.set(tlv, entry);
}

/** A key mode that keeps the private key out of flash is worth nothing with the key beside it. */
function refuseExposed(
  { options, first, others, planned, known, efuseKeys, problems }: Draft,
): void {
  if (options.hidesKey !== true && !hidesKey([...first, ...others])) return;
  const secrets = [
    ...known.flatMap(({ key }) => secretsOf(key, undefined)),
    ...efuseKeys.flatMap(({ privateKey, hmacKey }) => secretsOf(privateKey, hmacKey)),
  ];
  for (const tlv of others) {
    // In a key's own entry it is for the check to find, if it is wrong there.
    if (tlv.type === KEY && keyStorageOf(tlv.flags) !== "plaintext") continue;
    const found = findSecret(tlv.data, secrets);
    if (found === undefined) continue;
    const message =
      `KEY_EXPOSED: holds ${found.what}, which is to be hidden from those who read the flash`;
    problems.push(problemAt(planned.get(tlv)!, "data_value", message));
  }
}

/** What is stored as it is may still be compared: a key with its certificate. */
async function noteRaw(
  { type, subtype }: NumberedEntry,
  data: Uint8Array,
  { publicKeys, certificates }: Draft,
): Promise<void> {
  try {
    if (type === DEV) certificates.set(subtype, readCertificates(data));
    else if (type === KEY) publicKeys.set(subtype, (await importPrivateKey(data)).publicKey);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
  }
}

/** Plans the entries of a private key, as its mode makes them. */
async function planKey(entry: NumberedEntry, draft: Draft): Promise<void> {
  const { keyMode = "plaintext", subtype, efuseKeyId, makeSalt, iv } = entry;
  const { options: { chip, random }, problems, publicKeys, first } = draft;
  const rules = KEY_MODE_RULES[keyMode];
  const before = problems.length;
  if (isVerbatim(entry)) return await planVerbatimKey(entry, draft);
  const key = await openKey(entry, rules, draft);
  if (key !== undefined) publicKeys.set(subtype, key.publicKey);
  const kind = key ?? certificateKind(entry, rules, draft);
  if (checkMode(entry, kind, draft)) checkDeclared(entry, kind, draft);
  const efuse = problems.length > before ? undefined : efuseKeyFor(entry, { key, kind }, draft);
  const hmacKey = efuse?.hmacKey ?? entry.hmacKey ?? draft.options.hmacKey;
  if (rules.privateKey === "derived") await noteDerived(entry, hmacKey, draft);
  if (problems.length > before) return;
  // PEM when it came as PEM or as an object, else DER.
  const stored = key && encodeStoredKey(key, isDer(entry.data) ? "der" : "pem");
  if (stored !== undefined) {
    draft.known.push({ bytes: stored, key });
    if (keyMode !== "ecdsa-peripheral" && keyMode !== "rsa-ds") {
      refuse(refusedValue(entry, parseMade(parseStoredKey, stored, key)), draft);
    }
  }
  const made: ModeEntries = await rules.makeEntries({
    subtype,
    key,
    chip,
    efuseKeyId,
    makeSalt,
    iv,
    random,
    hmacKey,
    stored,
  });
  if (made.publicKey !== undefined) publicKeys.set(subtype, made.publicKey);
  first.push(...made.first ?? []);
  for (const each of made.inPlace ?? []) add(entry, each, draft);
}

/** As {@linkcode planVerbatim}; what its row says of the key must be so too. */
async function planVerbatimKey(
  entry: NumberedEntry & { readonly data: Uint8Array },
  draft: Draft,
): Promise<void> {
  const key = await readableKey(entry.data);
  if (key !== undefined) draft.known.push({ bytes: entry.data, key });
  checkDeclared(entry, key, draft);
  await planVerbatim(entry, entry.data, draft);
}

async function readableKey(data: Uint8Array): Promise<PrivateKey | undefined> {
  try {
    return await importPrivateKey(data);
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

/** The private key of an entry; undefined where the mode derives it, or does without. */
async function openKey(
  entry: NumberedEntry,
  { privateKey }: KeyModeRules,
  { options: { password }, problems }: Draft,
): Promise<PrivateKey | undefined> {
  const { keyMode = "plaintext" } = entry;
  const data = entry.data as KeyInput;
  const isEmpty = data instanceof Uint8Array && data.length === 0;
  if (!isEmpty && privateKey !== "derived") return await importPrivateKey(data, { password });
  const problem = isEmpty
    ? privateKey === "needed" && `${keyMode} needs a private key`
    : `${keyMode} takes no private key: it derives its own, from a salt of type ${SALT}`;
  if (problem) problems.push(problemAt(entry, "data_value", problem));
  return undefined;
}

/** The kind of a key that is not at hand, as its certificate shows it. */
function certificateKind(
  entry: NumberedEntry,
  { privateKey }: KeyModeRules,
  { all, problems }: Draft,
): KeyKind | undefined {
  if (privateKey !== "optional") return undefined;
  const source = all.find(({ type, subtype }) => type === DEV && subtype === entry.subtype);
  if (source === undefined) {
    const message = `${entry.keyMode} needs a private key or a device certificate`;
    problems.push(problemAt(entry, "data_value", message));
    return undefined;
  }
  const key = publicKeyOf(readCertificate(source.data as CertificateInput));
  return key?.type === "ec" ? { ...key, bits: 0 } : key;
}

/** What the row says of the key must be so: the eFuse is burned for it. */
function checkDeclared(
  entry: NumberedEntry,
  key: KeyKind | undefined,
  { problems }: Draft,
): void {
  const { algorithm, keySize } = entry;
  if (key === undefined) return;
  const kind = key.type === "rsa" ? "RSA" : "ECDSA";
  if (kind !== (algorithm ?? kind)) {
    const message = `needs ${algorithm}, the key is ${keyName(key)}`;
    problems.push(problemAt(entry, "algorithm", message));
  } else if (keySize !== undefined && key.bits > 0 && keySize !== key.bits) {
    problems.push(problemAt(entry, "key_size", `${keySize}, the key is ${keyName(key)}`));
  }
}

const COLUMNS = { chip: "priv_key_type", key: "algorithm", efuseKeyId: "efuse_id" } as const;

/** Checks that mode, chip, key and eFuse key block go together; false when the mode takes no such key. */
function checkMode(
  entry: NumberedEntry,
  key: KeyKind | undefined,
  draft: Draft,
): boolean {
  const { options: { chip, allowWeak = false }, problems } = draft;
  const { keyMode = "plaintext", efuseKeyId } = entry;
  const rules = KEY_MODE_RULES[keyMode];
  if (rules.efuseKey === "none" || !needsEfuse(entry, chip)) return true;
  const found = keyModeProblems({ keyMode, chip, key, efuseKeyId });
  problems.push(...found.map(({ field, message }) => problemAt(entry, COLUMNS[field], message)));
  if (efuseKeyId === undefined) {
    problems.push(problemAt(entry, "efuse_id", `missing; ${keyMode} needs the n of its KEYn`));
  }
  if (rules.privateKey === "derived") checkCertified(entry, draft);
  if (keyMode === "rsa-ds" && key?.type === "rsa" && key.bits < WEAK_RSA_BITS && !allowWeak) {
    const message = `an RSA key of ${key.bits} bits can be broken; allow weak keys to take it`;
    problems.push(problemAt(entry, "key_size", message));
  }
  return found.every(({ field }) => field !== "key");
}

/** A certificate is for one key, so that neither its HMAC key nor its salt can be a new one. */
function checkCertified(entry: NumberedEntry, { all, options, problems }: Draft): void {
  const isCertified = all.some(({ type, subtype }) => type === DEV && subtype === entry.subtype);
  const hmacKey = entry.hmacKey ?? options.hmacKey;
  if (!isCertified || hmacKey !== undefined && entry.makeSalt !== true) return;
  const message =
    `${entry.keyMode} needs the HMAC key and the salt that the certificate's key was ` +
    "derived with";
  problems.push(problemAt(entry, "efuse_key", message));
}

/** A derived key with its salt can be stored for any chip, and for a block that is not known here. */
function needsEfuse(entry: NumberedEntry, chip: ChipName | undefined): boolean {
  const { privateKey } = KEY_MODE_RULES[entry.keyMode ?? "plaintext"];
  if (privateKey !== "derived" || entry.makeSalt === true) return true;
  return chip !== undefined && entry.efuseKeyId !== undefined;
}

/** A derived key has no value of its own; its salt is an entry beside it. */
async function noteDerived(
  entry: NumberedEntry,
  hmacKey: Uint8Array | undefined,
  { all, problems, publicKeys }: Draft,
): Promise<void> {
  if (entry.makeSalt === true) return;
  const { subtype } = entry;
  const salt = all.find((each) => each.type === SALT && each.subtype === subtype)?.data;
  if (!(salt instanceof Uint8Array)) {
    const message = `no entry of type ${SALT} with subtype ${subtype} holds its salt`;
    problems.push(problemAt(entry, "tlv_subtype", message));
  } else if (hmacKey !== undefined) {
    publicKeys.set(subtype, (await deriveEcdsaKey(hmacKey, salt)).publicKey);
  }
}

/** The eFuse key of an entry; every entry that names its block must have the same one. */
function efuseKeyFor(
  entry: NumberedEntry,
  known: { readonly key: PrivateKey | undefined; readonly kind: KeyKind | undefined },
  draft: Draft,
): EfuseKey | undefined {
  const { keyMode = "plaintext", efuseKeyId, subtype } = entry;
  const { efuseKeys, problems, options: { chip } } = draft;
  if (keyMode === "plaintext" || efuseKeyId === undefined || !needsEfuse(entry, chip)) {
    return undefined;
  }
  const there = efuseKeys.find((each) => each.efuseKeyId === efuseKeyId);
  const wanted = KEY_MODE_RULES[keyMode].efuseKey === "private key"
    ? {
      keyMode,
      efuseKeyId,
      subtypes: [subtype],
      isNew: false,
      privateKey: known.key,
      curve: known.kind?.curve as Curve | undefined,
    }
    : hmacEfuseKey(entry, keyMode, there, draft);
  if (wanted === undefined) return undefined;
  if (there === undefined) {
    efuseKeys.push(wanted);
    return wanted;
  }
  if (there.keyMode !== keyMode || !isSameKey(there, wanted)) {
    problems.push(problemAt(entry, "efuse_id", `KEY${efuseKeyId} is taken by another key`));
    return undefined;
  }
  const shared = { ...there, subtypes: [...there.subtypes, subtype] };
  efuseKeys.splice(efuseKeys.indexOf(there), 1, shared);
  return shared;
}

function isSameKey(a: EfuseKey, b: EfuseKey): boolean {
  const [left, right] = [a, b].map(({ hmacKey, privateKey }) => hmacKey ?? privateKey?.publicKey);
  return left !== undefined && right !== undefined && equalBytes(left, right);
}

function hmacEfuseKey(
  entry: NumberedEntry,
  keyMode: EfuseKeyMode,
  there: EfuseKey | undefined,
  { options, problems }: Draft,
): EfuseKey | undefined {
  const { efuseKeyId, subtype, efuseKeyFile: file } = entry;
  const given = entry.hmacKey ?? options.hmacKey ?? (there?.isNew ? there.hmacKey : undefined);
  if (given !== undefined && given.length !== HMAC_KEY_SIZE) {
    const message = `the HMAC key has ${
      countOf(given.length, "byte")
    }, an eFuse block holds ${HMAC_KEY_SIZE}`;
    problems.push(problemAt(entry, "efuse_key", message));
    return undefined;
  }
  if (given === undefined && options.makeHmacKeys !== true) {
    const message = `missing; ${keyMode} needs the file with the 32 bytes of the HMAC key`;
    problems.push(problemAt(entry, "efuse_key", message));
    return undefined;
  }
  return {
    keyMode,
    efuseKeyId: efuseKeyId!,
    subtypes: [subtype],
    hmacKey: given ?? randomBytes(HMAC_KEY_SIZE, options),
    isNew: given === undefined,
    ...file !== undefined && { file },
  };
}

/** Device certificates that are for another key than the private key with the same subtype. */
function certificateMismatches({ all, certificates, publicKeys }: Draft): Problem[] {
  return [...certificates].flatMap(([subtype, bundle]) => {
    const key = publicKeys.get(subtype);
    const isFor = ({ publicKey }: Certificate) =>
      key !== undefined && isSamePublicKey(publicKey, key);
    const [certificate] = bundle;
    if (key === undefined || isFor(certificate!)) return [];
    const entry = all.find((each) => each.type === DEV && each.subtype === subtype);
    const message =
      `the device certificate ${
        quoted(certificate!.subject)
      } is for another key than the private key` +
      fitInBundle(bundle, isFor);
    return [{ ...entry?.places?.data_value, message }];
  });
}
