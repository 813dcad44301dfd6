import { SecureCertError } from "../../bytes/errors.ts";
import { decodeUtf8, parseBase64 } from "../../bytes/text.ts";
import { decodeSpki } from "../../crypto/keys/encoding.ts";
import type { Curve } from "../../format/chips/chip.ts";
import { type ChipName, isChipName } from "../../format/chips/chips.ts";
import { type EfusePlan, formatCommand, planEfuse } from "../../key_modes/efuse_plan.ts";
import type { EfuseKeyMode } from "../../key_modes/mode.ts";
import { paths } from "../files.ts";
import type { ManifestRow } from "../manifest.ts";
import { rulesOf } from "./needed.ts";
import { type BatchProblem, problem } from "./problem.ts";

/** What an eFuse plan says, and what is wrong with it. */
export interface CheckedPlan {
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
      .map((name) => wrong(`has ${JSON.stringify(name)}, which a plan does not have`)),
  ];
  return { chip: plan.chip, problems };
}

/** What of a plan must be the same; its notes are for people. */
type PlanCore = Omit<EfusePlan, "notes" | "command"> & { readonly command: string };

/** The plan of a row for a chip, or why there is none. */
function planOf(row: ManifestRow, chip: ChipName): PlanCore | string {
  const { id, keyMode, efuseKeyId, publicKey } = row;
  const efuseKey = rulesOf(row)?.efuseKey ?? "none";
  if (efuseKey === "none") return `does not go with ${keyMode}`;
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
