import { formatShard, WHOLE_LIST } from "../../../batch/list/shard.ts";
import { differingMembers } from "../../../batch/profile/canonical.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { concat } from "../../../bytes/pack.ts";
import { formatHex } from "../../../bytes/text.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey } from "../../../crypto/keys/keys.ts";
import { readCertificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import type { Arguments } from "../../arguments.ts";
import { fileError } from "../../errors.ts";
import type { FolderJournal } from "../journal/journal.ts";
import type { BatchFacts, Fact } from "../journal/meta.ts";
import type { RunPlan } from "./plan.ts";

interface FactRule {
  /** The fact in words. */
  readonly what: string;
  /** Its value in words, where that helps. */
  readonly shown?: (value: string) => string;
  /** Whether `--retry-failed` may change it. */
  readonly settles?: true;
  /** Whether two values mean the same. @default when they are equal */
  readonly isSame?: (a: string, b: string) => boolean;
}

/** What a device stores as its CA where there is no `--ca-cert`. */
const ISSUER = "issuer";

const RULES: Readonly<Record<Fact, FactRule>> = {
  profile: { what: "the profile", settles: true, isSame: isSameProfile },
  signers: { what: "a signing key", settles: true },
  ca: { what: "the CA", settles: true },
  caCert: {
    what: "the CA that the devices store",
    shown: (value) => value === ISSUER ? "their issuer" : `one of --ca-cert, SHA-256 ${value}`,
    settles: true,
  },
  labels: { what: "--labels", shown: (value) => value === "true" ? "given" : "not given" },
  shard: {
    what: "--shard",
    shown: (value) => value === formatShard(WHOLE_LIST) ? "not given" : value,
  },
};

/**
 * Keeps what all devices share the same in all runs, so that no batch is half of one and half of another.
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
  const facts = Object.entries(await factsOf(plan, certificate)) as [Fact, string | undefined][];
  for (const [name, value] of facts) {
    if (value === undefined) continue;
    const known = journal.fact(name);
    const { what, shown, settles = false, isSame = Object.is } = RULES[name];
    if (known !== undefined && isSame(known, value)) continue;
    if (known === undefined || settles && args.has("retry-failed") && await isOpen(journal)) {
      journal.settle(name, value);
      continue;
    }
    const was = shown === undefined ? "" : `: it was ${shown(known)}`;
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
  { profile, shard = WHOLE_LIST, labels, phase, signingKeys, caCert }: RunPlan,
  certificate: Uint8Array | undefined,
): Promise<Partial<BatchFacts>> {
  const signers = await Promise.all(signingKeys.map((key) => importPrivateKey(key)));
  // CAs and signing keys are facts of their own: their files may be elsewhere on another machine.
  const { ca: _, caCert: __, signingKeys: ___, ...members } = profile;
  const stored = caCert && concat(...readCertificates(caCert).map(({ der }) => der));
  return {
    shard: formatShard(shard),
    profile: JSON.stringify(members),
    signers: signers.map(({ publicKey }) => formatHex(sha256(publicKey))).join(),
    labels: phase === "requests" ? undefined : String(labels),
    caCert: stored ? formatHex(sha256(stored)) : phase === "requests" ? undefined : ISSUER,
    ca: certificate && formatHex(sha256(readCertificate(certificate).der)),
  };
}

function isSameProfile(a: string, b: string): boolean {
  const [known, given]: BulkProfile[] = [JSON.parse(a), JSON.parse(b)];
  return differingMembers(known!, given!).length === 0;
}
