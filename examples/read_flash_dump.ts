// deno run --allow-read=factory --allow-write=factory examples/read_flash_dump.ts
//
// Prints what is on a board, from a dump of its flash as esptool's read_flash makes it. Give the file
// as an argument; without one, a dump is made from the image that provision_device.ts wrote.

import { encodePartitionTable, findSecureCert, inspect, parsePartitionCsv } from "../mod.ts";

const FACTORY = "factory/device-1";
const TABLE_OFFSET = 0x8000;
const PARTITIONS = `# Name, Type, SubType, Offset, Size, Flags
nvs,             data, nvs,     0x9000,  0x4000,
esp_secure_cert, 0x3F, ,        0xD000,  0x2000, encrypted
factory,         app,  factory, 0x20000, 1M,
`;

/** A flash of 4 MiB with a partition table and an image; everything else is erased. */
export function makeDump(image: Uint8Array): Uint8Array {
  const partitions = parsePartitionCsv(PARTITIONS);
  const flash = new Uint8Array(0x400000).fill(0xFF);
  flash.set(encodePartitionTable(partitions), TABLE_OFFSET);
  flash.set(image, partitions.find(({ name }) => name === "esp_secure_cert")!.offset);
  return flash;
}

/** Where the credentials are, and whose they are. */
export async function describeDump(dump: Uint8Array): Promise<string[]> {
  const found = findSecureCert(dump, { tableOffset: TABLE_OFFSET });
  const scanned = found.kind === "scan" ? found.chains.length : 0;
  const where = found.kind === "table"
    ? `${found.partition.entry.name} at 0x${found.partition.offset.toString(16)}`
    : `no partition table; images found by a scan: ${scanned}`;
  const { entries, credentials, findings } = await inspect(dump, { tableOffset: TABLE_OFFSET });
  return [
    where,
    ...entries.flatMap(({ certificate }) => certificate === undefined ? [] : [certificate.subject]),
    `key: ${credentials.key ?? "none"}`,
    ...findings.map(({ severity, code, message }) => `${severity} ${code}: ${message}`),
  ];
}

if (import.meta.main) {
  const path = Deno.args[0] ?? `${FACTORY}/flash.bin`;
  if (Deno.args[0] === undefined) {
    const image = await Deno.readFile(`${FACTORY}/esp_secure_cert.bin`);
    await Deno.writeFile(path, makeDump(image), { mode: 0o600 });
  }
  for (const line of await describeDump(await Deno.readFile(path))) console.log(line);
}
