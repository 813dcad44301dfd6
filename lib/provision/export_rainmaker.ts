import { formatCsvRecord } from "../format/csv_records.ts";
import { commonNameProblems, type Exporter, pemOf } from "./export_device.ts";
import { extraColumns } from "./manifest.ts";

// ESP RainMaker Admin CLI, README, "Register Device Certificates": `certs devicecert register` takes
// a CSV with the columns node_id and certs, further ones for tags (`--tags city:@city`), and checks
// that the certificate's common name is the node's ID.

/** What {@linkcode exportRainmaker} is told. */
export interface RainmakerExportOptions {
  /** Further columns of the manifest, for tags. @default [] */
  readonly columns?: readonly string[];
}

/**
 * ESP RainMaker: `node_certs.csv`, the input of `rainmaker_admin_cli.py certs devicecert register`.
 *
 * @param options Columns for tags.
 */
export function exportRainmaker(options: RainmakerExportOptions = {}): Exporter {
  const names = extraColumns(options.columns ?? [])
    .filter((name) => name !== "node_id" && name !== "certs");
  const file = "node_certs.csv";
  return {
    problemsOf: commonNameProblems,
    parts: async function* (devices) {
      yield { file, text: formatCsvRecord(["node_id", "certs", ...names]) };
      for await (const { row, certificate } of devices) {
        const cells = names.map((name) => String(row[name] ?? ""));
        yield { file, text: formatCsvRecord([row.id, pemOf(certificate), ...cells]) };
      }
    },
  };
}
