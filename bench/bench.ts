/**
 * Measures this machine and prints one table; takes some five minutes, most of them for RSA keys, and
 * no network. Names of rooms behind it measure these alone: `deno task bench start-up codecs`. A missed
 * goal is told, and is no failure.
 */
import { batch } from "./batch.ts";
import { codecs } from "./codecs.ts";
import { flashDump } from "./flash_dump.ts";
import { keys } from "./keys.ts";
import { layouts } from "./layouts.ts";
import { peripherals } from "./peripherals.ts";
import { startUp } from "./start_up.ts";
import { formatTable, type Row } from "./table.ts";

/** Measures one part of the project, with a folder to write to. */
type Room = (folder: string) => Row[] | Promise<Row[]>;

const ROOMS: Readonly<Record<string, Room>> = {
  "start-up": startUp,
  "flash-dump": flashDump,
  codecs,
  layouts,
  peripherals,
  keys,
  batch,
};

async function measure(names: readonly string[]): Promise<Row[]> {
  const folder = await Deno.makeTempDir({ prefix: "bench-" });
  try {
    const rows: Row[] = [];
    for (const name of names) {
      write(Deno.stderr, `measuring ${name} …`);
      rows.push(...await ROOMS[name]!(folder));
    }
    return rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function machine(): string {
  const { version, build } = Deno;
  return `Deno ${version.deno} (V8 ${version.v8}), ${build.os} ${build.arch}, ` +
    `${navigator.hardwareConcurrency} processors`;
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(`${text}\n`));
}

const words = Deno.args.filter((word) => !/^[0-9]+$/.test(word));
const names = words.length > 0 ? words : Object.keys(ROOMS);
const unknown = names.find((name) => !Object.hasOwn(ROOMS, name));
if (unknown !== undefined) {
  write(Deno.stderr, `error: no room ${unknown}; there are ${Object.keys(ROOMS).join(", ")}`);
  Deno.exit(1);
}
const table = formatTable(await measure(names));
write(Deno.stdout, `${machine()}\n\n${table}`);
