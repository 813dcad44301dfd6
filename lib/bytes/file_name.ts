import { encodeUtf8, shownValue } from "./text.ts";

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
  if (/^[. ]|[. ]$/.test(name)) return `${shownValue(name)} begins or ends with a point or a space`;
  if (RESERVED.test(name)) return `${shownValue(name)} is a name that Windows keeps for itself`;
  return undefined;
}
