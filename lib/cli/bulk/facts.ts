import { formatHex } from "../../bytes/text.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { sha256 } from "../../crypto/deps.ts";
import type { Arguments } from "../arguments.ts";
import { fileError } from "../errors.ts";
import type { Fact, FolderJournal } from "./journal.ts";
import type { RunPlan } from "./run_plan.ts";

/** What a fact is called, what it is told by, and whether `--retry-failed` may change it. */
interface FactRule {
  readonly what: string;
  readonly tell?: (value: string) => string;
  readonly settles?: true;
}

const onOrOff = (value: string) => value === "true" ? "given" : "not given";

const RULES: Readonly<Record<Fact, FactRule>> = {
  profile: { what: "the profile", settles: true },
  ca: { what: "the CA", settles: true },
  pack: { what: "--pack", tell: onOrOff },
  labels: { what: "--labels", tell: onOrOff },
  shard: { what: "--shard", tell: (value) => value === "1/1" ? "not given" : value },
};

/**
 * Sees to it that what all devices share stays the same in all runs, so that no batch is half of one
 * and half of another.
 *
 * @param certificate The CA's, where one is needed.
 * @throws {CliError} `ERR_IO` for the first fact that is not that of the first run.
 */
export function agreeFacts(
  plan: RunPlan,
  certificate: Uint8Array | undefined,
  journal: FolderJournal,
  args: Arguments,
): void {
  for (const [name, value] of Object.entries(factsOf(plan, certificate)) as [Fact, string][]) {
    const known = journal.agree(name, value);
    if (known === value) continue;
    const { what, tell, settles = false } = RULES[name];
    if (settles && args.has("retry-failed")) {
      journal.settle(name, value);
      continue;
    }
    const was = tell === undefined ? "" : `: it was ${tell(known)}`;
    const message = `${what} is not that of the first run in ${plan.out}${was}`;
    const retry = settles ? "; --retry-failed takes the new one" : "";
    const hint = `give what the first run had, or another folder${retry}`;
    throw fileError("ERR_IO", plan.out, message, hint);
  }
}

function factsOf(
  { profile, pack, shard, labels, phase }: RunPlan,
  certificate: Uint8Array | undefined,
): Partial<Record<Fact, string>> {
  const { index, count } = shard ?? { index: 1, count: 1 };
  return {
    shard: `${index}/${count}`,
    profile: JSON.stringify(profile),
    pack: String(pack),
    ...phase === "requests" ? {} : { labels: String(labels) },
    ...certificate && { ca: formatHex(sha256(readCertificate(certificate).der)) },
  };
}
