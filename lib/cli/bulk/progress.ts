import type { BulkSummary } from "../../provision/bulk.ts";
import type { BulkResult } from "../../provision/bulk_ports.ts";
import { dim, red } from "../colors.ts";
import type { Io } from "../io.ts";

/** Tells people or programs how a batch goes. */
export interface Progress {
  /** A device has come to its end. */
  tell(result: BulkResult): void;
  /** Ends the telling; the seconds that it took. */
  end(): number;
}

const TERMINAL_MS = 200;
const JSON_MS = 1000;
const MOST_REASONS = 20;
const BAR = 24;

/**
 * Starts the telling: a bar on a terminal, with --json a line a second.
 *
 * @param total Devices that are to be made.
 */
export function startProgress(total: number, asJson: boolean, io: Io): Progress {
  const start = performance.now();
  let [done, failed, told] = [0, 0, start];
  const every = asJson ? JSON_MS : TERMINAL_MS;
  const isBar = io.isStderrTerminal && !asJson;
  const clear = () => isBar && io.note(`\x1b[1A\x1b[2K\x1b[1A`);
  const show = () => {
    const seconds = (performance.now() - start) / 1000;
    const rate = done / Math.max(seconds, 0.001);
    const left = rate === 0 ? null : (total - done) / rate;
    if (asJson) {
      io.print(
        JSON.stringify({
          progress: { done, total, failed, rate: round(rate), left: left && round(left) },
        }),
      );
    } else if (isBar) io.note(barLine({ done, total, failed, rate, left }, io.columns));
  };
  if (isBar) show();
  return {
    tell: (result) => {
      done++;
      if (result.state === "failed" && ++failed <= MOST_REASONS) {
        clear();
        io.note(`${red("failed")} ${result.device.id}: ${result.reason}`);
        if (isBar) show();
      }
      const now = performance.now();
      if (now - told < every) return;
      told = now;
      clear();
      show();
    },
    end: () => {
      clear();
      if (failed > MOST_REASONS) {
        io.note(`and ${failed - MOST_REASONS} more; bulk status lists them`);
      }
      return (performance.now() - start) / 1000;
    },
  };
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
