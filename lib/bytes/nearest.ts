/**
 * How many slips of the pen make one word of another: a character too many, too few, another one, or two
 * exchanged (Damerau-Levenshtein, no part of the text edited twice). Time is the product of the lengths.
 */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      const isExchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isExchanged) row[j] = Math.min(row[j]!, before[j - 2]! + 1);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}

/** Longer words are not the names of anything here; comparing them would only take time. */
const LONGEST = 64;
/** Fewer characters may be a part of anything. */
const SHORTEST_PART = 2;
/** A word begins with any shorter name by chance. */
const SHORTEST_BEGINNING = 3;

/** Other words for names, by the name. */
export type Synonyms = Readonly<Record<string, readonly string[]>>;

/**
 * The name that a word means in another spelling: in any case, and with or without dashes, underscores,
 * dots and blanks, as `ESP32-C3` means `esp32c3`.
 *
 * @param word What somebody wrote.
 * @param names The names that there are.
 * @param synonyms Other words for them. @default none
 * @returns The name, or undefined when the word is not one of them, or may be several.
 */
export function spelledName<Name extends string>(
  word: string,
  names: readonly Name[],
  synonyms: Synonyms = {},
): Name | undefined {
  const exact = names.find((name) => name === word);
  if (exact !== undefined || word.length > LONGEST) return exact;
  const plain = plainSpelling(word);
  const meant = plain === ""
    ? []
    : names.filter((name) =>
      [name, ...synonyms[name] ?? []].some((each) => plainSpelling(each) === plain)
    );
  return meant.length === 1 ? meant[0] : undefined;
}

/**
 * The name that somebody may have meant by a word that is not one: the one that the fewest slips of the
 * pen lead to ({@linkcode editDistance}), at most one in three characters; otherwise one that begins or
 * ends with the word, or that the word begins with.
 *
 * @param word What somebody wrote.
 * @param names The names that there are.
 * @returns The name, of equals the first; undefined when none is near.
 */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const plain = word.length > LONGEST ? "" : plainSpelling(word);
  if (plain === "") return undefined;
  let [nearest, least]: [string | undefined, number] = [undefined, Infinity];
  for (const name of names) {
    const distance = slipsBetween(plain, plainSpelling(name));
    if (distance < least) [nearest, least] = [name, distance];
  }
  return nearest;
}

/** `; did you mean NAME?` for a word that is not one of some names; nothing when none is near. */
export function didYouMean(word: string, names: readonly string[]): string {
  return suggestion(nearestName(word, names));
}

/** `; did you mean NAME?`, to follow a message; nothing without a name. */
export function suggestion(name: string | undefined): string {
  return name === undefined ? "" : `; did you mean ${name}?`;
}

function plainSpelling(text: string): string {
  return text.toLowerCase().replace(/[-_.\s]/g, "");
}

/** How far a word is from a name; Infinity when it is too far to be meant. */
function slipsBetween(word: string, name: string): number {
  const longer = Math.max(word.length, name.length);
  const shorter = Math.min(word.length, name.length);
  const most = Math.max(1, Math.floor(longer / 3));
  const distance = longer - shorter > most ? Infinity : editDistance(word, name);
  if (distance <= most && distance < shorter) return distance;
  const isPart = word.length >= SHORTEST_PART && (name.startsWith(word) || name.endsWith(word)) ||
    name.length >= SHORTEST_BEGINNING && word.startsWith(name);
  // After all slips, and of these names the one that differs least in length.
  return isPart ? LONGEST + longer - shorter : Infinity;
}
