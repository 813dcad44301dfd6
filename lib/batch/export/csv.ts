import { formatCsvRecord } from "../../bytes/csv.ts";
import { cellOf, MANIFEST_COLUMNS } from "../manifest.ts";
import { exportColumns, type Exporter, type ExportService } from "./exporter.ts";

/** What {@linkcode exportCsv} exports. */
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
  const { columns: extra, notes } = exportColumns(options.columns ?? [], added);
  const names = [...MANIFEST_COLUMNS, ...extra.map(({ name }) => name)];
  const titles = [...MANIFEST_COLUMNS, ...extra.map(({ title }) => title)];
  const file = "devices.csv";
  return {
    problemsOf: () => [],
    notes,
    parts: async function* (devices) {
      yield { file, text: formatCsvRecord([...titles, ...added]) };
      for await (const { row, certificate } of devices) {
        const { subject, notBefore, notAfter } = certificate;
        yield {
          file,
          text: formatCsvRecord([
            ...names.map((name) => cellOf(row, name)),
            subject,
            notBefore.toISOString(),
            notAfter.toISOString(),
            certificate.pem,
          ]),
        };
      }
    },
  };
}

/** Plain CSV, as `bulk export --to csv` writes it. */
export const csv: ExportService = {
  name: "csv",
  title: "plain CSV",
  needsCa: false,
  settings: [],
  exporter: ({ columns }) => exportCsv({ columns }),
};
