import { foldId } from "../../../batch/files.ts";
import { type BulkDevice, manifestColumns, twiceProblem } from "../../../batch/list/devices.ts";
import type { BulkJournal } from "../../../batch/ports.ts";
import { fileError } from "../../errors.ts";
import type { DatabaseSync } from "../deps.ts";
import { forgetSizes, type Meta } from "./meta.ts";
import { countsOf, type DeviceRecord } from "./rows.ts";

/** One transaction from the first device of the list to the last, so that a bad list leaves nothing. */
export function plannerOf(
  folder: string,
  database: DatabaseSync,
  meta: Meta,
): { plan: BulkJournal["plan"]; end: () => void; columns: () => readonly string[] } {
  const insert = database.prepare(
    "INSERT INTO devices (n, id, fold, fields, state) VALUES (?, ?, ?, ?, 'pending') ON CONFLICT DO NOTHING",
  );
  const same = database.prepare("SELECT n, id, fields FROM devices WHERE n = ? OR fold = ?");
  const columns = new Set<string>(meta.get("columns") ?? []);
  let planned: number | undefined;
  let foreign: ReturnType<typeof foreignRows> | undefined;
  const planOne = (device: BulkDevice, seen: number): string[] => {
    const { index, id } = device;
    const fields = JSON.stringify(device.fields);
    if (seen < 100_000) { for (const name of Object.keys(device.fields)) columns.add(name); }
    const fold = foldId(id);
    if (insert.run(index, id, fold, fields).changes === 1) return [];
    const known = same.all(index, fold) as unknown as DeviceRecord[];
    if (known.some((row) => row.n === index && row.id === id && row.fields === fields)) return [];
    const twice = known.find((row) => row.n !== index && foldId(row.id) === fold);
    if (twice !== undefined) return [twiceProblem(device, { index: twice.n, id: twice.id })];
    return [`${id}: row ${index + 1} is not what it was in the first run`];
  };
  return {
    plan: (devices, others = []) => {
      if (planned === undefined && !database.isTransaction) database.exec("BEGIN IMMEDIATE");
      planned ??= 0;
      const start = planned;
      planned += devices.length;
      const problems = devices.flatMap((device, at) => planOne(device, start + at));
      if (others.length > 0) foreign ??= foreignRows(database);
      return foreign === undefined ? problems : [...problems, ...foreign(devices, others)];
    },
    columns: () => manifestColumns([...columns]),
    end: () => {
      if (planned === undefined) return;
      const total = Object.values(countsOf(database)).reduce((sum, count) => sum + count, 0);
      if (total !== planned) {
        database.exec("ROLLBACK");
        const message = `the batch in ${folder} has ${total} devices, the list has ${planned}`;
        throw fileError("ERR_IO", folder, message, "give the same list, or another folder");
      }
      const known = meta.get("columns");
      const current = manifestColumns([...columns]);
      meta.set("columns", current);
      // Every row of the manifest in CSV gets the new column.
      if (known !== undefined && known.length !== current.length) forgetSizes(database, meta);
      database.exec("COMMIT");
      planned = undefined;
    },
  };
}

/** A device of the list. */
export interface Namesake {
  readonly id: string;
  /** Its place in the list; undefined for one of another shard. */
  readonly index?: number;
  /** Whether it is still to be made. */
  readonly isPending: boolean;
}

/**
 * Finds devices of the list that was read in this run, those of other shards too.
 *
 * @returns Finds one by its name as `foldId` gives it.
 */
export function namesakeFinder(database: DatabaseSync): (fold: string) => Namesake | undefined {
  const own = database.prepare("SELECT n, id, state FROM devices WHERE fold = ?");
  const hasOthers = database.prepare("SELECT 1 FROM temp.sqlite_schema WHERE name = ?")
    .get(FOREIGN_ROWS) !== undefined;
  const others = hasOthers
    ? database.prepare(`SELECT id FROM ${FOREIGN_ROWS} WHERE fold = ?`)
    : undefined;
  return (fold) => {
    const row = own.get(fold);
    if (row !== undefined) {
      return { id: String(row.id), index: Number(row.n), isPending: row.state === "pending" };
    }
    const other = others?.get(fold);
    return other && { id: String(other.id), isPending: false };
  };
}

/** The devices of the list that other shards make. */
const FOREIGN_ROWS = "foreign_rows";

/** Finds ids that are there twice among a shard's devices and those of others. */
function foreignRows(
  database: DatabaseSync,
): (mine: readonly BulkDevice[], others: readonly BulkDevice[]) => string[] {
  database.exec(
    `CREATE TEMP TABLE ${FOREIGN_ROWS} (fold TEXT PRIMARY KEY, n INTEGER, id TEXT) WITHOUT ROWID`,
  );
  const insert = database.prepare(
    `INSERT INTO ${FOREIGN_ROWS} (fold, n, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
  );
  const ofOthers = database.prepare(
    `SELECT n AS "index", id FROM ${FOREIGN_ROWS} WHERE fold = ?`,
  );
  const ofMine = database.prepare('SELECT n AS "index", id FROM devices WHERE fold = ?');
  const check = (device: BulkDevice, rows: typeof ofMine) => {
    const row = rows.get(foldId(device.id)) as { index: number; id: string } | undefined;
    return row === undefined || row.index === device.index ? [] : [twiceProblem(device, row)];
  };
  return (mine, others) => {
    const twice = others.filter(({ id, index }) => insert.run(foldId(id), index, id).changes === 0);
    return [
      ...twice.flatMap((device) => check(device, ofOthers)),
      ...others.flatMap((device) => check(device, ofMine)),
      ...mine.flatMap((device) => check(device, ofOthers)),
    ];
  };
}
