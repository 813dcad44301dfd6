import type { CertificateUsage } from "../../crypto/x509/issue.ts";
import type { Arguments } from "../command.ts";
import { valueError } from "../errors.ts";
import type { Io } from "../io.ts";
import { naming } from "./files.ts";

/** What --days says. */
export function daysOf(args: Arguments): number | "forever" | undefined {
  const text = args.get("days");
  if (text === undefined || text === "forever") return text;
  const days = args.number("days")!;
  const most = mostDays();
  if (days >= 1 && days <= most) return days;
  const rule = `--days is a number from 1 to ${most}, which ends ${LAST_YEAR}-12-31, or forever`;
  throw valueError(rule, text, "days");
}

/** The last year that a certificate can name (RFC 5280 section 4.1.2.5). */
const LAST_YEAR = 9999;
const DAY_MS = 86_400_000;

/** From today to the last day of that year. */
function mostDays(): number {
  return Math.floor((Date.UTC(LAST_YEAR, 11, 31) - Date.now()) / DAY_MS);
}

/** The names of --san; one value may hold several with commas between. */
export function sansOf(args: Arguments): string[] {
  return args.all("san").flatMap((text) => text.split(",")).map((name) => name.trim());
}

/** What --usage says. */
export function usageOf(args: Arguments): CertificateUsage[] | undefined {
  const usage = args.all("usage") as CertificateUsage[];
  return usage.length === 0 ? undefined : usage;
}

/** The certificate in a file, which must be one. */
export async function readCertificateFile(path: string, io: Io): Promise<Uint8Array> {
  const { readCertificates } = await import("../../crypto/x509/certificate.ts");
  const bytes = await io.read(path);
  await naming(path, () => readCertificates(bytes));
  return bytes;
}
