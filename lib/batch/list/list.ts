import { SecureCertError } from "../../bytes/errors.ts";
import type { BulkJournal } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";
import { type BulkDevice, type DeviceRow, idProblem } from "./devices.ts";
import { collectSamples, type Samples } from "./samples.ts";
import { resolveRow } from "./settings.ts";
import { type BulkShard, formatShard, isInShard, isShard, WHOLE_LIST } from "./shard.ts";

interface ListOptions {
  readonly profile: BulkProfile;
  readonly journal: BulkJournal;
  readonly shard?: BulkShard;
  readonly signal?: AbortSignal;
  readonly onList?: (devices: number) => void;
}

const CHUNK = 1000;

/**
 * Checks the whole list, with the parts that others take, and has the journal take up what is to be
 * made here.
 *
 * @returns Devices to try the batch out with; undefined when the signal ended it.
 * @throws {SecureCertError} `ERR_PLAN` with everything that is wrong.
 * @throws {RangeError} for a shard that does not exist.
 */
export async function planList(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  { profile, journal, shard = WHOLE_LIST, signal, onList }: ListOptions,
): Promise<Samples | undefined> {
  if (!isShard(shard)) throw new RangeError(`There is no shard ${formatShard(shard)}`);
  const problems: string[] = [];
  const samples = collectSamples();
  let [mine, others]: [BulkDevice[], BulkDevice[]] = [[], []];
  let [count, last] = [0, -1];
  const flush = async () => {
    problems.push(...await journal.plan(mine, others));
    [mine, others] = [[], []];
    onList?.(count);
    // Signals and timers get their turn, which a list that never waits would not give them.
    await new Promise((resolve) => setTimeout(resolve));
  };
  for await (const row of devices) {
    count++;
    const problem = "problem" in row ? row.problem : rowProblem(row.device, last);
    if (problem !== undefined) problems.push(problem);
    if (problem !== undefined || "problem" in row) continue;
    const { device } = row;
    last = device.index;
    const { problems: wrong, ...settings } = resolveRow(profile, device);
    problems.push(...wrong.map((problem) => `${device.id}: ${problem}`));
    const isMine = isInShard(device, shard);
    // One with a certificate of its own says nothing of those that are issued here.
    const isIssued = !device.fields.certificate;
    if (isMine && isIssued && wrong.length === 0) samples.add(device, settings);
    (isMine ? mine : others).push(device);
    if (mine.length + others.length >= CHUNK) await flush();
    if (signal?.aborted === true) return undefined;
  }
  await flush();
  if (count === 0) problems.push("the list has no devices");
  if (problems.length > 0) throw planError(problems);
  return samples;
}

/** What the readers of lists have checked already, for rows that come from elsewhere. */
function rowProblem({ id, index }: BulkDevice, last: number): string | undefined {
  const problem = idProblem(id);
  if (problem !== undefined) return problem;
  if (Number.isInteger(index) && index > last) return undefined;
  return `${id}: its index ${index} is not after that of the row before, ${last}`;
}

/** Problems that a message has; all of them are in the list of the error. */
const SHOWN = 10;

/** The error of a batch that cannot be made, with all of its problems. */
export function planError(problems: readonly string[]): SecureCertError {
  const more = problems.length - SHOWN;
  const shown = [...problems.slice(0, SHOWN), ...more > 0 ? [`and ${more} more`] : []].join("; ");
  return new SecureCertError("ERR_PLAN", `Cannot make devices: ${shown}`, {}, {
    problems: problems.map((message) => ({ message })),
  });
}
