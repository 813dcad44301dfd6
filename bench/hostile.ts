import { encodeNvs, encodeTlv, inspect, type NvsItem, verify } from "../mod.ts";
import { duration } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const LARGEST = 64 << 20;
const GOAL_MS = 2000;
/** The goal of a process is 300 MB, of which it needs 60 itself and the file 64. */
const GOAL_MB = 176;

/** What files made to be slow take: time, and memory beyond the file. */
export async function hostile(): Promise<Row[]> {
  const files = [
    ["zeros", new Uint8Array(LARGEST)],
    ["small entries, again and again", repeated(smallEntries())],
    ["a magic number every 16 bytes", repeated(encodeTlv({ type: 51, data: new Uint8Array() }))],
    ["small NVS items, again and again", repeated(smallItems())],
    ["BEGIN lines", repeated(new TextEncoder().encode("-----BEGIN CERTIFICATE-----\n"))],
  ] as const;
  const rows: Row[] = [];
  for (const [name, file] of files) {
    rows.push(await row(`inspect 64 MiB of ${name}`, () => inspect(file)));
    rows.push(await row(`verify 64 MiB of ${name}`, () => verify(file)));
  }
  return rows;
}

async function row(name: string, work: () => Promise<unknown>): Promise<Row> {
  const before = Deno.memoryUsage().rss;
  const ms = await duration(work);
  const mb = Math.max(0, Deno.memoryUsage().rss - before) / 1e6;
  const limit = { text: `${GOAL_MS} ms, ${GOAL_MB} MB`, met: ms < GOAL_MS && mb < GOAL_MB };
  return { name, result: `${formatNumber(ms)} ms, ${formatNumber(mb)} MB`, limit };
}

function repeated(piece: Uint8Array): Uint8Array {
  const file = new Uint8Array(LARGEST);
  for (let at = 0; at + piece.length <= LARGEST; at += piece.length) file.set(piece, at);
  return file;
}

function smallEntries(): Uint8Array {
  const entries = Array.from(
    { length: 4000 },
    (_, index) =>
      encodeTlv({ type: index >> 4 & 0xFF, subtype: index & 0xF, data: new Uint8Array(1) }),
  );
  return new Uint8Array(entries.flatMap((entry) => [...entry]));
}

function smallItems(): Uint8Array {
  const items = Array.from({ length: 30_000 }, (_, index): NvsItem => ({
    namespace: index === 0 ? "esp_secure_cert" : `n${index % 200}`,
    key: `k${index}`,
    type: "u8",
    value: 1,
  }));
  return encodeNvs(items, { size: 0x200000 });
}
