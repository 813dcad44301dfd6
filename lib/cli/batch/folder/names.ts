import { paths } from "../../../batch/make/results.ts";

/** What stands before the name of a device in the path of each of its files, and behind it. */
const PLACES = Object.values(paths).map((path) => path("*").split("*") as [string, string]);

/** Folders with files of single devices. */
export const DEVICE_FOLDERS: readonly string[] = [
  ...new Set(PLACES.map(([before]) => before.slice(0, -1))),
];

/** The device that a path within a batch belongs to; undefined when it is none's. */
export function deviceOf(name: string): string | undefined {
  const place = PLACES.find(([before, behind]) =>
    name.startsWith(before) && name.endsWith(behind) && name.length > before.length + behind.length
  );
  return place && name.slice(place[0].length, -place[1].length);
}

/** Whether a file is for the owner of the batch alone: keys, and images, which may hold them. */
export function isSecret(name: string): boolean {
  return /^(secret|images)\//.test(name);
}
