import { extraColumns } from "../manifest.ts";

/** Columns of a device list that say something of a device; all others go into the manifest only. */
export const DEVICE_COLUMNS = [
  "id",
  "subject",
  "sans",
  "chip",
  "keyMode",
  "efuseKeyId",
  "user1",
  "user2",
  "user3",
  "user4",
  "user5",
  "certificate",
  "privateKey",
] as const;

/** The columns of a device list that go into the manifest. */
export function manifestColumns(columns: readonly string[]): string[] {
  const known: readonly string[] = DEVICE_COLUMNS;
  return extraColumns(columns.filter((name) => !known.includes(name)));
}

/** The values of a device that go into the manifest, by column. */
export function manifestFields(
  fields: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    manifestColumns(Object.keys(fields)).map((name) => [name, fields[name]!]),
  );
}
