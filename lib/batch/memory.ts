import { SecureCertError } from "../bytes/errors.ts";
import { foldId, leftoversOf } from "./files.ts";
import { type BulkDevice, twiceProblem } from "./list/devices.ts";
import {
  BULK_STATES,
  type BulkFiles,
  type BulkJournal,
  type BulkResult,
  type BulkState,
  failTwiceUsed,
  type JournaledDevice,
} from "./ports.ts";

/** A batch in memory. */
export type MemoryBatch = ReturnType<typeof memoryBatch>;

interface MemoryDevice extends JournaledDevice {
  state: BulkState;
  certificate?: string;
  result?: BulkResult;
}

/**
 * A journal and files in memory, for a batch that need not outlive the process.
 *
 * @category Ports
 */
export function memoryBatch(): {
  readonly journal: BulkJournal & {
    /** What was recorded of each device, in the order of the list. */
    results(): readonly BulkResult[];
    /** Gives a device that has its key the certificate that was issued for it, PEM. */
    certify(id: string, pem: string): void;
  };
  readonly files: BulkFiles & {
    /** The files by name. */
    readonly all: ReadonlyMap<string, Uint8Array>;
  };
} {
  const all = new Map<string, Uint8Array>();
  return { journal: memoryJournal(all), files: memoryFiles(all) };
}

/** Files that need not outlive the process. */
export function memoryFiles(all = new Map<string, Uint8Array>()): MemoryBatch["files"] {
  return {
    all,
    write: (files) => {
      for (const { path, bytes } of files) all.set(path, bytes.slice());
    },
    read: (path) => {
      const bytes = all.get(path);
      if (bytes === undefined) throw new SecureCertError("ERR_NOT_FOUND", `no file ${path}`);
      return bytes.slice();
    },
    find: (path) => all.get(path)?.slice(),
    sync: () => {},
  };
}

function memoryJournal(files: Map<string, Uint8Array>): MemoryBatch["journal"] {
  const devices = new Map<string, MemoryDevice>();
  const [keys, serials] = [new Map<string, string>(), new Map<string, string>()];
  const owners = {
    ofKey: (key: string) => keys.get(key),
    ofSerial: (serial: string) => serials.get(serial),
  };
  /** Rows of the list by id, those of other shards too. */
  const rows = new Map<string, BulkDevice>();
  const sorted = () => [...devices.values()].sort((a, b) => a.device.index - b.device.index);
  const record = (each: BulkResult) => {
    const result = failTwiceUsed(each, owners);
    const { device: { id }, state, row } = result;
    if (state !== "failed") keys.set(row.publicKey, id);
    else {
      const hasKey = Boolean(devices.get(foldId(id))!.result?.row.publicKey);
      leftoversOf(id, hasKey).forEach((path) => files.delete(path));
    }
    if (state === "verified") serials.set(row.serial, id);
    Object.assign(devices.get(foldId(id))!, { state, result });
    return result;
  };
  return {
    plan: (planned, others = []) => {
      for (const device of planned) {
        const fold = foldId(device.id);
        if (!devices.has(fold)) devices.set(fold, { device, state: "pending" });
      }
      return [...planned, ...others].flatMap((device) => {
        const fold = foldId(device.id);
        const known = rows.get(fold) ?? device;
        rows.set(fold, known);
        return known.index === device.index ? [] : [twiceProblem(device, known)];
      });
    },
    next: (state, after, limit) =>
      sorted().filter((each) => each.state === state && each.device.index > after).slice(0, limit),
    commit: (results) => results.map(record),
    counts: () => {
      const counts = Object.fromEntries(BULK_STATES.map((state) => [state, 0]));
      for (const { state } of devices.values()) counts[state]!++;
      return counts as Record<BulkState, number>;
    },
    results: () => sorted().flatMap(({ result }) => result === undefined ? [] : [result]),
    certify: (id, pem) => {
      Object.assign(devices.get(foldId(id))!, { state: "certified", certificate: pem });
    },
  };
}
