import { SecureCertError } from "../../bytes/errors.ts";
import { type BulkDevice, type DeviceRow, idProblem } from "./devices.ts";
import type { BulkJournal } from "../ports.ts";
import type { BulkProfile } from "../profile.ts";
import { type Samples, takeSamples } from "../make/rehearsal.ts";
import { resolveDevice } from "./settings.ts";

/** A part of a batch, for one of several machines. */
export interface BulkShard {
  /** Number of the part, from 1. */
  readonly index: number;
  /** How many parts there are. */
  readonly count: number;
}

interface ListOptions {
  readonly profile: BulkProfile;
  readonly journal: BulkJournal;
  readonly shard?: BulkShard;
  readonly signal?: AbortSignal;
  readonly onList?: (devices: number) => void;
}

const CHUNK = 1000;

/** Whether a part has a device; the parts take turns along the list. */
export function isInShard(
  { index }: Pick<BulkDevice, "index">,
  shard: BulkShard | undefined,
): boolean {
  return shard === undefined || index % shard.count === shard.index - 1;
}

/**
 * Checks the whole list, also the parts that others take, and has the journal take up what is to be
 * made here.
 *
 * @returns Devices to try the batch out with; undefined when it was told to stop.
 * @throws {SecureCertError} `ERR_PLAN` with everything that is wrong.
 * @throws {RangeError} for a shard that there is not.
 */
export async function planList(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  { profile, journal, shard, signal, onList }: ListOptions,
): Promise<Samples | undefined> {
  if (shard !== undefined) checkShard(shard);
  const problems: string[] = [];
  const samples = takeSamples();
  let [chunk, others]: BulkDevice[][] = [[], []];
  let [count, last] = [0, -1];
  const flush = async () => {
    problems.push(...await journal.plan(chunk!, others!));
    [chunk, others] = [[], []];
    onList?.(count);
    // Signals and timers have their turn, which a list of its own would never give them.
    await new Promise((resolve) => setTimeout(resolve));
  };
  for await (const row of devices) {
    count++;
    if ("problem" in row) {
      problems.push(row.problem);
      continue;
    }
    const { device } = row;
    const unfit = rowProblem(device, last);
    if (unfit !== undefined) {
      problems.push(unfit);
      continue;
    }
    last = device.index;
    const { problems: wrong, ...settings } = resolveDevice(profile, device);
    problems.push(...wrong.map((problem) => `${device.id}: ${problem}`));
    const isMine = isInShard(device, shard);
    // One with a certificate of its own says nothing of those that are issued here.
    const isIssued = !device.fields.certificate;
    if (isMine && isIssued && wrong.length === 0) samples.add(device, settings);
    (isMine ? chunk! : others!).push(device);
    if (chunk!.length + others!.length >= CHUNK) await flush();
    if (signal?.aborted === true) return undefined;
  }
  await flush();
  if (count === 0) problems.push("the list has no devices");
  if (problems.length > 0) throw planError(problems);
  return samples;
}

/** What those have seen to who read lists with `readCsvDevices` and its like. */
function rowProblem({ id, index }: BulkDevice, last: number): string | undefined {
  const problem = idProblem(id);
  if (problem !== undefined) return problem;
  if (Number.isInteger(index) && index > last) return undefined;
  return `${id}: its index ${index} is not behind that of the row before, ${last}`;
}

function checkShard({ index, count }: BulkShard): void {
  if (Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count) return;
  throw new RangeError(`There is no shard ${index} of ${count}`);
}

/** The error of a batch that cannot be made, with all of its problems. */
export function planError(problems: readonly string[]): SecureCertError {
  return new SecureCertError("ERR_PLAN", `Cannot make devices: ${problems.join("; ")}`, {}, {
    cause: problems,
  });
}
