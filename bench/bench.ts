/**
 * Measures this machine and prints one table; takes about five minutes, most of them for RSA keys, and
 * no network. A goal that is missed is printed as missed, and is not a failure.
 *
 *     deno task bench                          everything
 *     deno task bench start-up codecs          only these parts
 *     deno task bench batch 100000             a batch of this many devices
 *     deno task bench --against ../before      this checkout beside another, in pairs; a quarter of an hour
 */
import { batch, compareBatch, compareRsaBatch } from "./batch.ts";
import { codecs } from "./codecs.ts";
import { flashDump } from "./flash_dump.ts";
import { flashEncryption } from "./flash_encryption.ts";
import { hostile } from "./hostile.ts";
import { keys } from "./keys.ts";
import { layouts } from "./layouts.ts";
import { peripherals } from "./peripherals.ts";
import { compareStartUp, startUp } from "./start_up.ts";
import { programs } from "./programs.ts";
import { type Comparison, formatComparisons, formatRows, type Row } from "./table.ts";
import { verifying } from "./verify.ts";

/** Measures one part of the project, with a folder to write to; a batch with so many devices. */
type Part = (folder: string, devices?: number) => Row[] | Promise<Row[]>;

const PARTS: Readonly<Record<string, Part>> = {
  "start-up": startUp,
  "flash-dump": flashDump,
  "flash-encryption": flashEncryption,
  codecs,
  layouts,
  peripherals,
  hostile,
  verify: verifying,
  keys,
  batch,
  programs,
};

/** Measures one part in pairs with the command line of another checkout. */
type ComparedPart = (
  folder: string,
  otherCli: string,
  devices?: number,
) => Promise<Comparison[]>;

const COMPARED_PARTS: Readonly<Record<string, ComparedPart>> = {
  "start-up": compareStartUp,
  batch: compareBatch,
  "batch-rsa": compareRsaBatch,
};

interface Arguments {
  readonly parts: readonly string[];
  readonly devices?: number;
  /** The folder of the other checkout. */
  readonly against?: string;
}

function readArguments(args: readonly string[]): Arguments {
  const at = args.indexOf("--against");
  const against = at < 0 ? undefined : args[at + 1];
  if (at >= 0 && against === undefined) fail("--against needs the folder of another checkout");
  const words = args.filter((_, index) => at < 0 || index < at || index > at + 1);
  const parts = words.filter((word) => !/^[0-9]+$/.test(word));
  const known = Object.keys(against === undefined ? PARTS : COMPARED_PARTS);
  const unknown = parts.find((part) => !known.includes(part));
  if (unknown !== undefined) {
    const where = against === undefined ? "" : " to compare";
    fail(`no part ${unknown}${where}; there are ${known.join(", ")}`);
  }
  const devices = words.find((word) => /^[0-9]+$/.test(word));
  return {
    parts: parts.length > 0 ? parts : known,
    devices: devices === undefined ? undefined : Number(devices),
    against,
  };
}

async function measure(
  { parts, devices, against }: Arguments,
  folder: string,
): Promise<string> {
  if (against !== undefined) {
    const otherCli = await cliOf(against);
    const all = await each(parts, (part) => COMPARED_PARTS[part]!(folder, otherCli, devices));
    return `here: this checkout; there: ${against}\n\n${formatComparisons(all)}`;
  }
  return formatRows(await each(parts, (part) => PARTS[part]!(folder, devices)));
}

async function each<T>(
  parts: readonly string[],
  act: (part: string) => T[] | Promise<T[]>,
): Promise<T[]> {
  const all: T[] = [];
  for (const part of parts) {
    write(Deno.stderr, `measuring ${part} …`);
    all.push(...await act(part));
  }
  return all;
}

/** The command line of a checkout. */
async function cliOf(folder: string): Promise<string> {
  const path = `${folder}/cli.ts`;
  try {
    return await Deno.realPath(path);
  } catch {
    return fail(`no ${path}`);
  }
}

function machine(): string {
  const { version, build } = Deno;
  return `Deno ${version.deno} (V8 ${version.v8}), ${build.os} ${build.arch}, ` +
    `${navigator.hardwareConcurrency} processors`;
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

function fail(message: string): never {
  write(Deno.stderr, `error: ${message}`);
  Deno.exit(1);
}

const args = readArguments(Deno.args);
const folder = await Deno.makeTempDir({ prefix: "bench-" });
try {
  const text = await measure(args, folder);
  write(Deno.stdout, `${machine()}\n\n${text}`);
} finally {
  await Deno.remove(folder, { recursive: true });
}
