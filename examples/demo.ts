// deno run --allow-read=demo-out --allow-write=demo-out examples/demo.ts
//
// From nothing to a provisioned device, with the commands that a person would type.

import { denoIo, type Io } from "../lib/cli/io.ts";
import { run } from "../lib/cli/run.ts";

const OUT = "demo-out";

/** Provisions the next device under demo-out, shows its image and checks it. */
export async function demo(io: Io): Promise<number> {
  const id = await nextDevice(io);
  const image = `${OUT}/${id}/esp_secure_cert.bin`;
  let next = "";
  // Print the next steps last, after the check.
  const note = (text: string) => text.startsWith("next:") ? void (next = text) : io.note(text);
  if (await io.readIfExists(`${OUT}/ca/ca.pem`)) io.note(`using the development CA in ${OUT}/ca`);
  const lines = [
    ["provision", "--id", id, "--ca", `${OUT}/ca`, "-o", `${OUT}/${id}`],
    ["inspect", image],
    ["verify", image, "--ca", `${OUT}/ca/ca.pem`],
  ];
  for (const line of lines) {
    io.print(`\n$ esp-secure-cert ${line.join(" ")}\n`);
    const code = await run(line, { ...io, note });
    if (code !== 0) return code;
  }
  io.print(`\n${next}\n\nthis run wrote ${OUT}/${id}; run it again for another device`);
  return 0;
}

async function nextDevice(io: Io): Promise<string> {
  let number = 1;
  while (await io.readIfExists(`${OUT}/device-${number}/device.pem`) !== undefined) number++;
  return `device-${number}`;
}

if (import.meta.main) Deno.exitCode = await demo(denoIo());
