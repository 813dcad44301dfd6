import { formatCsvRecord, toSpreadsheet } from "../../bytes/csv.ts";
import { cellOf, MANIFEST_COLUMNS } from "../manifest.ts";
import { exportColumns, type Exporter, type ExportService } from "./exporter.ts";

/**
 * Plain CSV (RFC 4180): `devices.csv`, the columns of the manifest and then `subject`, `notBefore`,
 * `notAfter` (ISO 8601) and `certificate` (PEM). What a spreadsheet would run as a formula (`=`, `+`, `-`,
 * `@` in front) has a `'` before it; PEM stays as it is.
 *
 * @category Exporters
 */
export function exportCsv(options: {
  /** Further columns of the manifest. @default [] */
  readonly columns?: readonly string[];
} = {}): Exporter {
  const added = ["subject", "notBefore", "notAfter", "certificate"];
  const { columns: extra, notes } = exportColumns(options.columns ?? [], added);
  const names = [...MANIFEST_COLUMNS, ...extra.map(({ name }) => name)];
  const titles = [...MANIFEST_COLUMNS, ...extra.map(({ title }) => title)];
  const file = "devices.csv";
  return {
    problemsOf: () => [],
    notes,
    parts: async function* (devices) {
      yield { file, text: formatCsvRecord([...titles.map(toSpreadsheet), ...added]) };
      for await (const { row, certificate } of devices) {
        const { subject, notBefore, notAfter } = certificate;
        yield {
          file,
          text: formatCsvRecord([
            ...[...names.map((name) => cellOf(row, name)), subject].map(toSpreadsheet),
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
  ca: "none",
  settings: [],
  exporter: ({ columns }) => exportCsv({ columns }),
};
