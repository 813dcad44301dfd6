import {
  countDevices,
  type DeviceRow,
  readCsvDevices,
  readNdjsonDevices,
} from "../../../batch/list/devices.ts";
import type { Arguments } from "../../arguments.ts";
import { usageError } from "../../errors.ts";
import { explain, openStdin } from "../../io.ts";

const MAX_LINE = 0x100000;

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
  if (count! < 1) throw usageError("--count is a number from 1", "count");
  const template = args.get("id-template") ?? "dev-{n:06}";
  return countDevices(count!, template);
}

/** Tells CSV from NDJSON by its first character; memory holds a line. */
async function* readList(path: string): AsyncGenerator<DeviceRow> {
  const lines = readLines(path);
  const { value: first, done } = await lines.next();
  async function* all(): AsyncGenerator<string> {
    if (done !== true) yield first;
    yield* lines;
  }
  const isNdjson = /^\uFEFF?\s*\{/.test(done === true ? "" : first);
  yield* isNdjson ? readNdjsonDevices(all()) : readCsvDevices(all());
}

/** The lines of a file, without their breaks; `-` is stdin. */
async function* readLines(path: string): AsyncGenerator<string> {
  try {
    const stream = path === "-" ? openStdin() : (await Deno.open(path)).readable;
    let rest = "";
    for await (const part of stream.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))) {
      const lines = (rest + part).split(/\r\n|\n/);
      rest = lines.pop()!;
      yield* lines;
      if (rest.length > MAX_LINE) throw usageError(`${path} has a line of over a MiB`, "devices");
    }
    if (rest !== "") yield rest.replace(/\r$/, "");
  } catch (error) {
    if (!(error instanceof TypeError)) throw explain("read", path, error);
    throw usageError(`${path} is not UTF-8 text`, "devices");
  }
}
