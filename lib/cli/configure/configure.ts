import type { Finding } from "../../findings/findings.ts";
import { withSecretFiles } from "../input/secret_files.ts";
import type { Io } from "../io.ts";
import { appendIntegrityTo } from "./append.ts";
import { type ConfigureArguments, parseConfigureArguments } from "./arguments.ts";
import { buildConfigured } from "./build.ts";
import { flash, runOrPrint } from "./flash.ts";
import { printAsJson } from "./json.ts";
import { parseBinary } from "./parse.ts";
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
