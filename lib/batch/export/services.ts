import { aws } from "./aws.ts";
import { azure } from "./azure.ts";
import { csv } from "./csv.ts";
import type { ExportService } from "./exporter.ts";
import { rainmaker } from "./rainmaker.ts";

/**
 * All services that the devices of a batch can be exported for.
 *
 * @category Exporters
 */
export const EXPORT_SERVICES: readonly ExportService[] = [aws, azure, rainmaker, csv];
