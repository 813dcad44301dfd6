import { dim } from "../render/text.ts";
import type { Io } from "../io.ts";

/** A line of the terminal that shows how far some work is. */
export interface ProgressLine {
  /** Draws it again. */
  show(): void;
  /** Takes it away for good. */
  end(): void;
}

/** How far some work is. */
export interface Standing {
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Pieces a second. */
  readonly rate: number;
  /** Seconds; null while it is unknown. */
  readonly left: number | null;
}

const EVERY_MS = 200;
/** Work that takes less needs no line. */
const PATIENCE_MS = 500;
const BAR = 24;

/**
 * Starts a line on stderr, which is drawn a few times a second; nothing where stderr is not a
 * terminal.
 *
 * @param textOf The text, in no more than so many columns.
 * @param after How long it waits before it appears by itself, in milliseconds. @default 0
 */
export function startLine(
  { drawLine, columns }: Io,
  textOf: (columns: number) => string,
  after = 0,
): ProgressLine {
  if (drawLine === undefined) return { show: () => {}, end: () => {} };
  const start = performance.now();
  const show = () => drawLine(textOf(columns));
  const timer = setInterval(() => {
    try {
      if (performance.now() - start >= after) show();
    } catch {
      // The work continues without its line.
      clearInterval(timer);
    }
  }, EVERY_MS);
  return {
    show,
    end: () => {
      clearInterval(timer);
      drawLine("");
    },
  };
}

/** Counts pieces of work on a line of the terminal. */
export interface Counter {
  add(pieces: number): void;
  end(): void;
}

/**
 * Starts to count, on a line that appears when it takes long.
 *
 * @param what What is done to how many of what: `checked`, `devices`.
 * @param total How many there will be, where that is known.
 */
export function startCounter(io: Io, what: readonly [string, string], total?: number): Counter {
  const start = performance.now();
  let done = 0;
  const [verb, pieces] = what;
  const line = startLine(io, (columns) => {
    const standing = standingOf({ done, total: total ?? done, failed: 0, start });
    if (total !== undefined) return barLine(standing, columns);
    return `${done} ${pieces} ${verb}, ${formatRate(standing.rate)}`.slice(0, columns);
  }, PATIENCE_MS);
  return { add: (count) => void (done += count), end: line.end };
}

/** Items as they come, counted on a line of the terminal as {@linkcode startCounter} does. */
export async function* counted<T>(
  items: AsyncIterable<T>,
  io: Io,
  what: readonly [string, string],
  total?: number,
): AsyncGenerator<T> {
  const counter = startCounter(io, what, total);
  try {
    for await (const item of items) {
      yield item;
      counter.add(1);
    }
  } finally {
    counter.end();
  }
}

/** How far work is that began at a time of `performance.now()`. */
export function standingOf(
  { done, total, failed, start }: Pick<Standing, "done" | "total" | "failed"> & { start: number },
): Standing {
  const rate = done / Math.max((performance.now() - start) / 1000, 0.001);
  return { done, failed, total, rate, left: rate === 0 ? null : (total - done) / rate };
}

/** A bar, the numbers and the time left, in so many columns. */
export function barLine({ done, total, failed, rate, left }: Standing, columns: number): string {
  const filled = total === 0 ? BAR : Math.min(BAR, Math.round(BAR * done / total));
  const bar = "█".repeat(filled) + dim("░".repeat(BAR - filled));
  const time = left === null ? "" : `, ${formatTime(Math.max(0, left))} left`;
  const text = `${done} of ${total}${failed > 0 ? `, ${failed} failed` : ""}, ${
    formatRate(rate)
  }${time}`;
  return columns < BAR + text.length + 1 ? text.slice(0, columns) : `${bar} ${text}`;
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
