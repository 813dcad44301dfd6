import { encodePartition, encodePartitionTable, findSecureCert, inspect } from "../mod.ts";
import { duration, median } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const MIB = 1024 * 1024;
const SIZE = 16 * MIB;
const ROUNDS = 11;
const GOAL_MS = 100;
const GOAL_DUMPS = 3;
const RANDOM_STEP = 0x10000;

/** What it takes to find the partition in a dump of flash: time, and memory with the dump's own. */
export async function flashDump(): Promise<Row[]> {
  const table = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 };
  const dumps = [
    ["by its table", makeDump(encodePartitionTable([table]))],
    ["by a scan", makeDump(new Uint8Array())],
  ] as const;
  const rows: Row[] = [];
  for (const [how, dump] of dumps) {
    // Memory first: what one look needs in a process that has looked at nothing of the kind.
    rows.push(await memoryRow(`inspect a 16 MiB dump, ${how}: memory`, dump));
    rows.push(await timeRow(`findSecureCert, 16 MiB dump, ${how}`, () => findSecureCert(dump)));
    rows.push(await timeRow(`inspect, 16 MiB dump, ${how}`, () => inspect(dump)));
  }
  return rows;
}

async function timeRow(name: string, work: () => unknown): Promise<Row> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    times.push(await duration(() => Promise.resolve(work())));
  }
  const ms = median(times);
  const limit = { text: `${GOAL_MS} ms`, met: ms < GOAL_MS };
  return { name, result: `${formatNumber(ms)} ms`, limit };
}

async function memoryRow(name: string, dump: Uint8Array): Promise<Row> {
  const before = Deno.memoryUsage().rss;
  await inspect(dump);
  const dumps = 1 + Math.max(0, Deno.memoryUsage().rss - before) / dump.length;
  const limit = { text: `${GOAL_DUMPS} dumps`, met: dumps <= GOAL_DUMPS };
  return { name, result: `${formatNumber(dumps)} dumps`, limit };
}

/** A table and an image in front, an app of 8 MiB that looks like nothing, the rest erased. */
function makeDump(table: Uint8Array): Uint8Array {
  const dump = new Uint8Array(SIZE).fill(0xFF);
  for (let at = 0x20000; at < SIZE / 2; at += RANDOM_STEP) {
    crypto.getRandomValues(dump.subarray(at, at + RANDOM_STEP));
  }
  dump.set(table, 0x8000);
  dump.set(encodePartition([{ type: 51, data: new Uint8Array(1000) }]), 0xD000);
  return dump;
}
