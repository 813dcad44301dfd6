import { formatCsvRecord } from "../format/csv_records.ts";
import { type Exporter, pemOf } from "./export_device.ts";
import { extraColumns, MANIFEST_COLUMNS } from "./manifest.ts";

/** What {@linkcode exportCsv} is told. */
export interface CsvExportOptions {
  /** Further columns of the manifest. @default [] */
  readonly columns?: readonly string[];
}

/**
 * Plain CSV (RFC 4180): `devices.csv`, the columns of the manifest and then what a registry may ask
 * for beside them: `subject`, `notBefore`, `notAfter` (ISO 8601) and `certificate` (PEM).
 *
 * @param options Further columns.
 */
export function exportCsv(options: CsvExportOptions = {}): Exporter {
  const added = ["subject", "notBefore", "notAfter", "certificate"];
  const extra = extraColumns(options.columns ?? []).filter((name) => !added.includes(name));
  const names = [...MANIFEST_COLUMNS, ...extra];
  const file = "devices.csv";
  return {
    problemsOf: () => [],
    parts: async function* (devices) {
      yield { file, text: formatCsvRecord([...names, ...added]) };
      for await (const { row, certificate } of devices) {
        const { subject, notBefore, notAfter } = certificate;
        yield {
          file,
          text: formatCsvRecord([
            ...names.map((name) => String(row[name] ?? "")),
            subject,
            notBefore.toISOString(),
            notAfter.toISOString(),
            pemOf(certificate),
          ]),
        };
      }
    },
  };
}
