/**
 * A key with the value to write: an integer within the range of its type; a string as text or bytes, at
 * most 4000 with the NUL, which is added unless the last byte is one; or a blob of at most 508000 bytes.
 *
 * @category cust_flash and NVS
 */
export type NvsItem =
  & {
    /** Name of the namespace, 1 to 15 bytes of UTF-8. */
    readonly namespace: string;
    /** Key within the namespace, 1 to 15 bytes of UTF-8. */
    readonly key: string;
  }
  & (
    | {
      readonly type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64";
      readonly value: number | bigint;
    }
    | { readonly type: "string"; readonly value: string | Uint8Array }
    | { readonly type: "blob"; readonly value: Uint8Array }
  );

/**
 * What an NVS image holds.
 *
 * @category cust_flash and NVS
 */
export interface DecodedNvs {
  /**
   * What the firmware would return, in the order in which it was written. A string has the bytes as
   * stored, with the NUL that ends it.
   */
  readonly items: readonly (
    & {
      /** Name of the namespace. */
      readonly namespace: string;
      /** Key within the namespace. */
      readonly key: string;
      /** Where the value starts, in bytes from the start of the image; of a blob, its first chunk. */
      readonly offset: number;
      /** Index of the page that holds the start of the value. */
      readonly page: number;
      /** Checksum of the value (of a blob, its first chunk); for an integer that of its entry. */
      readonly crc: { readonly stored: number; readonly computed: number };
    }
    & (
      | { readonly type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32"; readonly value: number }
      | { readonly type: "u64" | "i64"; readonly value: bigint }
      | { readonly type: "string" | "blob"; readonly value: Uint8Array }
    )
  )[];
  /** Names of the namespaces, with and without items, in the order in which they were written. */
  readonly namespaces: readonly string[];
  /** The headers of the pages, in the order of the image. */
  readonly pages: readonly {
    /** Bytes from the start of the image. */
    readonly offset: number;
    /** State of the page; "unknown" for a word that the firmware does not have. */
    readonly state: "empty" | "active" | "full" | "freeing" | "corrupt" | "invalid" | "unknown";
    /** Sequence number, 32 bits: pages are read in this order. */
    readonly sequence: number;
    /** Version byte: 0xFF for version 1, 0xFE for version 2. */
    readonly version: number;
    /** Checksum over bytes 4 to 27. */
    readonly crc: { readonly stored: number; readonly computed: number };
    /**
     * Whether the bytes look like the header of a page that was written: the checksum is right, or the
     * state is one of use and of the 19 bytes without a meaning at most one is damaged.
     */
    readonly recognized: boolean;
    /** Whether the firmware looks for entries in it; not so for damaged and for erased pages. */
    readonly readable: boolean;
  }[];
  /** Entries that were deleted or never finished and whose bytes are still in a page. */
  readonly erased: readonly {
    /** Where its bytes start, from the start of the image. */
    readonly offset: number;
    /** Its key, when the entry itself is still whole. */
    readonly key?: string;
    /** Its bytes and those of its value, whole entries of 32, a view of the image. */
    readonly bytes: Uint8Array;
  }[];
  /** What is wrong; empty for a sound image. */
  readonly problems: readonly {
    /** What it is, for programs. */
    readonly kind:
      /** The checksum of a page header is wrong; the page is hidden. */
      | "page-checksum"
      /** A page is in no state from which the firmware reads; the page is hidden. */
      | "page-state"
      /** A page is of a later version than 2; the firmware refuses the whole partition. */
      | "page-version"
      /** A page marked empty is not erased; the page is hidden. */
      | "page-dirty"
      /** Every page is in use, so that a writable partition of this size cannot be opened. */
      | "reserve"
      /** The bitmap of a page contradicts itself or the entries. */
      | "bitmap"
      /** The checksum of one or more adjacent entries is wrong; they are hidden. */
      | "entry-checksum"
      /** The fields of an entry contradict each other; it is hidden. */
      | "entry"
      /** The checksum of a value is wrong; its key is hidden. */
      | "data-checksum"
      /** A namespace is named twice or not at all. */
      | "namespace"
      /** Chunks of a blob are missing, do not add up, or belong to no blob. */
      | "blob"
      /** A key was written twice; the one that the firmware would not return is left out. */
      | "duplicate"
      /** A string does not end in NUL. */
      | "string"
      /** A credential has another type than the firmware asks for, which it then does not get. */
      | "type"
      /** A part of the DS parameters is missing or of another size. */
      | "credential";
    /** One line for people. */
    readonly message: string;
    /** Where, in bytes from the start of the image. */
    readonly offset: number;
    /** The namespace of the key, when both are known. */
    readonly namespace?: string;
    /** The key that is hidden or doubtful, when it is known. */
    readonly key?: string;
    /** The checksum that is wrong, for the kinds that end in "-checksum". */
    readonly crc?: { readonly stored: number; readonly computed: number };
  }[];
}

/** A key with the value that was read. */
export type NvsStoredItem = DecodedNvs["items"][number];

/** Something wrong in an NVS image. */
export type NvsProblem = DecodedNvs["problems"][number];

/** The header of a page of an image. */
export type NvsPage = DecodedNvs["pages"][number];

/** An entry that the firmware skips, as the bitmap says, and whose bytes are still in flash. */
export type NvsErased = DecodedNvs["erased"][number];
