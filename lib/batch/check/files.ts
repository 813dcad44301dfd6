import { SecureCertError } from "../../bytes/errors.ts";
import { decodeUtf8, encodeUtf8, formatBase64, parseBase64 } from "../../bytes/text.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { deriveEcdsaKey } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { decodeSpki } from "../../crypto/keys/encoding.ts";
import { importPrivateKey } from "../../crypto/keys/keys.ts";
import { readRequest } from "../../crypto/x509/request.ts";
import { type ChipName, isChipName } from "../../format/chips/chips.ts";
import { type EfusePlan, formatCommand, planEfuse } from "../../key_modes/efuse_plan.ts";
import type { EfuseKeyMode } from "../../key_modes/mode.ts";
import { type BatchProblem, problem } from "./device.ts";
import { paths } from "../make/results.ts";
import { formatLabel } from "../label.ts";
import type { ManifestRow } from "../manifest.ts";

const HMAC_MODES = ["rsa-ds", "hmac-encrypted", "hmac-derived"];

/** What of a device lies in `secret`; absent what is not there. */
export interface DeviceSecrets {
  /** The private key, PEM. */
  readonly key?: Uint8Array;
  /** The eFuse key, 32 bytes. */
  readonly hmacKey?: Uint8Array;
  /** What a derived key is derived with. */
  readonly salt?: Uint8Array;
}

/** What a batch has for each of its devices, or for none. */
export interface KeptFiles {
  /** Its keys, which are taken away before others get the rest. */
  readonly secrets: boolean;
  /** Labels, which are made on demand. */
  readonly labels: boolean;
}

/**
 * The files that a verified device has beside its image and certificate, by its row of the manifest.
 *
 * @param row The row.
 * @param kept What its batch has of such files.
 */
export function filesNeeded({ id, keyMode }: ManifestRow, kept: KeptFiles): string[] {
  return [
    ...kept.labels ? [paths.label(id)] : [],
    ...keyMode === "plaintext" ? [] : [paths.efusePlan(id)],
    ...kept.secrets ? secretsNeeded(id, keyMode) : [],
  ];
}

/** Files of a device that its key mode has no use for. */
export function filesNeedless(row: ManifestRow): string[] {
  const { id } = row;
  const needed = filesNeeded(row, { secrets: true, labels: true });
  return [paths.efusePlan(id), paths.hmacKey(id), paths.salt(id)]
    .filter((name) => !needed.includes(name));
}

function secretsNeeded(id: string, keyMode: string): string[] {
  return [
    paths.key(id),
    ...HMAC_MODES.includes(keyMode) ? [paths.hmacKey(id)] : [],
    ...keyMode === "hmac-derived" ? [paths.salt(id)] : [],
  ];
}

/**
 * Whether the secrets of a device are those of its row. That an HMAC key opens the image is the image's
 * to say, but for a derived key, which follows from it.
 *
 * @param row Its row of the manifest.
 * @param secrets What was read; what is missing is not told here.
 */
export async function judgeSecrets(
  { id, publicKey, keyMode }: ManifestRow,
  { key, hmacKey, salt }: DeviceSecrets,
): Promise<BatchProblem[]> {
  const wrong = (path: string, what: string) => problem("WRONG_KEY", id, `${path} ${what}`);
  const problems: BatchProblem[] = [];
  if (key !== undefined) {
    const what = await readable(async () => (await importPrivateKey(key)).publicKey);
    if (typeof what === "string") problems.push(wrong(paths.key(id), `is no key: ${what}`));
    else if (formatBase64(what) !== publicKey) {
      problems.push(wrong(paths.key(id), "is not the key that the manifest lists"));
    }
  }
  if (hmacKey !== undefined && hmacKey.length !== HMAC_KEY_SIZE) {
    const what = `has ${hmacKey.length} bytes, an eFuse block holds ${HMAC_KEY_SIZE}`;
    problems.push(wrong(paths.hmacKey(id), what));
  } else if (keyMode === "hmac-derived" && hmacKey !== undefined && salt !== undefined) {
    const what = await readable(async () => (await deriveEcdsaKey(hmacKey, salt)).publicKey);
    if (typeof what === "string" || formatBase64(what) !== publicKey) {
      problems.push(wrong(paths.salt(id), "and the HMAC key give another key than the manifest's"));
    }
  }
  return problems;
}

