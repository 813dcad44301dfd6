/** What `bulk` has written down of its work. */
export const JOURNAL = "journal.sqlite";
/** The journal with the files that SQLite keeps beside it. */
export const JOURNAL_FILES: readonly string[] = [JOURNAL, `${JOURNAL}-wal`, `${JOURNAL}-shm`];
/** The file by which a process holds the folder of a batch. */
export const LOCK = ".lock";

/** Mode of files for their owner only. */
export const SECRET_MODE = 0o600;

/** Mode of a file: for its owner only, or what the system gives. */
export function fileMode(secret: boolean): { readonly mode?: number } {
  return secret ? { mode: SECRET_MODE } : {};
}

/** Mode of a folder with the files of devices: keys are in one that nobody else enters. */
export function folderMode(name: string): { readonly mode?: number } {
  return name === "secret" ? { mode: 0o700 } : {};
}

/** Name of a file while it is written to replace another; no device's name begins with a dot. */
export function growingName(inside: string, writer: string): string {
  return `${inside}/.${writer}`;
}
