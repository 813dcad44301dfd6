import { countOf } from "../../../bytes/errors.ts";
import type { BulkSummary } from "../../../batch/bulk.ts";
import type { BulkPhase, BulkResult, BulkState, KeySource } from "../../../batch/ports.ts";
import type { Finding } from "../../../findings/findings.ts";
import type { Arguments } from "../../command.ts";
import type { Io } from "../../io.ts";
import { red } from "../../render/text.ts";
import { barLine, formatRate, standingOf, startLine } from "../../terminal/progress_line.ts";
import type { RunPlan } from "./plan.ts";

/** Shows people or programs how a batch goes. */
interface Progress {
  /** So many devices of the list are read. */
  list(devices: number): void;
  /** The making begins. */
  start(total: number): void;
  /** A device has come to its end. */
  add(result: BulkResult): void;
  /**
   * Ends it.
   *
   * @returns The seconds that the making took.
   */
  end(): number;
}

const JSON_MS = 1000;
const MOST_REASONS = 20;
/** Failed devices in a line of JSON; `bulk status` has all of them. */
const MOST_IN_LINE = 100;

interface State {
  /** Devices of the list so far; the making has a total. */
  listed: number;
  total?: number;
  done: number;
  failed: number;
  /** When the making began, in milliseconds. */
  start: number;
  /** Devices that failed since the last line. */
  failures: { id: string; reason: string }[];
}

/** Starts it: a bar on a terminal, with --json a line a second. */
export function startProgress(asJson: boolean, io: Io): Progress {
  const state: State = { listed: 0, done: 0, failed: 0, start: performance.now(), failures: [] };
  const line = asJson ? undefined : startLine(io, (columns) => textLine(state, columns));
  const timer = asJson ? setInterval(tick, JSON_MS) : undefined;
  function tick(): void {
    try {
      io.print(JSON.stringify(jsonLine(state)));
    } catch {
      // The summary says that nothing can be written; the devices are made anyway.
      clearInterval(timer);
    }
  }
  return {
    list: (devices) => void (state.listed = devices),
    start: (total) => {
      state.total = total;
      state.start = performance.now();
      line?.show();
    },
    add: ({ device, state: end, reason = "" }) => {
      state.done++;
      if (end !== "failed") return;
      state.failed++;
      if (asJson) state.failures.push({ id: device.id, reason });
      else if (state.failed <= MOST_REASONS) {
        io.note(`${red("failed")} ${device.id}: ${reason}`);
        line?.show();
      }
    },
    end: () => {
      clearInterval(timer);
      line?.end();
      if (state.failures.length > 0) io.print(JSON.stringify(jsonLine(state)));
      if (!asJson && state.failed > MOST_REASONS) {
        io.note(`and ${state.failed - MOST_REASONS} more; bulk status lists them`);
      }
      return (performance.now() - state.start) / 1000;
    },
  };
}

function jsonLine(state: State): unknown {
  const { total } = state;
  if (total === undefined) return { list: { devices: state.listed } };
  const { rate, left, ...counts } = standingOf({ ...state, total });
  const failures = state.failures.splice(0);
  return {
    progress: {
      ...counts,
      rate: round(rate),
      left: left && round(left),
      ...failures.length > 0 && { failures: failures.slice(0, MOST_IN_LINE) },
    },
  };
}

function textLine(state: State, columns: number): string {
  const { total, listed } = state;
  if (total !== undefined) return barLine(standingOf({ ...state, total }), columns);
  return `reading the list: ${countOf(listed, "device")}`.slice(0, columns);
}

/** What a run did, as JSON has it. */
function summaryReport(
  { counts, made, failed, stopped }: BulkSummary,
  facts: Readonly<Record<string, unknown>>,
  seconds: number,
): Record<string, unknown> {
  const rate = round((made + failed) / Math.max(seconds, 0.001));
  return { ...facts, counts, made, failed, stopped, seconds: round(seconds), rate };
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

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
