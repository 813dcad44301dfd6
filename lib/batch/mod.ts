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
export { type Awaitable, BULK_STATES, type BulkFile, type BulkFiles, type BulkJob, type BulkJournal, type BulkMaker, type BulkPhase, type BulkResult, type BulkState, type JournaledDevice, type KeySource } from "./ports.ts";
export { bulk, type BulkOptions, type BulkSummary } from "./bulk.ts";
export { type MemoryBatch, memoryBatch } from "./memory.ts";
export { type BulkDevice, countDevices, type DeviceRow, readCsvDevices, readNdjsonDevices } from "./list/devices.ts";
export { type BulkShard } from "./list/shard.ts";
export { type BulkData } from "./profile/data.ts";
export { type JsonSchema } from "./profile/shape.ts";
export { type BulkProfile, bulkProfileSchema, parseBulkProfile } from "./profile/profile.ts";
export { extraColumns, formatManifestCsv, formatManifestCsvHeader, formatManifestNdjson, MANIFEST_COLUMNS, type ManifestRow, parseManifestNdjson } from "./manifest.ts";
export { formatLabel, formatLabelPayload } from "./label.ts";
export { type BatchProblem, type BatchProblemCode } from "./check/problem.ts";
export { type KeptFiles } from "./check/needed.ts";
export { checkDevice, type DeviceCheckOptions, type FinishedFiles } from "./check/device.ts";
export { createDuplicateFinder } from "./check/duplicates.ts";
export { exportDevice, type ExportDevice, type Exporter, type ExportPart, type ExportRequest, type ExportService, type ExportSetting } from "./export/exporter.ts";
export { type AwsExportOptions, exportAws } from "./export/aws.ts";
export { type AzureExportOptions, exportAzure } from "./export/azure.ts";
export { exportRainmaker, type RainmakerExportOptions } from "./export/rainmaker.ts";
export { type CsvExportOptions, exportCsv } from "./export/csv.ts";
export { EXPORT_SERVICES } from "./export/services.ts";
