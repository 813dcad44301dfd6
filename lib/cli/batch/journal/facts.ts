import { formatHex } from "../../../bytes/text.ts";
import { readCertificate } from "../../../crypto/x509/certificate.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey } from "../../../crypto/keys/keys.ts";
import { wantedKey } from "../../../batch/make/keys.ts";
import type { BulkProfile } from "../../../batch/profile.ts";
import type { Arguments } from "../../arguments.ts";
import { fileError } from "../../errors.ts";
import type { Fact, FolderJournal } from "./journal.ts";
import type { RunPlan } from "../run/run_plan.ts";

/** What a fact is called, what it is told by, and whether `--retry-failed` may change it. */
interface FactRule {
  readonly what: string;
  readonly tell?: (value: string) => string;
  readonly settles?: true;
}

const onOrOff = (value: string) => value === "true" ? "given" : "not given";

const RULES: Readonly<Record<Fact, FactRule>> = {
  profile: { what: "the profile", settles: true },
  signers: { what: "a signing key", settles: true },
  ca: { what: "the CA", settles: true },
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
export async function agreeFacts(
  plan: RunPlan,
  certificate: Uint8Array | undefined,
  journal: FolderJournal,
  args: Arguments,
): Promise<void> {
  for (
    const [name, value] of Object.entries(await factsOf(plan, certificate)) as [Fact, string][]
  ) {
    const known = journal.fact(name);
    if (known === value) continue;
    const { what, tell, settles = false } = RULES[name];
    if (known === undefined || settles && args.has("retry-failed") && await isOpen(journal)) {
      journal.settle(name, value);
      continue;
    }
    const was = tell === undefined ? "" : `: it was ${tell(known)}`;
    const message = `${what} is not that of the first run in ${plan.out}${was}`;
    const retry = settles ? "; --retry-failed takes a new one where every device failed" : "";
    const hint = `give what the first run had, or another folder${retry}`;
    throw fileError("ERR_IO", plan.out, message, hint);
  }
}

/** Whether every device failed, or waits for its certificate, so that nothing would be of two kinds. */
async function isOpen(journal: FolderJournal): Promise<boolean> {
  const { failed: _, "key made": __, ...others } = await journal.counts();
  return Object.values(others).every((count) => count === 0);
}

async function factsOf(
  { profile, shard, labels, phase, signingKeys }: RunPlan,
  certificate: Uint8Array | undefined,
): Promise<Partial<Record<Fact, string>>> {
  const { index, count } = shard ?? { index: 1, count: 1 };
  const signers = await Promise.all(signingKeys.map((key) => importPrivateKey(key)));
  return {
    shard: `${index}/${count}`,
    profile: plainProfile(profile),
    signers: signers.map(({ publicKey }) => formatHex(sha256(publicKey))).join(),
    ...phase === "requests" ? {} : { labels: String(labels) },
    ...certificate && { ca: formatHex(sha256(readCertificate(certificate).der)) },
  };
}

/** What a profile says that says nothing, where that matters. */
const DEFAULTS: BulkProfile = {
  days: 3650,
  subject: "CN={id}",
  sans: [],
  usage: ["client"],
  efuseKeyId: 1,
  data: [],
};

/** The same for profiles that mean the same; CA and signing keys are facts of their own. */
function plainProfile({ ca: _, signingKeys: __, ...profile }: BulkProfile): string {
  const { keyMode = "plaintext", format = "tlv" } = profile;
  const { type = "ec", ...key } = wantedKey(profile, { keyMode });
  const { curve = "P-256", bits = 2048 } = key;
  const whole = {
    ...DEFAULTS,
    ...profile,
    keyMode,
    format,
    key: type === "ec" ? { type, curve } : { type, bits },
  };
  return JSON.stringify(whole, (_, value) => {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? Object.fromEntries(Object.entries(value).toSorted(byName)) : value;
  });
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
