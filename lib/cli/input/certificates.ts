import type { CertificateUsage } from "../../crypto/x509/issue.ts";
import type { Arguments } from "../arguments.ts";
import { usageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { naming } from "./files.ts";

/** What --days says. */
export function daysOf(args: Arguments): number | "forever" | undefined {
  const text = args.get("days");
  if (text === undefined || text === "forever") return text;
  const days = args.number("days")!;
  if (days < 1) throw usageError("--days is a number from 1, or forever", "days");
  return days;
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
