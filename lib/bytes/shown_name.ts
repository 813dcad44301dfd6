const LONGEST = 200;

/**
 * A file's name as a message may show it. Text that stands where a name should, by a slip in a command
 * or a table, may be a key: what looks like one is not shown.
 *
 * @param name What was taken for a name.
 * @returns The name with control characters as `?`, or words in its place.
 */
export function shownName(name: string): string {
  const isKey =
    /-----BEGIN|PRIVATE KEY|^[0-9A-Fa-f\s]{32,}$|^[A-Za-z0-9+/\s]{40,}={1,2}\s*$|^[A-Za-z0-9+]{43,}$/;
  if (isKey.test(name) || name.length > LONGEST && /[\n\r]/.test(name)) {
    return "(text that is no file's name)";
  }
  return name.replace(/\p{Cc}/gu, "?");
}
