/** Folders of batches, as `bulk` leaves them, for the tests of what works on them. */
import { assertEquals } from "@std/assert";
import { formatBase64, formatHex } from "../../../lib/bytes/text.ts";
import {
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../../lib/batch/manifest.ts";
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import { denoIo } from "../../../lib/cli/io.ts";
import { run } from "../../../lib/cli/run.ts";
import { createDevelopmentCa, exportPrivateKey, type Issuer, provision } from "../../../mod.ts";

/** A device with its files, not yet in a folder. */
export interface MadeDevice {
  readonly row: ManifestRow;
  readonly image: Uint8Array;
  readonly certificate: Uint8Array;
  readonly key: Uint8Array;
}

/** Where {@linkcode makeBatch} puts a batch. */
export interface BatchOptions {
  readonly ids: readonly string[];
  readonly issuer?: Issuer;
  /** Further columns of the manifest, the same in every row. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** One provisioned device and its row. */
export async function makeDevice(id: string, options: BatchOptions): Promise<MadeDevice> {
  const issuer = options.issuer ?? await createDevelopmentCa();
  const made = await provision({ issuer, subject: `CN=${id.replace(/[,+"\\<>;=#]/g, "\\$&")}` });
  const info = made.certificate;
  const row: ManifestRow = {
    id,
    serial: info.serial,
    fingerprint: await sha256(info.der),
    publicKey: formatBase64(info.publicKey),
    imageSha256: await sha256(made.image),
    keyMode: "plaintext",
    efuseKeyId: null,
    status: "verified",
    ...options.extra,
  };
  const key = await exportPrivateKey(made.key);
  return {
    row,
    image: made.image,
    certificate: new TextEncoder().encode(made.certificate.pem),
    key,
  };
}

/** A finished batch in a folder. */
export async function makeBatch(folder: string, options: BatchOptions): Promise<ManifestRow[]> {
  const issuer = options.issuer ?? await createDevelopmentCa();
  for (const name of ["images", "certificates", "secret"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  }
  const rows: ManifestRow[] = [];
  for (const id of options.ids) {
    const { row, image, certificate, key } = await makeDevice(id, { ...options, issuer });
    await Deno.writeFile(`${folder}/images/${id}.bin`, image, { mode: 0o600 });
    await Deno.writeFile(`${folder}/certificates/${id}.pem`, certificate);
    await Deno.writeFile(`${folder}/secret/${id}.key.pem`, key, { mode: 0o600 });
    rows.push(row);
  }
  await writeManifest(folder, rows, Object.keys(options.extra ?? {}));
  return rows;
}

/** Both manifests of a folder, rebuilt. */
export async function writeManifest(
  folder: string,
  rows: readonly ManifestRow[],
  columns: readonly string[] = [],
): Promise<void> {
  await Deno.writeTextFile(`${folder}/manifest.ndjson`, rows.map(formatManifestNdjson).join(""));
  const csv = rows.map((row) => formatManifestCsv(row, columns));
  await Deno.writeTextFile(
    `${folder}/manifest.csv`,
    [formatManifestCsvHeader(columns), ...csv].join(""),
  );
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return formatHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))));
}

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process. */
export async function cli(...argv: readonly string[]): Promise<Outcome> {
  const [out, notes]: [string[], string[]] = [[], []];
  const io = {
    ...denoIo(),
    print: (text: string) => void out.push(text),
    note: (text: string) => void notes.push(text),
  };
  const code = await run(argv, io);
  return { code, stdout: out.join("\n"), stderr: notes.join("\n") };
}

/** Runs something in a new folder with the certificate of {@linkcode issuer}. */
export async function inFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/ca.pem`, issuer.certificate.pem);
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The CA of {@linkcode inFolder}. */
export const issuer = await createDevelopmentCa();

/** The codes of what `bulk verify` finds. */
export async function codesOf(folder: string, ...flags: readonly string[]): Promise<string[]> {
  const { code, stdout } = await cli("bulk", "verify", folder, "--json", ...flags);
  const { ok, problems } = JSON.parse(stdout) as { ok: boolean; problems: { code: string }[] };
  assertEquals([code, ok], problems.length === 0 ? [0, true] : [1, false]);
  return problems.map((problem) => problem.code);
}

/** A file with a JSON object a line. */
export async function read(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(path);
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

/** Changes a bit of a file. */
export async function flip(path: string, at: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes[at]! ^= 1;
  await Deno.writeFile(path, bytes);
}

/** A folder with all that is in it. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) await copyFolder(`${from}/${name}`, `${to}/${name}`);
    else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Runs `bulk` in a folder of {@linkcode inFolder} with a CA of its own; gives the batch's folder. */
export async function bulkIn(
  folder: string,
  name: string,
  ...flags: readonly string[]
): Promise<string> {
  const ca = `${folder}/ca`;
  const isThere = [...Deno.readDirSync(folder)].some((entry) => entry.name === "ca");
  if (!isThere) assertEquals((await cli("ca", "--subject", "CN=x", "-o", ca)).code, 0);
  const line = ["bulk", "--ca", ca, "--workers", "1", "-o", `${folder}/${name}`];
  const { code, stdout, stderr } = await cli(...line, ...flags);
  assertEquals(code, 0, stdout + stderr);
  return `${folder}/${name}`;
}

/** Two files, each in the other's place. */
export async function swap(a: string, b: string): Promise<void> {
  const [left, right] = [await Deno.readFile(a), await Deno.readFile(b)];
  await Deno.writeFile(a, right);
  await Deno.writeFile(b, left);
}

/** Replaces a text in a file, wherever it is. */
export async function edit(path: string, from: string | RegExp, to: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const edited = text.replaceAll(from, to);
  assertEquals(edited === text, false, `${from} is not in ${path}`);
  await Deno.writeTextFile(path, edited);
}

/** Sets a fact in the journal of a batch. */
export function setFact(batch: string, name: string, value: string): void {
  const database = new DatabaseSync(`${batch}/journal.sqlite`);
  database.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(name, JSON.stringify(value));
  database.close();
}

/** Makes the journal of a batch say that a device, counted from 0, is not made yet. */
export function setPending(batch: string, index: number): void {
  const database = new DatabaseSync(`${batch}/journal.sqlite`);
  database.prepare("UPDATE devices SET state = 'pending' WHERE n = ?").run(index);
  database.close();
}
