import { SecureCertError } from "../bytes/errors.ts";
import { type BatchProblem, problem } from "../provision/batch_check.ts";
import {
  countDevices,
  type DeviceRow,
  readCsvDevices,
  readNdjsonDevices,
} from "../provision/bulk_devices.ts";
import type { Arguments } from "./arguments.ts";
import { readLines } from "./batch_folder.ts";
import { usageError } from "./errors.ts";

/**
 * What a batch lacks of the devices that it should have, and has beyond them; nothing when no flag
 * says which these are.
 *
 * @param ids The devices that it has.
 */
export async function findMissing(
  ids: ReadonlySet<string>,
  args: Arguments,
): Promise<BatchProblem[]> {
  const rows = expectedRows(args);
  if (rows === undefined) return [];
  const problems: BatchProblem[] = [];
  const extra = new Set(ids);
  for await (const row of rows) {
    if ("problem" in row) {
      throw new SecureCertError("ERR_CSV", `Cannot read device list: ${row.problem}`);
    }
    const { id } = row.device;
    if (!ids.has(id)) problems.push(problem("MISSING_DEVICE", id, "in no manifest"));
    extra.delete(id);
  }
  for (const id of extra) problems.push(problem("STRAY_DEVICE", id, "not in the device list"));
  return problems;
}

function expectedRows(args: Arguments): AsyncIterable<DeviceRow> | Iterable<DeviceRow> | undefined {
  const [file, count, template] = [
    args.get("devices"),
    args.number("count"),
    args.get("id-template"),
  ];
  if (file !== undefined && (count !== undefined || template !== undefined)) {
    throw usageError("--devices does not go with --count and --id-template", "devices");
  }
  if (file !== undefined) {
    const isNdjson = /\.(ndjson|jsonl|json)$/i.test(file);
    return (isNdjson ? readNdjsonDevices : readCsvDevices)(readLines(file));
  }
  if (count === undefined && template === undefined) return undefined;
  if (count === undefined || template === undefined) {
    const missing = count === undefined ? "count" : "id-template";
    throw usageError(`--count and --id-template go together; --${missing} is missing`, missing);
  }
  return countDevices(count, template);
}
