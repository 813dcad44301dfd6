/**
 * What a million devices cost: processor time on all threads, and disk, from a few devices of each
 * kind of key, made in memory on this machine. Prints the tables of docs/batch.md; takes a minute.
 * Kinds of key as arguments measure only these: `deno run bench/batch_cost.ts P-256 RSA-2048`.
 */
import process from "node:process";
import { createCa, generateKey, type Issuer } from "../mod.ts";
import {
  bulk,
  type BulkProfile,
  countDevices,
  formatManifestCsv,
  formatManifestNdjson,
  type ManifestRow,
  memoryBatch,
} from "../lib/batch/mod.ts";
import { formatNumber, formatTable } from "./table.ts";

const MILLION = 1e6;
const GIGABYTE = 1e9;
const HOUR = 3600;
/** What a file takes on most file systems is a multiple of this. */
const DISK_BLOCK = 4096;
/** An entry of a folder with its inode. */
const INODE = 256;
/** A row of the journal, its index entries and what SQLite leaves free; grows with the columns. */
const JOURNAL_ROW = 1000;

interface Kind {
  readonly key: NonNullable<BulkProfile["key"]>;
  readonly devices: number;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "P-256": { key: { curve: "P-256" }, devices: 2000 },
  "P-384": { key: { curve: "P-384" }, devices: 500 },
  "RSA-2048": { key: { type: "rsa", bits: 2048 }, devices: 100 },
  "RSA-3072": { key: { type: "rsa", bits: 3072 }, devices: 40 },
  "RSA-4096": { key: { type: "rsa", bits: 4096 }, devices: 20 },
};

const CAS: Readonly<Record<string, Kind["key"]>> = {
  "P-256": { curve: "P-256" },
  "P-384": { curve: "P-384" },
  "RSA-2048": { type: "rsa", bits: 2048 },
  "RSA-4096": { type: "rsa", bits: 4096 },
};

/** What one device of a kind costs. */
interface Cost {
  /** Processor seconds, on all threads together. */
  readonly seconds: number;
  /** Bytes of image, certificate and key. */
  readonly image: number;
  readonly certificate: number;
  readonly key: number;
  /** Bytes on disk. */
  readonly disk: number;
}

async function makeIssuer(key: Kind["key"]): Promise<Issuer> {
  const made = await generateKey(key);
  return { key: made, certificate: await createCa({ subject: "CN=Example Devices 1", key: made }) };
}

/** Makes devices into memory. The first are not counted: they warm the compiler. */
async function costOf({ key, devices }: Kind, issuer: Issuer): Promise<Cost> {
  await make(Math.ceil(devices / 10), key, issuer);
  const before = process.cpuUsage();
  const { files, rows } = await make(devices, key, issuer);
  const { user, system } = process.cpuUsage(before);
  const [row] = rows;
  const manifest = formatManifestNdjson(row!).length + formatManifestCsv(row!, []).length;
  const own = [...files].filter(([name]) => name.includes(row!.id));
  const size = (folder: string) => own.find(([name]) => name.startsWith(folder))![1].length;
  const sizes = own.map(([, { length }]) => Math.ceil(length / DISK_BLOCK) * DISK_BLOCK + INODE);
  return {
    seconds: (user + system) / 1e6 / devices,
    image: size("images/"),
    certificate: size("certificates/"),
    key: size("secret/"),
    disk: sizes.reduce((total, each) => total + each, manifest + JOURNAL_ROW),
  };
}

async function make(
  count: number,
  key: Kind["key"],
  issuer: Issuer,
): Promise<{ files: ReadonlyMap<string, Uint8Array>; rows: readonly ManifestRow[] }> {
  const { journal, files } = memoryBatch();
  const rows: ManifestRow[] = [];
  const devices = countDevices(count, "device-{n:07}");
  for await (const result of bulk(devices, { profile: { key }, issuer, journal, files })) {
    if (result.state !== "verified") throw new Error(`${result.device.id}: ${result.reason}`);
    rows.push(result.row);
  }
  return { files: files.all, rows };
}

function kindRow(
  name: string,
  { seconds, image, certificate, key, disk }: Cost,
): string[] {
  return [
    name,
    formatNumber(1 / seconds),
    formatNumber(seconds * MILLION / HOUR),
    `${image} + ${certificate} + ${key}`,
    `${formatNumber(disk * MILLION / GIGABYTE)} GB`,
  ];
}

/** What a million P-256 devices cost under a CA with such a key. */
async function signingRow(name: string, key: Kind["key"]): Promise<string[]> {
  const { seconds } = await costOf(
    { key: { curve: "P-256" }, devices: 1000 },
    await makeIssuer(key),
  );
  return [name, formatNumber(1 / seconds), formatNumber(seconds * MILLION / HOUR)];
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(KINDS);
  const issuer = await makeIssuer({ curve: "P-256" });
  const rows: string[][] = [];
  for (const name of names) {
    const kind = KINDS[name];
    if (kind === undefined) throw new Error(`there are ${Object.keys(KINDS).join(", ")}`);
    write(Deno.stderr, `making ${kind.devices} devices with ${name} keys …`);
    rows.push(kindRow(name, await costOf(kind, issuer)));
  }
  const signing: string[][] = [];
  for (const [name, key] of Object.entries(CAS)) signing.push(await signingRow(name, key));
  const { version, build } = Deno;
  write(Deno.stdout, `Deno ${version.deno}, ${build.os} ${build.arch}\n`);
  const head = ["devices per core-second", "core-hours", "bytes: image + certificate + key"];
  write(Deno.stdout, formatTable(["key", ...head, "files"], rows));
  const cost = ["P-256 devices per core-second", "core-hours"];
  write(Deno.stdout, `\n${formatTable(["key of the CA", ...cost], signing)}`);
}
