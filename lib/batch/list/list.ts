import { SecureCertError } from "../../bytes/errors.ts";
import type { BulkJournal } from "../ports.ts";
import type { BulkProfile } from "../profile/profile.ts";
import { type BulkDevice, type DeviceRow, idProblem } from "./devices.ts";
import { type DeviceSettings, resolveRow } from "./settings.ts";

interface ListOptions {
  readonly profile: BulkProfile;
  readonly journal: BulkJournal;
  readonly shard?: BulkShard;
  readonly signal?: AbortSignal;
  readonly onList?: (devices: number) => void;
}

const CHUNK = 1000;
/** Problems after which a list is not read any further, because memory holds them. */
const MOST_PROBLEMS = 100_000;

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
    if (problems.length >= MOST_PROBLEMS) {
      problems.push(`the list was read to row ${count} only`);
      break;
    }
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
  return new SecureCertError("ERR_PLAN", `Cannot make devices: ${firstOf(problems)}`, {}, {
    problems: problems.map((message) => ({ message })),
  });
}

/** The first problems, as a message has them, and how many more there are. */
export function firstOf(problems: readonly string[]): string {
  const more = problems.length - SHOWN;
  return [...problems.slice(0, SHOWN), ...more > 0 ? [`and ${more} more`] : []].join("; ");
}

/**
 * A part of a batch, for one of several machines.
 *
 * @category Making a batch
 */
export interface BulkShard {
  /** Number of the part, from 1. */
  readonly index: number;
  /** How many parts there are. */
  readonly count: number;
}

/** A list that is not in parts. */
export const WHOLE_LIST: BulkShard = { index: 1, count: 1 };

/** Whether a part has a device; the parts take turns along the list. */
export function isInShard(
  { index }: Pick<BulkDevice, "index">,
  shard: BulkShard = WHOLE_LIST,
): boolean {
  return index % shard.count === shard.index - 1;
}

/** A part as text: `i/n`. */
export function formatShard({ index, count }: BulkShard): string {
  return `${index}/${count}`;
}

/** A part from its text; undefined for anything but `i/n` with i from 1 to n. */
export function parseShard(text: string): BulkShard | undefined {
  const [, index, count] = /^([0-9]{1,9})\/([0-9]{1,9})$/.exec(text) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  return isShard(shard) ? shard : undefined;
}

/** Whether there is such a part. */
function isShard({ index, count }: BulkShard): boolean {
  return Number.isInteger(index) && Number.isInteger(count) && index >= 1 && index <= count;
}

/** A device to try a batch out with. */
export interface Sample {
  readonly device: BulkDevice;
  readonly settings: DeviceSettings;
  /** About how much of the image is its own, in bytes. */
  readonly weight: number;
}

/** Devices to try a batch out with: of each kind those that have the most to store. */
export interface Samples {
  add(device: BulkDevice, settings: DeviceSettings): void;
  /** The samples of each kind, the heaviest first. */
  readonly kinds: ReadonlyMap<string, readonly Sample[]>;
}

/** The most samples of a kind. */
export const MOST_SAMPLES = 20;
/** What a byte of a certificate takes as PEM, and what an entry takes beside its value. */
const PEM_BYTE = 65 / 48;
const ENTRY = 32;

/** Collects samples; memory holds a few of each kind. */
function collectSamples(): Samples {
  const kinds = new Map<string, Sample[]>();
  return {
    kinds,
    add: (device, settings) => {
      const { keyMode, chip, efuseKeyId, subject, sans, data } = settings;
      const kind = [keyMode, chip, efuseKeyId].join();
      const names = subject.length + sans.reduce((sum, { length }) => sum + length, 0);
      const own = data.reduce((sum, { data: { length } }) => sum + length + ENTRY, 0);
      const weight = PEM_BYTE * names + own;
      const samples = kinds.get(kind) ?? [];
      kinds.set(kind, samples);
      if (samples.length === MOST_SAMPLES && samples.at(-1)!.weight >= weight) return;
      const at = samples.findIndex((sample) => sample.weight < weight);
      samples.splice(at < 0 ? samples.length : at, 0, { device, settings, weight });
      samples.splice(MOST_SAMPLES);
    },
  };
}
