import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { parsePem } from "../../bytes/pem.ts";
import { decodeUtf8, formatBase64, parseBase64, shownValue, shownWord } from "../../bytes/text.ts";
import {
  decodeKeyParts,
  decodeSpki,
  encodeEcSpki,
  encodeRsaSpki,
  keyName,
} from "../../crypto/keys/encoding.ts";
import { exportPrivateKey, importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { deriveEcdsaKey, HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac.ts";
import type { Curve } from "../../format/chips/chip.ts";
import { type ChipName, isChipName } from "../../format/chips/chips.ts";
import { ecdsaEfuseKey } from "../../format/chips/key_blocks.ts";
import type { KeyMode } from "../../format/names.ts";
import { type EfusePlan, formatCommand, planEfuse } from "../../key_modes/efuse_plan.ts";
import type { EfuseKeyMode, KeyModeRules } from "../../key_modes/mode.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import { paths } from "../files.ts";
import type { ManifestRow } from "../manifest.ts";
import { attempt, type BatchProblem, problem } from "./problem.ts";

/** What a batch has for each of its devices, or for none. */
export interface KeptFiles {
  /** Its keys, which are taken away before others get the rest. */
  readonly secrets: boolean;
  /** Labels, which are made on demand. */
  readonly labels: boolean;
}

/** The rules of the key mode that a row names, which may be any text. */
function rulesOf({ keyMode }: Pick<ManifestRow, "keyMode">): KeyModeRules | undefined {
  return Object.hasOwn(KEY_MODE_RULES, keyMode) ? KEY_MODE_RULES[keyMode as KeyMode] : undefined;
}

/** Whether the private key of a row goes into two eFuse blocks, each from a raw file. */
function takesTwoBlocks(row: ManifestRow): boolean {
  if (rulesOf(row)?.efuseKey !== "private key") return false;
  try {
    return keyName(decodeSpki(parseBase64(row.publicKey))) === "P-384";
  } catch (error) {
    if (error instanceof SecureCertError) return false;
    throw error;
  }
}

/**
 * The files that a verified device has beside its image and certificate, by its row of the manifest.
 *
 * @param row The row.
 * @param kept What its batch has of such files.
 */
export function filesNeeded(row: ManifestRow, kept: KeptFiles): string[] {
  const { id, keyMode } = row;
  const rules = rulesOf(row);
  return [
    ...kept.labels ? [paths.label(id)] : [],
    ...keyMode === "plaintext" ? [] : [paths.efusePlan(id)],
    ...kept.secrets ? [paths.key(id)] : [],
    ...kept.secrets && takesTwoBlocks(row) ? [paths.keyLow(id), paths.keyHigh(id)] : [],
    ...kept.secrets && rules?.efuseKey === "hmac key" ? [paths.hmacKey(id)] : [],
    ...kept.secrets && rules?.privateKey === "derived" ? [paths.salt(id)] : [],
  ];
}

/** Files of a device that its key mode has no use for. */
export function filesNotNeeded(row: ManifestRow): string[] {
  const { id } = row;
  const needed = filesNeeded(row, { secrets: true, labels: true });
  return [
    paths.efusePlan(id),
    paths.keyLow(id),
    paths.keyHigh(id),
    paths.hmacKey(id),
    paths.salt(id),
  ]
    .filter((name) => !needed.includes(name));
}

/** The files of a device in `secret`, as far as they are there. */
interface DeviceSecrets {
  /** The private key, PEM. */
  readonly key?: Uint8Array;
  /** The halves of a P-384 key, 32 bytes each, as espefuse takes them. */
  readonly keyHalves?: readonly (Uint8Array | undefined)[];
  /** The eFuse key, 32 bytes. */
  readonly hmacKey?: Uint8Array;
  /** What a derived key is derived with. */
  readonly salt?: Uint8Array;
}

/** How {@linkcode checkSecrets} checks. */
interface SecretCheckOptions {
  /** A key that was opened already, such as that of the image; its file need not be opened again. */
  readonly known?: PrivateKey;
  /** Whether a key is what its file says, and no derived key is derived again. @default false */
  readonly isQuick?: boolean;
}

/**
 * Whether the secrets of a device are those of its row. Whether an HMAC key opens the image shows in the
 * image; only a derived key follows from it.
 *
 * @param row Its row of the manifest.
 * @param secrets What was read.
 * @param options How much is done.
 */
export async function checkSecrets(
  row: ManifestRow,
  { key, keyHalves = [], hmacKey, salt }: DeviceSecrets,
  { known, isQuick = false }: SecretCheckOptions = {},
): Promise<BatchProblem[]> {
  const { id, publicKey } = row;
  const wrong = (path: string, what: string) => problem("WRONG_KEY", id, `${path} ${what}`);
  const problems: BatchProblem[] = [];
  if (key !== undefined) {
    const found = await attempt(() => isQuick ? statedKey(key) : readKey(key, known));
    if (typeof found === "string") problems.push(wrong(paths.key(id), `is not a key: ${found}`));
    else if (formatBase64(found.publicKey) !== publicKey) {
      problems.push(wrong(paths.key(id), "is not the key that the manifest lists"));
    } else {
      const names = [paths.keyLow(id), paths.keyHigh(id)];
      for (const at of wrongHalves(found, keyHalves)) {
        problems.push(wrong(names[at]!, `is not that half of ${paths.key(id)}`));
      }
    }
  }
  const isDerived = rulesOf(row)?.privateKey === "derived";
  if (hmacKey !== undefined && hmacKey.length !== HMAC_KEY_SIZE) {
    const what = `has ${countOf(hmacKey.length, "byte")}, an eFuse block holds ${HMAC_KEY_SIZE}`;
    problems.push(wrong(paths.hmacKey(id), what));
  } else if (!isQuick && isDerived && hmacKey !== undefined && salt !== undefined) {
    const found = await attempt(async () => (await deriveEcdsaKey(hmacKey, salt)).publicKey);
    if (typeof found === "string" || formatBase64(found) !== publicKey) {
      problems.push(wrong(paths.salt(id), "and the HMAC key give another key than the manifest's"));
    }
  }
  return problems;
}

/** The private key of a file, which need not be opened when it is written as a batch writes a known one. */
async function readKey(file: Uint8Array, known: PrivateKey | undefined): Promise<PrivateKey> {
  const isKnown = known !== undefined && equalBytes(file, exportPrivateKey(known));
  return isKnown ? known : await importPrivateKey(file);
}

/**
 * A private key with the public key that its file states, as those of a batch do. That the two belong
 * together is not checked, which is quick.
 */
async function statedKey(file: Uint8Array): Promise<Pick<PrivateKey, "pkcs8" | "publicKey">> {
  const pem = parsePem(decodeUtf8(file) ?? "").find(({ label }) => label === "PRIVATE KEY");
  if (pem === undefined) return await importPrivateKey(file);
  const parts = decodeKeyParts(pem.bytes);
  if (parts.type === "rsa") {
    return { pkcs8: pem.bytes, publicKey: encodeRsaSpki(parts) };
  }
  if (parts.point === undefined) return await importPrivateKey(file);
  return { pkcs8: pem.bytes, publicKey: encodeEcSpki(parts.curve, parts.point) };
}

/** Which of the files of the halves of a P-384 key, low before high, hold something else. */
function wrongHalves(
  key: Pick<PrivateKey, "pkcs8">,
  halves: readonly (Uint8Array | undefined)[],
): readonly number[] {
  const parts = decodeKeyParts(key.pkcs8);
  if (parts.type !== "ec" || parts.curve !== "P-384") return [];
  const right = ecdsaEfuseKey(parts.scalar, parts.curve);
  return right.flatMap(({ bigEndian }, at) =>
    halves[at] === undefined || equalBytes(halves[at], bigEndian) ? [] : [at]
  );
}

/** What an eFuse plan says, and what is wrong with it. */
interface CheckedPlan {
  /** The chip that it is for. */
  readonly chip?: ChipName;
  readonly problems: readonly BatchProblem[];
}

/**
 * Whether an eFuse plan burns the device's own key where its row says: blocks, purposes and command
 * are compared with those of a new plan.
 *
 * @param row Its row of the manifest.
 * @param bytes `efuse/ID.json`.
 * @param chip The chip that it should be for, where that is known.
 */
export function checkEfusePlan(row: ManifestRow, bytes: Uint8Array, chip?: ChipName): CheckedPlan {
  const wrong = (what: string) => problem("WRONG_EFUSE_PLAN", row.id, `its eFuse plan ${what}`);
  const plan = parsePlan(bytes);
  if (plan === undefined) return { problems: [wrong("is not the JSON of a plan")] };
  if (!isChipName(plan.chip)) return { problems: [wrong("names no chip")] };
  const expected = planOf(row, plan.chip);
  if (typeof expected === "string") return { chip: plan.chip, problems: [wrong(expected)] };
  const problems = [
    ...chip === undefined || chip === plan.chip ? [] : [wrong(`is for ${plan.chip}, not ${chip}`)],
    ...Object.entries(expected)
      .filter(([name, value]) => JSON.stringify(plan[name]) !== JSON.stringify(value))
      .map(([name]) => wrong(`has another ${name} than its row makes`)),
    ...Object.keys(plan).filter((name) => name !== "notes" && !Object.hasOwn(expected, name))
      .map((name) => wrong(`has ${shownValue(name)}, which a plan does not have`)),
  ];
  return { chip: plan.chip, problems };
}

/** What of a plan must be the same; its notes are for people. */
type PlanCore = Omit<EfusePlan, "notes" | "command"> & { readonly command: string };

/** The plan of a row for a chip, or why there is none. */
function planOf(row: ManifestRow, chip: ChipName): PlanCore | string {
  const { id, keyMode, efuseKeyId, publicKey } = row;
  const efuseKey = rulesOf(row)?.efuseKey ?? "none";
  if (efuseKey === "none") return `does not go with ${shownWord(keyMode)}`;
  const isKeyBurned = efuseKey === "private key";
  try {
    const key = decodeSpki(parseBase64(publicKey));
    const { notes: _, command, ...rest } = planEfuse({
      keyMode: keyMode as EfuseKeyMode,
      keyId: efuseKeyId ?? NaN,
      keyFile: isKeyBurned ? paths.key(id) : paths.hmacKey(id),
      curve: isKeyBurned && key.type === "ec" ? key.curve as Curve : undefined,
      chip,
    });
    return { ...rest, command: formatCommand(command) };
  } catch (error) {
    if (!(error instanceof SecureCertError || error instanceof RangeError)) throw error;
    return `does not go with its row: ${error.message}`;
  }
}

function parsePlan(bytes: Uint8Array): Record<string, unknown> & { chip: string } | undefined {
  try {
    const value = JSON.parse(decodeUtf8(bytes) ?? "");
    return typeof value?.chip === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
