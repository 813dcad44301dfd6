import type { BulkSummary } from "../../provision/bulk.ts";
import type { BulkResult } from "../../provision/bulk_ports.ts";
import { dim, red } from "../colors.ts";
import type { Io } from "../io.ts";

/** Tells people or programs how a batch goes. */
export interface Progress {
  /** So many devices of the list are read. */
  list(devices: number): void;
  /** The making begins. */
  start(total: number): void;
  /** A device has come to its end. */
  tell(result: BulkResult): void;
  /** Ends the telling; the seconds that the making took. */
  end(): number;
}

const TERMINAL_MS = 200;
const JSON_MS = 1000;
const MOST_REASONS = 20;
/** Failed devices in a line of JSON; `bulk status` has all of them. */
const MOST_IN_LINE = 100;
const BAR = 24;

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

/** Starts the telling: a bar on a terminal, with --json a line a second. */
export function startProgress(asJson: boolean, io: Io): Progress {
  const state: State = { listed: 0, done: 0, failed: 0, start: performance.now(), failures: [] };
  const isBar = io.isStderrTerminal && !asJson;
  let isShown = false;
  const clear = () => {
    if (isShown) io.note(`\x1b[1A\x1b[2K\x1b[1A`);
    isShown = false;
  };
  const show = () => {
    if (asJson) io.print(JSON.stringify(jsonLine(state)));
    if (!isBar) return;
    clear();
    io.note(textLine(state, io.columns));
    isShown = true;
  };
  const tick = () => {
    try {
      show();
    } catch {
      // The summary tells that nothing can be written; the devices are made all the same.
      clearInterval(timer);
    }
  };
  const timer = asJson || isBar ? setInterval(tick, asJson ? JSON_MS : TERMINAL_MS) : undefined;
  return {
    list: (devices) => void (state.listed = devices),
    start: (total) => {
      state.total = total;
      state.start = performance.now();
      if (isBar) show();
    },
    tell: ({ device, state: end, reason = "" }) => {
      state.done++;
      if (end !== "failed") return;
      state.failed++;
      if (asJson) state.failures.push({ id: device.id, reason });
      else if (state.failed <= MOST_REASONS) {
        clear();
        io.note(`${red("failed")} ${device.id}: ${reason}`);
        if (isBar) show();
      }
    },
    end: () => {
      clearInterval(timer);
      clear();
      if (state.failures.length > 0) io.print(JSON.stringify(jsonLine(state)));
      if (!asJson && state.failed > MOST_REASONS) {
        io.note(`and ${state.failed - MOST_REASONS} more; bulk status lists them`);
      }
      return (performance.now() - state.start) / 1000;
    },
  };
}

function standingOf({ done, failed, start, total = 0 }: State): Standing {
  const rate = done / Math.max((performance.now() - start) / 1000, 0.001);
  return { done, failed, total, rate, left: rate === 0 ? null : (total - done) / rate };
}

function jsonLine(state: State): unknown {
  if (state.total === undefined) return { list: { devices: state.listed } };
  const { rate, left, ...counts } = standingOf(state);
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
  if (state.total !== undefined) return barLine(standingOf(state), columns);
  return `reading the list: ${state.listed} devices`.slice(0, columns);
}

interface Standing {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  readonly rate: number;
  readonly left: number | null;
}

function barLine({ done, total, failed, rate, left }: Standing, columns: number): string {
  const filled = total === 0 ? BAR : Math.round(BAR * done / total);
  const bar = "█".repeat(filled) + dim("░".repeat(BAR - filled));
  const time = left === null ? "" : `, ${formatTime(left)} left`;
  const text = `${done} of ${total}${failed > 0 ? `, ${failed} failed` : ""}, ${
    formatRate(rate)
  }${time}`;
  return columns < BAR + text.length + 1 ? text.slice(0, columns) : `${bar} ${text}`;
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

/** A rate in words. */
export function formatRate(rate: number): string {
  return rate >= 10 ? `${rate.toFixed(0)} /s` : `${rate.toPrecision(2)} /s`;
}

function formatTime(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (number: number) => String(number).padStart(2, "0");
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}
