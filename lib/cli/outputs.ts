import type { Certificate } from "../crypto/x509/certificate.ts";
import type { Arguments } from "./arguments.ts";
import { usageError } from "./errors.ts";
import type { Io, OutputFile } from "./io.ts";

/** What a command makes. */
export interface Output {
  readonly bytes: Uint8Array;
  /** Whether it may hold a private key. @default false */
  readonly secret?: boolean;
  /** Whether it is not text. @default false */
  readonly binary?: boolean;
}

/** Where --out points; checked before the work begins. */
export function outOf(
  args: Arguments,
  options: { standard?: "-"; secret?: boolean; binary?: boolean },
  io: Io,
): string {
  const out = args.get("out") ?? options.standard ?? args.need("out");
  if (out !== "-") return out;
  if (args.has("json")) {
    throw usageError("--json and the output cannot both go to stdout", "out", "give --out FILE");
  }
  if (!io.isStdoutTerminal) return out;
  if (options.binary) {
    throw usageError("binary is not written to a terminal", "out", "give --out FILE");
  }
  if (options.secret) {
    throw usageError("a private key is not written to a terminal", "out", "give --out FILE");
  }
  return out;
}

/** The folder that --out names. */
export function folderOf(args: Arguments): string {
  const out = args.need("out");
  if (out !== "-") return out;
  throw usageError("--out is a folder here, which stdout cannot be", "out");
}

/** Writes what a command made to its file or to stdout, and other files with it. */
export async function writeOut(
  out: string,
  output: Output,
  args: Arguments,
  io: Io,
  others: readonly OutputFile[] = [],
): Promise<void> {
  const { bytes, secret = false } = output;
  const files = [...out === "-" ? [] : [{ path: out, bytes, secret }], ...others];
  if (files.length > 0) await io.write(files, args.has("force"));
  if (out === "-") await io.put(bytes);
}

/** The result of a command that wrote a file: JSON or a line for people. */
export function tell(
  out: string,
  json: Record<string, unknown>,
  text: string,
  args: Arguments,
  io: Io,
): void {
  if (args.has("json")) io.print(JSON.stringify(json, null, 2));
  else if (out !== "-") io.note(text);
}

/** Says what is odd about the CA of a new certificate, and breaks nothing. */
export function noteIssuer(issuer: Certificate, issued: Certificate, io: Io): void {
  const now = new Date();
  const day = issuer.notAfter.toISOString().slice(0, 10);
  if (now > issuer.notAfter) io.note(`warning: the CA "${issuer.subject}" expired on ${day}`);
  else if (issued.notAfter > issuer.notAfter) {
    io.note(`warning: the certificate outlives its CA "${issuer.subject}", which ends on ${day}`);
  }
}
