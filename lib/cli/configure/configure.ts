import { SecureCertError } from "../../bytes/errors.ts";
import { concat } from "../../bytes/pack.ts";
import { formatHex } from "../../bytes/text.ts";
import type { Finding } from "../../findings/findings.ts";
import {
  decodePartition,
  DEFAULT_PARTITION_SIZE,
  encodePartition,
  withIntegrity,
  withoutMarker,
} from "../../format/partition.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { CliError } from "../errors.ts";
import { withSecretFiles } from "../input/secret_files.ts";
import type { Io } from "../io.ts";
import { type ConfigureArguments, parseConfigureArguments } from "./arguments.ts";
import { buildConfigured } from "./build.ts";
import { parseBinary } from "./listing.ts";
import { signFile } from "./sign.ts";

/**
 * Does what a command line of Espressif's configure_esp_secure_cert.py asks for.
 *
 * @param words The words after `configure`.
 * @returns The exit code.
 */
export async function configure(words: readonly string[], io: Io): Promise<number> {
  const given = parseConfigureArguments(words);
  const world = withSecretFiles(io, secretFilesOf(given));
  if (!given.json) return await carryOut(given, world);
  return await printAsJson((io, findings) => carryOut(given, io, findings), world);
}

function secretFilesOf(given: ConfigureArguments): Map<string, string> {
  const { privateKey, efuseKeyFile, signingKeyFiles } = given;
  const files = new Map(signingKeyFiles.map((path) => [path, "signing-key-file"]));
  if (efuseKeyFile !== undefined) files.set(efuseKeyFile, "efuse_key_file");
  if (privateKey !== undefined) files.set(privateKey, "private-key");
  return files;
}

async function carryOut(
  given: ConfigureArguments,
  io: Io,
  findings: Finding[] = [],
): Promise<number> {
  if (given.password !== undefined) {
    io.note("warning: anyone on this machine can see a password in the command line");
    io.note("hint: the commands build and sign take it from a file");
  }
  if (given.summary) {
    const line = ["--chip", given.chip, "-p", given.port!, "summary"];
    return await runOrPrint(["espefuse.py", "espefuse"], line, "espefuse", io);
  }
  if (given.parseBin !== undefined) return await parseBinary(given.parseBin, io);
  if (given.appendIntegrity !== undefined) {
    return await appendIntegrityTo(given.appendIntegrity, io);
  }
  for (const path of [given.privateKey, given.deviceCert, given.caCert]) {
    // All of them before the work begins.
    if (path !== undefined) await io.read(path);
  }
  const path = given.certFile === undefined
    ? await buildConfigured(given, io, findings)
    : await signFile(given.certFile, given, io);
  return await flash(path, given, io);
}

/** The last subtype that Espressif's tool gives an integrity entry. */
const LAST_SUBTYPE = 16;

/** Adds an integrity entry to an image, in place: the entry, and nothing after it. */
async function appendIntegrityTo(path: string, io: Io): Promise<number> {
  const { image, subtype, sha256, used } = appended(await io.read(path));
  await io.write([{ path, bytes: image, secret: true, keep: false }], "files", { inPlace: true });
  io.print(`Appended integrity TLV (subtype ${subtype}) with SHA256: ${sha256}`);
  io.print(`Total size after append: ${used} bytes`);
  io.print(`Successfully appended integrity TLV to: ${path}`);
  return 0;
}

function appended(given: Uint8Array) {
  const image = withoutMarker(given);
  const { entries, used } = decodePartition(image);
  if (used === 0) throw refused("ERR_MAGIC", "it has no entries", 0);
  const closed = withIntegrity(entries);
  const { subtype, data } = closed.at(-1)!;
  if (subtype > LAST_SUBTYPE) {
    throw refused("ERR_PLAN", `it has an integrity entry with subtype ${subtype - 1}`, used);
  }
  const size = Math.max(DEFAULT_PARTITION_SIZE, image.length);
  const chain = encodePartition(closed, { size });
  // An image that filled its partition still does; one that did not ends with its chain.
  const isFilled = given.length % 4096 === 0 && given.length > chain.length;
  const rest = new Uint8Array(isFilled ? given.length - chain.length : 0).fill(0xFF);
  return { image: concat(chain, rest), subtype, sha256: formatHex(data), used: chain.length };
}

function refused(code: "ERR_MAGIC" | "ERR_PLAN", problem: string, offset: number): SecureCertError {
  return new SecureCertError(code, `Cannot append integrity entry: ${problem}`, { offset });
}

/** Flashes an image when a port is given; otherwise prints how to. */
async function flash(
  path: string,
  { chip, port, offset, skipFlash }: ConfigureArguments,
  io: Io,
): Promise<number> {
  const words = ["--chip", chip, "-p", port ?? "<PORT>", "write_flash", offset, path];
  if (port !== undefined && !skipFlash) {
    return await runOrPrint(["esptool.py", "esptool"], words, "esptool", io);
  }
  if (!skipFlash) io.note("warning: no --port is given: the image is built and not flashed");
  io.print(`To flash manually: esptool.py ${formatWords(words)}`);
  return 0;
}

/** Runs a tool of Espressif's without a shell; where it is not installed, prints what to run. */
async function runOrPrint(
  names: readonly string[],
  words: readonly string[],
  what: "esptool" | "espefuse",
  io: Io,
): Promise<number> {
  const outcome = await io.run?.(names, words);
  if (outcome !== undefined) {
    if (outcome.code !== 0) io.note(`error: ${outcome.name} ended with code ${outcome.code}`);
    return outcome.code === 0 ? 0 : 1;
  }
  const task = what === "esptool" ? "flash" : "do it";
  io.print(`To ${task} manually: ${names[0]} ${formatWords(words)}`);
  io.note(`error: ${what} is not installed`);
  const instead = what === "esptool" ? ", or give --skip_flash" : "";
  io.note(`hint: install ${what} and run the line above${instead}`);
  return 1;
}

/** Words as a shell takes them, but for the placeholder of the port. */
function formatWords(words: readonly string[]): string {
  return words.map((word) => word === "<PORT>" ? word : formatCommand([word])).join(" ");
}

/**
 * Runs something whose lines on stdout are for people and scripts, and prints one JSON document
 * instead: the files that were written, the lines, and what was found in the image that was built.
 *
 * @param act What runs; it adds to the findings.
 * @throws {CliError} `ERR_IO` with what was noted when it failed without throwing.
 */
async function printAsJson(
  act: (io: Io, findings: Finding[]) => Promise<number>,
  io: Io,
): Promise<number> {
  const findings: Finding[] = [];
  const printed: string[] = [];
  const errors: string[] = [];
  const files = new Set<string>();
  const code = await act({
    ...io,
    print: (text) => void printed.push(text),
    note: (text) => {
      const [, error] = /^error: (.*)/s.exec(text) ?? [];
      if (error === undefined) io.note(text);
      else errors.push(error);
    },
    write: async (outputs, force, options) => {
      await io.write(outputs, force, options);
      for (const { path } of outputs) files.add(path);
    },
    ...io.run && { run: (names, words) => io.run!(names, words, "stderr") },
  }, findings);
  if (code !== 0) {
    printed.forEach((text) => io.note(text));
    throw new CliError("ERR_IO", errors.join("; "));
  }
  const lines = printed.flatMap((text) => text.split("\n"));
  io.print(JSON.stringify({ files: [...files], lines, findings }, null, 2));
  return 0;
}