/** What an eFuse plan says, and what is wrong with it. */
export interface JudgedPlan {
  /** The chip that it is for. */
  readonly chip?: ChipName;
  readonly problems: readonly BatchProblem[];
}

/**
 * Whether an eFuse plan burns the device's own key where its row says: blocks, purposes and command
 * are compared with those of a plan made anew.
 *
 * @param row Its row of the manifest.
 * @param bytes `efuse/ID.json`.
 * @param chip The chip that it should be for, where that is known.
 */
export function judgeEfusePlan(row: ManifestRow, bytes: Uint8Array, chip?: ChipName): JudgedPlan {
  const { id } = row;
  const wrong = (what: string) => problem("WRONG_EFUSE_PLAN", id, `its eFuse plan ${what}`);
  const plan = parsePlan(bytes);
  if (plan === undefined) return { problems: [wrong("is no JSON of a plan")] };
  if (!isChipName(plan.chip)) return { problems: [wrong("names no chip")] };
  const expected = planOf(row, plan.chip);
  if (typeof expected === "string") return { chip: plan.chip, problems: [wrong(expected)] };
  const problems = [
    ...chip === undefined || chip === plan.chip ? [] : [wrong(`is for ${plan.chip}, not ${chip}`)],
    ...Object.entries(expected)
      .filter(([name, value]) => JSON.stringify(plan[name]) !== JSON.stringify(value))
      .map(([name]) => wrong(`has another ${name} than its row makes`)),
    ...Object.keys(plan).filter((name) => name !== "notes" && !Object.hasOwn(expected, name))
      .map((name) => wrong(`has ${JSON.stringify(name)}, which is none of a plan's`)),
  ];
  return { chip: plan.chip, problems };
}

/** What of a plan must not be otherwise; its notes are for people. */
type PlanCore = Omit<EfusePlan, "notes" | "command"> & { readonly command: string };

/** The plan of a row for a chip, or why there is none. */
function planOf({ id, keyMode, efuseKeyId, publicKey }: ManifestRow, chip: ChipName) {
  const isEcdsa = keyMode === "ecdsa-peripheral";
  if (!isEcdsa && !HMAC_MODES.includes(keyMode)) return `does not go with ${keyMode}`;
  try {
    const key = decodeSpki(parseBase64(publicKey));
    const { notes: _, command, ...rest } = planEfuse({
      keyMode: keyMode as EfuseKeyMode,
      keyId: efuseKeyId ?? NaN,
      keyFile: isEcdsa ? paths.key(id) : paths.hmacKey(id),
      ...isEcdsa && key.type === "ec" && { curve: key.curve as "P-256" },
      chip,
    });
    return { ...rest, command: formatCommand(command) } satisfies PlanCore;
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

/**
 * Whether a label is the device's.
 *
 * @param row Its row of the manifest.
 * @param bytes `labels/ID.svg`.
 */
export function judgeLabel(row: ManifestRow, bytes: Uint8Array): BatchProblem[] {
  if (equalBytes(bytes, encodeUtf8(labelOf(row)))) return [];
  return [problem("WRONG_LABEL", row.id, "its label is not that of its name and serial number")];
}

/**
 * Whether a signing request is the device's.
 *
 * @param row Its row of the manifest.
 * @param bytes `csr/ID.csr`.
 */
export async function judgeRequest(
  { id, publicKey }: ManifestRow,
  bytes: Uint8Array,
): Promise<BatchProblem[]> {
  const wrong = (what: string) => [problem("WRONG_REQUEST", id, `its signing request ${what}`)];
  const key = await readable(async () => (await readRequest(bytes)).publicKey);
  if (typeof key === "string") return wrong(`is none: ${key}`);
  return formatBase64(key) === publicKey ? [] : wrong("is for another key");
}

/** Empty for a name and serial number that no label can hold. */
function labelOf(row: ManifestRow): string {
  try {
    return formatLabel(row);
  } catch {
    return "";
  }
}

async function readable<T>(read: () => Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
    throw error;
  }
}
