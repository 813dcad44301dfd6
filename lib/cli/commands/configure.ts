import { type ConfigureArguments, parseConfigureArguments } from "../configure/arguments.ts";
import { fileError } from "../errors.ts";
import type { Io } from "../io.ts";
import { appendIntegrityTo } from "../configure/append.ts";
import { buildConfigured } from "../configure/build.ts";
import { printAsJson } from "../configure/json.ts";
import { flash, runOrTell } from "../configure/flash.ts";
import { parseBinary } from "../configure/parse.ts";
import { signFile } from "../configure/sign.ts";
import type { Command } from "../run.ts";

/** The flags of Espressif's configure_esp_secure_cert.py: what that tool does, done right. */
export const configureCommand: Command = async (args, io) => {
  const given = parseConfigureArguments(args.positionals);
  return await (given.json ? printAsJson((io) => configure(given, io), io) : configure(given, io));
};

async function configure(given: ConfigureArguments, io: Io): Promise<number> {
  if (given.password !== undefined) {
    io.note("warning: everybody on this machine can see a password in the command line");
    io.note("hint: the commands build and sign take it from a file");
  }
  if (given.summary) {
    const line = ["--chip", given.chip, "-p", given.port!, "summary"];
    return await runOrTell(["espefuse.py", "espefuse"], line, "espefuse", io);
  }
  if (given.parseBin !== undefined) return await parseBinary(given.parseBin, io);
  if (given.appendIntegrity !== undefined) {
    return await appendIntegrityTo(given.appendIntegrity, io);
  }
  for (const path of [given.privateKey, given.deviceCert, given.caCert]) {
    if (path !== undefined && await io.readIfExists(path) === undefined) {
      throw fileError("ERR_FILE_NOT_FOUND", path, `Cannot read ${path}: no such file`);
    }
  }
  const path = given.certFile === undefined
    ? await buildConfigured(given, io)
    : await signFile(given.certFile, given, io);
  return await flash(path, given, io);
}
