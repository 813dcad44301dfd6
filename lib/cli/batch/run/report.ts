import type { BulkSummary } from "../../../batch/bulk.ts";
import type { BulkPhase, BulkState, KeySource } from "../../../batch/ports.ts";
import type { Finding } from "../../../findings/findings.ts";
import type { Arguments } from "../../arguments.ts";
import type { Io } from "../../io.ts";
import { formatRate } from "../../terminal/progress_line.ts";
import { summaryReport } from "./progress.ts";
import type { RunPlan } from "./plan.ts";

/** What the summary says beside what was done. */
interface RunFacts {
  readonly plan: RunPlan;
  readonly keys: KeySource | undefined;
  readonly workers: number;
  readonly seconds: number;
  /** What was found in all images alike. */
  readonly findings: readonly Finding[];
}

/** Says what a run did and what is left to do; returns the exit code. */
export function reportRun(
  summary: BulkSummary,
  { plan: { out, phase, caCert }, keys, workers, seconds, findings }: RunFacts,
  args: Arguments,
  io: Io,
): number {
  const { counts, made, failed, stopped } = summary;
  const source = keys?.name ?? "WebCrypto";
  const facts = { folder: out, phase, keys: source, workers };
  const open = openStates(counts, phase);
  const isGood = counts.failed === 0 && !stopped && open.length === 0;
  if (args.has("json")) {
    const report = { ok: isGood, ...summaryReport(summary, facts, seconds) };
    const found = findings.length === 0 ? {} : { findings };
    io.print(JSON.stringify({ summary: { ...report, ...found } }));
  } else {
    const rate = formatRate((made + failed) / Math.max(seconds, 0.001));
    const done = phase === "requests" ? counts["key made"] : counts.verified;
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const what = phase === "requests" ? "requests" : "devices verified";
    io.print(
      `${done} of ${total} ${what} in ${out}; ${made + failed} in this run, ${
        seconds.toFixed(1)
      } s, ${rate}`,
    );
    io.print(`keys from ${source}; ${workers} ${workers === 1 ? "thread" : "threads"}`);
  }
  if (stopped) io.note("stopped; run the same command again to continue");
  if (counts.failed > 0) {
    io.note(`${counts.failed} failed; run again with --retry-failed to try them again`);
    if (failed < counts.failed) io.note(`bulk status ${out} says why`);
  }
  if (!stopped) { for (const state of open) io.note(openText(state, counts[state], phase)); }
  if (phase === "requests") {
    const ca = caCert === undefined ? "--ca DIR" : "and the same --ca-cert";
    io.note(`next: have ${out}/csr/*.csr certified, and run again with --certificates DIR ${ca}`);
  }
  return isGood ? 0 : 1;
}

/** States that no device should be in at the end of a phase. */
function openStates(counts: BulkSummary["counts"], phase: BulkPhase): BulkState[] {
  const states: readonly BulkState[] = phase === "requests"
    ? ["pending"]
    : ["pending", "key made", "certified"];
  return states.filter((state) => counts[state] > 0);
}

function openText(state: BulkState, count: number, phase: BulkPhase): string {
  if (state === "certified") {
    return `${count} have a certificate and no image yet; continue with --certificates DIR`;
  }
  if (state === "key made") {
    return `${count} have no certificate yet; continue with --certificates DIR`;
  }
  return phase === "certificates"
    ? `${count} have no request yet; continue with --csr`
    : `${count} are still to be made; run the same command again`;
}
