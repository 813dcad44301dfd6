// deno-fmt-ignore-file: one line a file, so that it reads as a table of contents

/**
 * Devices by the thousand: from a list and a profile to keys, certificates, images and a manifest. A
 * journal and files are ports: {@linkcode memoryBatch} has both in memory, the command line in a folder.
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

// Making a batch
export { bulk, type BulkOptions, type BulkSummary } from "./bulk.ts";
export type { Awaitable, BulkFile, BulkFiles, BulkJob, BulkJournal, BulkMaker, BulkPhase, BulkResult, BulkState, JournaledDevice, KeySource } from "./ports.ts";
export { memoryBatch } from "./memory.ts";

// Device list and profile
export { type BulkDevice, countDevices, type DeviceRow, readCsvDevices, readNdjsonDevices } from "./list/devices.ts";
export type { BulkShard } from "./list/list.ts";
export { type BulkData, type BulkProfile, bulkProfileSchema, parseBulkProfile } from "./profile/profile.ts";

// Manifest and labels
export { formatManifestCsv, formatManifestCsvHeader, formatManifestNdjson, type ManifestRow, parseManifestCsv, parseManifestNdjson } from "./manifest.ts";
export { formatLabel } from "./label.ts";

// Exporters
export type { ExportDevice, Exporter, ExportPart, ExportService } from "./export/exporter.ts";
export { exportAws } from "./export/aws.ts";
export { exportAzure } from "./export/azure.ts";
export { exportRainmaker } from "./export/rainmaker.ts";
export { exportCsv } from "./export/csv.ts";
export { EXPORT_SERVICES } from "./export/services.ts";
