import {
  countDevices,
  type DeviceRow,
  readCsvDevices,
  readNdjsonDevices,
} from "../../batch/list/devices.ts";
import type { Arguments } from "../command.ts";
import { usageError } from "../errors.ts";
import { explain, openStdin } from "../io.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { decodeTextParts, shownName } from "../../bytes/text.ts";
import { type BatchProblem, problem } from "../../batch/check/problem.ts";
import { isInShard, parseShard } from "../../batch/list/list.ts";

const MAX_LINE = 0x100000;
/** More devices at once are a typo: they would take weeks and terabytes. */
const MOST_COUNTED = 10_000_000;

/** The devices that --devices names or --count counts. */
export function devicesOf(args: Arguments): AsyncIterable<DeviceRow> | Iterable<DeviceRow> {
  const path = args.get("devices");
  const count = args.number("count");
  if ((path === undefined) === (count === undefined)) {
    throw usageError("bulk needs --devices or --count", "devices", "run bulk --help");
  }
  if (path !== undefined) {
    if (args.has("id-template")) {
      throw usageError("--id-template goes with --count; a list has its ids", "id-template");
    }
    return readList(path);
  }
  refuseCount(count!);
  const template = args.get("id-template") ?? "dev-{n:06}";
  return countDevices(count!, template);
}

/** The devices of a batch, of which may be known before they are read whether all have certificates. */
export interface DeviceList {
  readonly devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>;
  /** How many they are, where that is known before they are read. */
  readonly count?: number;
  /** Whether it comes only once, as from stdin or another program. */
  readonly isStream: boolean;
  /** Whether all devices have a certificate of their own, so that none is to be issued. */
  allCertified(): Promise<boolean>;
}

/** As {@linkcode devicesOf}, for those who must know of the certificates first. */
export function deviceList(args: Arguments): DeviceList {
  const devices = devicesOf(args);
  const path = args.get("devices");
  if (path !== undefined && isStream(path)) return streamedList(readList(path));
  const allCertified = path === undefined
    ? () => Promise.resolve(false)
    : () => areCertified(devicesOf(args));
  return { devices, count: args.number("count"), isStream: false, allCertified };
}

/** Memory holds what is read to know of the certificates: all of the list when each device has one. */
function streamedList(rows: AsyncGenerator<DeviceRow>): DeviceList {
  const seen: DeviceRow[] = [];
  async function* look(): AsyncGenerator<DeviceRow> {
    for (let next = await rows.next(); next.done !== true; next = await rows.next()) {
      seen.push(next.value);
      yield next.value;
    }
  }
  async function* all(): AsyncGenerator<DeviceRow> {
    yield* seen.splice(0);
    yield* rows;
  }
  return { devices: all(), isStream: true, allCertified: () => areCertified(look()) };
}

/** Whether a path is that of a pipe, as `-` and a shell's `<(…)` are. */
function isStream(path: string): boolean {
  if (path === "-") return true;
  try {
    return !Deno.statSync(path).isFile;
  } catch {
    // The error comes where it is read.
    return false;
  }
}

/** Reads no further than the first device that has no certificate. */
async function areCertified(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
): Promise<boolean> {
  let has = false;
  for await (const row of devices) {
    // What is wrong with a row is reported where the list is checked.
    if ("problem" in row) continue;
    if (!row.device.fields.certificate) return false;
    has = true;
  }
  return has;
}

/** Tells CSV from NDJSON by its first character; memory holds a line. */
async function* readList(path: string): AsyncGenerator<DeviceRow> {
  const lines = readLines(path);
  const { value: first, done } = await lines.next();
  async function* all(): AsyncGenerator<string> {
    if (done !== true) yield first;
    yield* lines;
  }
  // An array is refused as one.
  const isNdjson = /^\uFEFF?\s*[{[]/.test(done === true ? "" : first);
  yield* isNdjson ? readNdjsonDevices(all()) : readCsvDevices(all());
}

/** The lines of a file, without their breaks; `-` is stdin. */
async function* readLines(path: string): AsyncGenerator<string> {
  try {
    const stream = path === "-" ? openStdin() : (await Deno.open(path)).readable;
    let rest = "";
    for await (const part of decodeTextParts(stream)) {
      // A break may be cut in two.
      const lines = (rest + part).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop()!;
      yield* lines;
      if (rest.length > MAX_LINE) throw usageError(`${path} has a line of over a MiB`, "devices");
    }
    if (rest !== "") yield rest.replace(/\r$/, "");
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw explain("read", path, error);
    throw usageError(`${shownName(path)} is not text in UTF-8 or UTF-16`, "devices");
  }
}

/**
 * Refuses flags of a device list that do not go together, before a batch is read.
 *
 * @param verb The command, as people call it.
 * @throws {CliError} `ERR_USAGE`.
 */
export function refuseLists(verb: string, args: Arguments): void {
  if (args.has("devices") && args.has("count")) {
    throw usageError(`${verb} takes --devices or --count, not both`, "devices");
  }
  if (args.has("id-template") && !args.has("count")) {
    const hint = args.has("devices") ? "a list has its ids" : undefined;
    throw usageError("--id-template goes with --count", "id-template", hint);
  }
  if (args.has("count")) refuseCount(args.number("count")!);
}

function refuseCount(count: number): void {
  if (count >= 1 && count <= MOST_COUNTED) return;
  const hint = count < 1 ? undefined : "give --devices a list, or make several batches";
  throw usageError(`--count is a number from 1 to ${MOST_COUNTED}`, "count", hint);
}

/**
 * What a batch lacks of the devices that it should have, and has beyond them; nothing when no flag
 * says which these are.
 *
 * @param ids The devices that it has.
 * @param shard The part of the list that it is, `i/n`. @default all of it
 */
export async function findMissing(
  ids: ReadonlySet<string>,
  args: Arguments,
  shard?: string,
): Promise<BatchProblem[]> {
  if (!args.has("devices") && !args.has("count")) return [];
  const problems: BatchProblem[] = [];
  const extra = new Set(ids);
  const part = shard === undefined ? undefined : parseShard(shard);
  for await (const row of devicesOf(args)) {
    if ("problem" in row) {
      throw new SecureCertError("ERR_CSV", `Cannot read device list: ${row.problem}`);
    }
    if (!isInShard(row.device, part)) continue;
    const { id } = row.device;
    if (!ids.has(id)) problems.push(problem("MISSING_DEVICE", id, "in no manifest"));
    extra.delete(id);
  }
  for (const id of extra) problems.push(problem("STRAY_DEVICE", id, "not in the device list"));
  return problems;
}
