// deno-fmt-ignore-file: one line a file, so that it reads as a table of contents

/**
 * Devices by the thousand: a list and a profile become keys, certificates, images and a manifest, over
 * ports for the journal and the files. Keys and certificates come from the toolkit itself.
 *
 * @example Three devices in memory
 * ```ts
 * import { createDevelopmentCa } from "@esp-secure-cert/toolkit";
 * import { bulk, countDevices, memoryBatch } from "@esp-secure-cert/toolkit/batch";
 *
 * const issuer = await createDevelopmentCa();
 * const batch = { profile: {}, issuer, ...memoryBatch() };
 * for await (const { device, state } of bulk(countDevices(3, "dev-{n:03}"), batch)) {
 *   console.log(device.id, state);
 * }
 * ```
 *
 * @module
 */
export { type BulkDevice, countDevices, type DeviceRow, readCsvDevices, readNdjsonDevices } from "./list/devices.ts";
export { type BulkData, type BulkProfile, parseBulkProfile } from "./profile.ts";
export type { Awaitable, BulkFile, BulkFiles, BulkJob, BulkJournal, BulkMaker, BulkPhase, BulkResult, BulkState, JournaledDevice, KeySource } from "./ports.ts";
export { bulk, type BulkOptions, type BulkSummary } from "./bulk.ts";
export { type BulkShard } from "./list/list.ts";
export { type MemoryBatch, memoryBatch } from "./memory.ts";
export { extraColumns, formatManifestCsv, formatManifestCsvHeader, formatManifestNdjson, MANIFEST_COLUMNS, type ManifestRow, parseManifestNdjson } from "./manifest.ts";
export { formatLabel, formatLabelPayload } from "./label.ts";
export { type BatchProblem, type BatchProblemCode, createDuplicateFinder, type DeviceFiles, type DeviceOptions, judgeDevice } from "./check/device.ts";
export { exportDevice, type ExportDevice, type Exporter, type ExportPart } from "./export/device.ts";
export { type AwsExportOptions, exportAws } from "./export/aws.ts";
export { type AzureExportOptions, exportAzure } from "./export/azure.ts";
export { exportRainmaker, type RainmakerExportOptions } from "./export/rainmaker.ts";
export { type CsvExportOptions, exportCsv } from "./export/csv.ts";
