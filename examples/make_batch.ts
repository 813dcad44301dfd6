// deno run --allow-read=factory --allow-write=factory examples/make_batch.ts 5
//
// Makes a batch in memory and keeps the images and a manifest. Start from here if you want your own
// journal and files, such as a database and a vault.

import {
  bulk,
  countDevices,
  formatManifestCsv,
  formatManifestCsvHeader,
  memoryBatch,
} from "../lib/batch/mod.ts";
import { openCa } from "./provision_device.ts";

const count = Number(Deno.args[0] ?? 5);
const issuer = await openCa("factory/ca");
const { journal, files } = memoryBatch();
const profile = { chip: "esp32c3", subject: "CN={id},OU=line 1" } as const;

const folder = "factory/batch";
await Deno.mkdir(folder, { recursive: true });
let manifest = formatManifestCsvHeader([]);
const devices = countDevices(count, "dev-{n:04}");
for await (
  const { device, state, reason, row } of bulk(devices, { profile, issuer, journal, files })
) {
  manifest += formatManifestCsv(row, []);
  if (state === "failed") {
    console.error(`${device.id}: ${reason}`);
    continue;
  }
  const image = await files.read(`images/${device.id}.bin`);
  await Deno.writeFile(`${folder}/${device.id}.bin`, image, { mode: 0o600 });
  console.log(`${device.id}: ${row.serial}`);
}
await Deno.writeTextFile(`${folder}/manifest.csv`, manifest);
