/** A file to be written. */
export interface OutputFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Readable only by its owner (mode 0600). @default false */
  readonly secret?: boolean;
  /**
   * Holds a private or eFuse key, as what is in its place is then taken to do: only `--force-key` puts
   * another there. @default what its bytes look like, when it is secret
   */
  readonly keep?: boolean;
}

/** Which files that are there may be replaced: none, those that hold no key, or all. */
export type Force = false | "files" | "keys";

/** How files are written. */
export interface WriteOptions {
  /** Make the folders of the files where they are missing. @default false */
  readonly makeFolders?: boolean;
  /** An output may be a file that was read, which is changed in its place. @default false */
  readonly inPlace?: boolean;
}
