/** A command line of every command that writes, and what it reads. */
import { assertEquals } from "@std/assert";
import { cli, inFolder } from "./batch/batch.ts";

/** A command line that writes one file, without where it goes. */
export interface Writer {
  readonly line: readonly string[];
  /** The files that it reads. */
  readonly inputs: readonly string[];
  /** Files in the folder of --out that it writes; a file goes to --out itself. @default the latter */
  readonly files?: readonly string[];
}

export const IMAGE = "d/esp_secure_cert.bin";
export const KEY = "d/device.key.pem";
const CERT = "d/device.pem";
const CA = ["ca/ca.pem", "ca/ca.key.pem"] as const;
const DATA = ["--data", "user1=file:data.txt"];
export const CHIP = ["--chip", "esp32c3"];

/** A command line for each command that writes; {@linkcode withFiles} makes its files. */
export const WRITERS: readonly Writer[] = [
  { line: ["keygen"], inputs: [] },
  { line: ["csr", "--key", KEY, "--subject", "CN=x"], inputs: [KEY] },
  {
    line: ["issue", "--csr", "r.csr", "--ca", CA[0], "--ca-key", CA[1]],
    inputs: ["r.csr", ...CA],
  },
  {
    line: ["issue", "--key", KEY, "--subject", "CN=x", "--ca", CA[0], "--ca-key", CA[1]],
    inputs: [KEY, ...CA],
  },
  {
    line: ["build", "--device-cert", CERT, "--ca-cert", CA[0], "--private-key", KEY, ...DATA],
    inputs: [CERT, CA[0], KEY, "data.txt"],
  },
  { line: ["build", "--csv", "x/esp_secure_cert.csv"], inputs: ["x/esp_secure_cert.csv"] },
  { line: ["append", IMAGE, ...DATA], inputs: [IMAGE, "data.txt"] },
  { line: ["convert", IMAGE, "--to", "nvs"], inputs: [IMAGE] },
  { line: ["sign", IMAGE, "--key", KEY], inputs: [IMAGE, KEY] },
  {
    line: ["encrypt", IMAGE, ...CHIP, "--key", "flash.key", "--address", "0xD000"],
    inputs: [IMAGE, "flash.key"],
  },
  {
    line: ["decrypt", IMAGE, ...CHIP, "--key", "flash.key", "--address", "0xD000"],
    inputs: [IMAGE, "flash.key"],
  },
  {
    line: ["ca", "--subject", "CN=x", "--issuer", CA[0], "--issuer-key", CA[1]],
    inputs: CA,
    files: ["ca.pem", "ca.key.pem"],
  },
  {
    line: ["provision", "--id", "x", "--ca", "ca/", "--ca-cert", CERT],
    inputs: [...CA, CERT],
    files: ["device.pem", "device.key.pem", "esp_secure_cert.bin"],
  },
  { line: ["extract", IMAGE], inputs: [IMAGE], files: ["esp_secure_cert.csv"] },
  { line: ["append", IMAGE, "e.bin", ...DATA], inputs: [IMAGE], files: ["e.bin"] },
  { line: ["convert", IMAGE, "e.bin", "--to", "nvs"], inputs: [IMAGE], files: ["e.bin"] },
  {
    line: ["bulk", "export", "batch/", "--to", "csv"],
    inputs: ["batch/manifest.ndjson"],
    files: ["devices.csv"],
  },
];

/** Paths of a line are those of a folder. */
export function inside(folder: string, words: readonly string[]): string[] {
  return words.map((word) =>
    word.includes("=file:")
      ? word.replace("file:", `file:${folder}/`)
      : /^\w+\/|^out\b|^\w+\.(csr|key|bin)$/.test(word)
      ? `${folder}/${word}`
      : word
  );
}

/** Runs something in a folder with a CA, a device, a batch, and what else the lines read. */
export async function withFiles(act: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const lines = [
      ["provision", "--id", "d", "--ca", `${folder}/ca`, "-o", `${folder}/d`],
      ["csr", "--key", `${folder}/${KEY}`, "--subject", "CN=x", "-o", `${folder}/r.csr`],
      ["extract", `${folder}/${IMAGE}`, "-o", `${folder}/x`],
      ["bulk", "--count", "1", "--workers", "1", "--ca", `${folder}/ca`, "-o", `${folder}/batch`],
    ];
    for (const line of lines) {
      const { code, stderr } = await cli(...line);
      assertEquals(code, 0, `${line}: ${stderr}`);
    }
    Deno.writeFileSync(`${folder}/flash.key`, new Uint8Array(32).fill(7));
    Deno.writeTextFileSync(`${folder}/data.txt`, "data");
    Deno.copyFileSync(`${folder}/${IMAGE}`, `${folder}/e.bin`);
    await act(folder);
  });
}

/** All that is below a folder: names, and what they have. */
export function treeOf(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = `${below}${name}`;
    if (isDirectory) return [`${path}/`, ...treeOf(folder, `${path}/`)];
    // SQLite reads with files of its own.
    if (/sqlite/.test(name)) return [];
    if (isSymlink) return [`${path} -> ${Deno.readLinkSync(`${folder}/${path}`)}`];
    return [`${path} ${Deno.readFileSync(`${folder}/${path}`).toHex()}`];
  }).sort();
}
