import { HMAC_KEY_SIZE } from "../../../crypto/peripherals/hmac_key.ts";
import type { ChipName } from "../../../format/chips/chips.ts";
import {
  type BatchProblem,
  type DeviceOptions,
  judgeDevice,
  problem,
} from "../../../batch/check/device.ts";
import {
  filesNeeded,
  filesNeedless,
  judgeEfusePlan,
  judgeLabel,
  judgeRequest,
  judgeSecrets,
  type KeptFiles,
} from "../../../batch/check/files.ts";
import { paths } from "../../../batch/make/results.ts";
import type { ManifestRow } from "../../../batch/manifest.ts";
import type { BatchFolder } from "../folder/batch.ts";
import { CliError } from "../../errors.ts";
import type { BatchJournal } from "./journal.ts";

/** What is judged in every row of a batch. */
export interface BatchJudge {
  readonly batch: BatchFolder;
  readonly kept: KeptFiles;
  /** Whether it has signing requests, which are needed no more. */
  readonly hasRequests: boolean;
  readonly options: DeviceOptions;
  /** The chip of a device, by the journal. */
  readonly chipOf: (id: string) => ChipName | undefined;
}

/** What a batch has of the files that all of its devices have, or none. */
export async function keptIn(
  batch: BatchFolder,
  journal: BatchJournal | undefined,
): Promise<KeptFiles> {
  const labels = journal?.facts.labels;
  return {
    secrets: await batch.hasSecrets(),
    labels: labels === undefined ? await batch.hasAny("labels") : labels === "true",
  };
}

/** Files that a verified device needs and does not have. */
export async function findMissingFiles(
  batch: BatchFolder,
  row: ManifestRow,
  kept: KeptFiles,
): Promise<BatchProblem[]> {
  const { id } = row;
  const names = [paths.image(id), paths.certificate(id), ...filesNeeded(row, kept)];
  const problems: BatchProblem[] = [];
  for (const name of names) {
    if (!await batch.has(name)) problems.push(missingFile(batch, id, name));
  }
  return problems;
}

/** Everything that is wrong with the files of a device. */
export async function judgeFiles(judge: BatchJudge, row: ManifestRow): Promise<BatchProblem[]> {
  const { batch, kept, hasRequests, options, chipOf } = judge;
  const { id } = row;
  if (row.status === "failed") return await judgeDevice(row, {});
  const needed = filesNeeded(row, kept);
  const names = [
    ...new Set([
      paths.image(id),
      paths.certificate(id),
      paths.label(id),
      ...needed,
      ...hasRequests ? [paths.request(id)] : [],
    ]),
  ];
  const unread: BatchProblem[] = [];
  const bytes = await Promise.all(names.map(async (name) => {
    try {
      return await batch.read(name);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      unread.push(problem("MISSING_FILE", id, error.message));
      return undefined;
    }
  }));
  const fileOf = (path: (id: string) => string) => bytes[names.indexOf(path(id))];
  const [image, certificate, label] = bytes;
  const request = fileOf(paths.request);
  const [plan, hmacKey] = [fileOf(paths.efusePlan), fileOf(paths.hmacKey)];
  const known = options.chip ?? chipOf(id);
  const judged = plan && judgeEfusePlan(row, plan, known);
  const chip = known ?? judged?.chip;
  const problems = await judgeDevice(row, {
    ...image && { image },
    ...certificate && { certificate },
  }, { ...options, ...chip && { chip }, ...hmacKey?.length === HMAC_KEY_SIZE && { hmacKey } });
  const secrets = { key: fileOf(paths.key), hmacKey, salt: fileOf(paths.salt) };
  return [
    ...unread,
    ...problems,
    ...await findNeedless(batch, row),
    ...needed.filter((name) => bytes[names.indexOf(name)] === undefined)
      .map((name) => missingFile(batch, id, name)),
    ...judged?.problems ?? [],
    ...await judgeSecrets(row, secrets),
    ...label ? judgeLabel(row, label) : [],
    ...request ? await judgeRequest(row, request) : [],
  ];
}

/** Files that a device of its key mode does not have, such as another device's would be. */
async function findNeedless(batch: BatchFolder, row: ManifestRow): Promise<BatchProblem[]> {
  const { id, keyMode } = row;
  const problems: BatchProblem[] = [];
  for (const name of filesNeedless(row)) {
    if (!await batch.has(name)) continue;
    problems.push(problem("STRAY_FILE", id, `${name} does not go with ${keyMode}`));
  }
  return problems;
}

function missingFile({ path }: BatchFolder, id: string, name: string): BatchProblem {
  return problem("MISSING_FILE", id, `${name} is not in ${path}`);
}
