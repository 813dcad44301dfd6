import { quoted } from "../../bytes/text.ts";
import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { Arguments } from "../command.ts";
import { usageError } from "../errors.ts";
import type { Force, Io, OutputFile } from "../io.ts";

/** What a command makes. */
type Output = Omit<OutputFile, "path">;

/** What {@linkcode outputPath} must know of an output. */
interface OutputKind {
  /** Where it goes without --out. @default --out is needed */
  readonly standard?: "-";
  /** Whether it may hold a private key. @default false */
  readonly secret?: boolean;
  /** Whether it is not text. @default false */
  readonly binary?: boolean;
}

/** The path of --out, where - is stdout; checked before the work begins. */
export function outputPath(args: Arguments, kind: OutputKind, io: Io): string {
  const out = args.get("out") ?? kind.standard ?? args.need("out");
  if (out !== "-") return out;
  if (args.has("json")) {
    throw usageError("--json and the output cannot both go to stdout", "out", "give --out FILE");
  }
  if (!io.isStdoutTerminal) return out;
  if (kind.binary) {
    throw usageError("binary is not written to a terminal", "out", "give --out FILE");
  }
  if (kind.secret) {
    throw usageError("a private key is not written to a terminal", "out", "give --out FILE");
  }
  return out;
}

/** The folder of --out. */
export function outputFolder(args: Arguments): string {
  const out = args.need("out");
  if (out !== "-") return out;
  throw usageError("--out is a folder here, which stdout cannot be", "out");
}

/** Which files --force and --force-key let the command replace. */
export function forceOf(args: Arguments): Force {
  if (args.has("force-key")) return "keys";
  return args.has("force") ? "files" : false;
}

/** Writes what a command made to its file or to stdout, and other files with it. */
export async function writeOutput(
  out: string,
  made: Output,
  args: Arguments,
  io: Io,
  others: readonly OutputFile[] = [],
): Promise<void> {
  const force = forceOf(args);
  if (out !== "-") await io.write([{ keep: false, ...made, path: out }, ...others], force);
  else if (others.length === 0) await io.put(made.bytes);
  else await io.write(others, force, { stdout: made.bytes });
}

/** The result of a command that wrote a file: JSON, or a line for people. */
export function printResult(
  out: string,
  json: Readonly<Record<string, unknown>>,
  text: string,
  args: Arguments,
  io: Io,
): void {
  if (args.has("json")) printJson(json, io);
  else if (out !== "-") io.note(text);
}

/** One JSON document to stdout. */
export function printJson(value: unknown, io: Io): void {
  io.print(JSON.stringify(value, null, 2));
}

/** Warns of a CA that has expired, or will before the certificate that it issued. */
export function noteIssuer(issuer: Certificate, issued: Certificate, io: Io): void {
  const now = new Date();
  const day = issuer.notAfter.toISOString().slice(0, 10);
  if (now > issuer.notAfter) io.note(`warning: the CA ${quoted(issuer.subject)} expired on ${day}`);
  else if (issued.notAfter > issuer.notAfter) {
    io.note(
      `warning: the certificate outlives its CA ${quoted(issuer.subject)}, which ends on ${day}`,
    );
  }
}
