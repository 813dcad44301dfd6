import { encodeUtf8, formatBase64 } from "../../bytes/text.ts";
import { sha256 } from "../../crypto/deps.ts";
import { foldId } from "../files.ts";
import type { ManifestRow } from "../manifest.ts";
import { type BatchProblem, problem } from "./problem.ts";

/** What must be one device's own; a public key may be long, and is kept as its digest. */
const FIELDS = [
  // File systems that ignore case keep one file for both.
  { code: "DUPLICATE_ID", what: "name", valueOf: ({ id }: ManifestRow) => foldId(id) },
  { code: "DUPLICATE_SERIAL", what: "serial number", valueOf: ({ serial }: ManifestRow) => serial },
  {
    code: "DUPLICATE_KEY",
    what: "key",
    valueOf: ({ publicKey }: ManifestRow) =>
      publicKey === "" ? "" : formatBase64(sha256(encodeUtf8(publicKey))),
  },
] as const;

/**
 * Finds what must be one device's own in two rows. Keeps about 600 bytes for each row.
 *
 * @returns A function that takes every row once, with a word on where it comes from, and gives what
 * an earlier row has already.
 */
export function createDuplicateFinder(): (row: ManifestRow, where?: string) => BatchProblem[] {
  const seen = FIELDS.map(() => new Map<string, string>());
  return (row, where = "") => {
    const here = where === "" ? row.id : `${row.id} (${where})`;
    return FIELDS.flatMap(({ code, what, valueOf }, at) => {
      const value = valueOf(row);
      if (value === "") return [];
      const first = seen[at]!.get(value);
      if (first !== undefined) {
        return [problem(code, row.id, `${here} has the ${what} of ${first}`)];
      }
      seen[at]!.set(value, here);
      return [];
    });
  };
}
