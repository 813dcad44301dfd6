import { type BulkDevice, foldId } from "../../provision/bulk_devices.ts";
import type { BulkJournal } from "../../provision/bulk_ports.ts";
import { manifestColumns } from "../../provision/bulk_results.ts";
import { fileError } from "../errors.ts";
import type { DatabaseSync } from "./deps.ts";
import { countsOf, type Meta } from "./meta.ts";

interface Row {
  readonly n: number;
  readonly id: string;
  readonly fields: string;
}

/** One transaction from the first device of the list to the last, so that a bad list leaves nothing. */
export function plannerOf(
  folder: string,
  database: DatabaseSync,
  meta: Meta,
): { plan: BulkJournal["plan"]; end: () => void } {
  const insert = database.prepare(
    "INSERT INTO devices (n, id, fold, fields, state) VALUES (?, ?, ?, ?, 'pending') ON CONFLICT DO NOTHING",
  );
  const same = database.prepare("SELECT n, id, fields FROM devices WHERE n = ? OR fold = ?");
  const columns = new Set<string>(meta.get("columns") ?? []);
  let planned: number | undefined;
  const planOne = (device: BulkDevice, seen: number): string[] => {
    const { index, id } = device;
    const fields = JSON.stringify(device.fields);
    if (seen < 100_000) { for (const name of Object.keys(device.fields)) columns.add(name); }
    if (insert.run(index, id, foldId(id), fields).changes === 1) return [];
    const known = same.all(index, foldId(id)) as unknown as Row[];
    if (known.some((row) => row.n === index && row.id === id && row.fields === fields)) return [];
    const twice = known.find((row) => row.n !== index && foldId(row.id) === foldId(id));
    if (twice !== undefined) {
      return [`${id}: the id is there twice, in rows ${twice.n + 1} and ${index + 1}`];
    }
    return [`${id}: row ${index + 1} is not what it was in the first run`];
  };
  return {
    plan: (devices) => {
      if (planned === undefined) database.exec("BEGIN IMMEDIATE");
      planned ??= 0;
      const start = planned;
      planned += devices.length;
      return devices.flatMap((device, at) => planOne(device, start + at));
    },
    end: () => {
      if (planned === undefined) return;
      const total = Object.values(countsOf(database)).reduce((sum, count) => sum + count, 0);
      if (total !== planned) {
        database.exec("ROLLBACK");
        const message = `the batch in ${folder} has ${total} devices, the list has ${planned}`;
        throw fileError("ERR_IO", folder, message, "give the same list, or another folder");
      }
      meta.set("columns", manifestColumns([...columns]));
      database.exec("COMMIT");
      planned = undefined;
    },
  };
}
