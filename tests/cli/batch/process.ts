/** `bulk` as a process, in a folder with a CA, for the tests that kill it and starve it. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createDevelopmentCa, exportPrivateKey } from "../../../mod.ts";
import { installed, LINUX, needing, PROCESSES, type Tests } from "../../needs.ts";
import { CLI, cli, inFolder as inNewFolder, type Outcome, run } from "../../process.ts";

export { CLI, cli, command, deno, exists, program, run, seen, start } from "../../process.ts";
import { type ManifestRow, parseManifestNdjson } from "../../../lib/batch/mod.ts";

/** The CA in the folder `ca` of {@linkcode inFolder}. */
export const issuer = await createDevelopmentCa();

/** What {@linkcode cliOutOfDisk} needs. */
export const outOfDisk: Tests = needing(PROCESSES, LINUX, installed("bash"));

/** Runs the command line where no file grows beyond a limit, as on a full disk; Linux. */
export function cliOutOfDisk(
  line: readonly string[],
  cwd: string,
  kilobytes: number,
): Promise<Outcome> {
  // The signal that comes with the limit is ignored.
  const script = `trap "" XFSZ; ulimit -f ${kilobytes}; exec "$@"`;
  const words = [Deno.execPath(), "run", "-A", "--no-prompt", CLI, ...line];
  return run("bash", ["-c", script, "bash", ...words], cwd);
}

/** Runs something in a new folder with a CA in `ca`, which is removed afterwards. */
export async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  await inNewFolder(async (folder) => {
    await Deno.mkdir(`${folder}/ca`);
    await Deno.writeTextFile(`${folder}/ca/ca.pem`, issuer.certificate.pem);
    await Deno.writeFile(`${folder}/ca/ca.key.pem`, await exportPrivateKey(issuer.key));
    await act(folder);
  });
}

/** Names in a folder, sorted. */
export const names = (path: string): string[] =>
  [...Deno.readDirSync(path)].map(({ name }) => name).sort();

/** The manifest of a batch. */
export const rowsOf = (batch: string): ManifestRow[] =>
  parseManifestNdjson(Deno.readTextFileSync(`${batch}/manifest.ndjson`));

/** What became of each device of a batch. */
export const statesOf = (batch: string): string[] => rowsOf(batch).map(({ status }) => status);

/** SHA-256 in hexadecimal. */
export const sha256 = async (bytes: Uint8Array): Promise<string> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))).toHex();

/** The ids of `--count`. */
export const count = (number: number): string[] =>
  Array.from({ length: number }, (_, n) => `dev-${String(n + 1).padStart(6, "0")}`);

/** Starves a batch of disk, each time with more of it, and then lets it end. */
export async function starve(
  line: readonly string[],
  cwd: string,
  kilobytes: readonly number[],
): Promise<void> {
  for (const limit of kilobytes) {
    const { code, stderr } = await cliOutOfDisk(line, cwd, limit);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "error: Cannot write");
    assertEquals(stderr.includes("    at "), false, stderr);
  }
  const { code, stderr } = await cli(line, cwd);
  assertEquals(code, 0, stderr);
}
