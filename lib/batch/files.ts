import { countOf } from "../bytes/errors.ts";
import { encodeUtf8, shownValue } from "../bytes/text.ts";

/** Characters and bytes of a name, which leave room for what is put before and after it. */
const MOST = { characters: 100, bytes: 200 } as const;
/** Names that Windows keeps for devices, with any ending. */
const RESERVED = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)/i;

/**
 * The name that the files of a device have, before their endings: its id with `-` for each `:`, which a
 * MAC address has and Windows does not take.
 */
export function fileNameOf(id: string): string {
  return id.replaceAll(":", "-");
}

/**
 * The name of a device's files as file systems compare names that take no notice of case or of how a
 * character is composed: two ids that fold to the same are one file on macOS or Windows.
 */
export function foldId(id: string): string {
  // Upper case in between, because "ß" and "SS" are the same in full case folding.
  return fileNameOf(id).normalize("NFD").toLowerCase().toUpperCase().toLowerCase().normalize("NFC");
}

/**
 * The devices that a file from elsewhere may be named after, each as {@linkcode foldId} gives it: what is
 * left of its name without an ending, the longest first. A batch's own keys end in `.key.pem`.
 */
export function namesakesOf(fileName: string): string[] {
  const names = [/$/, /\.[^.]*$/, /\.key\.[^.]*$/i].map((ending) => fileName.replace(ending, ""));
  return [...new Set(names.map(foldId))].filter((name) => name !== "");
}

/**
 * What makes an id unfit for the names of its device's files on any system, in words that follow what it
 * is called; undefined when nothing does. A name that is fit leads to no other folder.
 */
export function fileNameProblem(id: string): string | undefined {
  const name = fileNameOf(id);
  if (name === "") return "is empty";
  const { length } = [...name];
  if (length > MOST.characters) {
    return `has ${countOf(length, "character")}, at most ${MOST.characters}`;
  }
  if (encodeUtf8(name).length > MOST.bytes) return `has more than ${MOST.bytes} bytes`;
  if (/[\p{C}\p{Zl}\p{Zp}\p{DI}]/u.test(name)) return "has control characters";
  if (/[/\\*?"<>|]/.test(name)) {
    return `${shownValue(id)} has a character that file names cannot have`;
  }
  if (/^[.\p{Zs}]|[.\p{Zs}]$/u.test(name)) {
    return `${shownValue(id)} begins or ends with a dot or a space`;
  }
  if (RESERVED.test(name)) return `${shownValue(id)} is a name that Windows keeps for itself`;
  return undefined;
}

/** Names of the files of a device within the folder of its batch. */
export const paths = {
  image: (id: string): string => `images/${fileNameOf(id)}.bin`,
  certificate: (id: string): string => `certificates/${fileNameOf(id)}.pem`,
  request: (id: string): string => `csr/${fileNameOf(id)}.csr`,
  key: (id: string): string => `secret/${fileNameOf(id)}.key.pem`,
  keyLow: (id: string): string => `secret/${fileNameOf(id)}.key_low.bin`,
  keyHigh: (id: string): string => `secret/${fileNameOf(id)}.key_high.bin`,
  hmacKey: (id: string): string => `secret/${fileNameOf(id)}.hmac.bin`,
  salt: (id: string): string => `secret/${fileNameOf(id)}.salt.bin`,
  efusePlan: (id: string): string => `efuse/${fileNameOf(id)}.json`,
  label: (id: string): string => `labels/${fileNameOf(id)}.svg`,
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

/**
 * The name, as {@linkcode fileNameOf} gives it, of the device that a path within a batch belongs to;
 * undefined when it does not belong to one.
 */
export function ownerName(path: string): string | undefined {
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
 * What a device that failed may have left, and nothing uses. Its key goes too, unless the journal has it:
 * a request was made with it then, for which a right certificate may still come.
 */
export function leftoversOf(id: string, hasKey: boolean): string[] {
  const kept: readonly unknown[] = hasKey
    ? [paths.key, paths.keyLow, paths.keyHigh, paths.hmacKey, paths.salt, paths.request]
    : [];
  return Object.values(paths).filter((path) => !kept.includes(path)).map((path) => path(id));
}
