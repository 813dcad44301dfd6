import { encodeUtf8, shownValue } from "../bytes/text.ts";

/** Characters and bytes of a name, which leave room for what is put before and after it. */
const MOST = { characters: 100, bytes: 200 } as const;
/** Names that Windows keeps for devices, with any ending. */
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/**
 * What makes a text unfit for the name of a file on any system, in words that follow what it is called;
 * undefined when nothing does. A name that is fit leads to no other folder.
 */
export function fileNameProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  const { length } = [...name];
  if (length > MOST.characters) return `has ${length} characters, at most ${MOST.characters}`;
  if (encodeUtf8(name).length > MOST.bytes) return `has more than ${MOST.bytes} bytes`;
  if (/[\p{C}\p{Zl}\p{Zp}\p{DI}]/u.test(name)) return "has control characters";
  if (/[/\\:*?"<>|]/.test(name)) {
    return `${shownValue(name)} has a character that file names cannot have`;
  }
  if (/^[. ]|[. ]$/.test(name)) return `${shownValue(name)} begins or ends with a dot or a space`;
  if (RESERVED.test(name)) return `${shownValue(name)} is a name that Windows keeps for itself`;
  return undefined;
}

/** Names of the files of a device within the folder of its batch. */
export const paths = {
  image: (id: string): string => `images/${id}.bin`,
  certificate: (id: string): string => `certificates/${id}.pem`,
  request: (id: string): string => `csr/${id}.csr`,
  key: (id: string): string => `secret/${id}.key.pem`,
  hmacKey: (id: string): string => `secret/${id}.hmac.bin`,
  salt: (id: string): string => `secret/${id}.salt.bin`,
  efusePlan: (id: string): string => `efuse/${id}.json`,
  label: (id: string): string => `labels/${id}.svg`,
} as const;

/** The rows of a batch, a JSON object a line. */
export const MANIFEST = "manifest.ndjson";
/** The same rows for spreadsheets. */
export const MANIFEST_CSV = "manifest.csv";

/** What comes before and after the name of a device in the path of each of its files. */
const PLACES = Object.values(paths).map((path) => path("*").split("*") as [string, string]);

/** Folders with the files of devices. */
export const DEVICE_FOLDERS: readonly string[] = [
  ...new Set(PLACES.map(([before]) => before.slice(0, -1))),
];

/** The device that a path within a batch belongs to; undefined when it is no device's. */
export function deviceOf(path: string): string | undefined {
  const place = PLACES.find(([before, after]) =>
    path.startsWith(before) && path.endsWith(after) && path.length > before.length + after.length
  );
  return place && path.slice(place[0].length, -place[1].length);
}

/** Whether a file is for the owner of the batch only: keys, and images, which may hold them. */
export function isSecret(path: string): boolean {
  return /^(secret|images)\//.test(path);
}

/**
 * What a device that failed may have left, and nothing uses. Its key goes too, unless a request was made
 * with it, for which a right certificate may still come.
 */
export function leftoversOf(id: string, hasRequest: boolean): string[] {
  const kept: readonly unknown[] = hasRequest
    ? [paths.key, paths.hmacKey, paths.salt, paths.request]
    : [];
  return Object.values(paths).filter((path) => !kept.includes(path)).map((path) => path(id));
}
