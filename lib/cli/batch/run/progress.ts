import type { BulkSummary } from "../../../batch/bulk.ts";
import type { BulkResult } from "../../../batch/ports.ts";
import { red } from "../../render/colors.ts";
import type { Io } from "../../io.ts";
import { barLine, standingOf, startLine } from "../../terminal/progress_line.ts";

/** Shows people or programs how a batch goes. */
export interface Progress {
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
  return `reading the list: ${listed} devices`.slice(0, columns);
}

/** What a run did, as JSON has it. */
export function summaryReport(
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
