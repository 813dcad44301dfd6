import { formatCsvRecord } from "../../bytes/csv.ts";
import { AMAZON_ROOTS } from "./aws.ts";
import { cellOf } from "../manifest.ts";
import {
  commonNameProblems,
  exportColumns,
  type Exporter,
  type ExportService,
  thingNameProblems,
} from "./exporter.ts";

// ESP RainMaker Admin CLI, README, "Register Device Certificates": `certs devicecert register` takes
// a CSV with the columns node_id and certs, further ones for tags (`--tags city:@city`), and checks
// that the certificate's common name is the node's ID. Its nodes are things of AWS IoT.

/**
 * ESP RainMaker: `node_certs.csv`, the input of `rainmaker_admin_cli.py certs devicecert register`.
 *
 * @category Exporters
 */
export function exportRainmaker(options: {
  /** Further columns of the manifest, for tags. @default [] */
  readonly columns?: readonly string[];
} = {}): Exporter {
  const own = ["node_id", "certs"];
  const { columns, notes } = exportColumns(options.columns ?? [], own);
  const file = "node_certs.csv";
  return {
    problemsOf: (device) => [...commonNameProblems(device), ...thingNameProblems(device)],
    notes,
    parts: async function* (devices) {
      yield { file, text: formatCsvRecord([...own, ...columns.map(({ title }) => title)]) };
      for await (const { row, certificate } of devices) {
        const cells = columns.map(({ name }) => cellOf(row, name));
        yield { file, text: formatCsvRecord([row.id, certificate.pem, ...cells]) };
      }
    },
  };
}

/** ESP RainMaker, as `bulk export --to rainmaker` exports for it. */
export const rainmaker: ExportService = {
  name: "rainmaker",
  title: "ESP RainMaker",
  ca: "none",
  serverRoots: AMAZON_ROOTS,
  settings: [],
  exporter: ({ columns }) => exportRainmaker({ columns }),
};
