import type { Bytes } from "../../bytes/pack.ts";
import type { KeyMode } from "../names.ts";

/** The columns of a configuration CSV as Espressif's host tool documents them. */
export const CONFIG_COLUMNS = [
  "tlv_type",
  "tlv_subtype",
  "data_value",
  "data_type",
  "priv_key_type",
  "algorithm",
  "key_size",
  "efuse_id",
  "efuse_key",
] as const;

/** A name of {@linkcode CONFIG_COLUMNS}. */
export type ConfigColumn = typeof CONFIG_COLUMNS[number];

/** Where each cell of a row begins: line and character of the line, both from 1. */
export type ConfigPlaces = Readonly<
  Record<ConfigColumn, { readonly line: number; readonly column: number }>
>;

/**
 * One row of a configuration CSV: an entry to be made.
 *
 * @category Configuration CSV
 */
export interface ConfigRow {
  /** Entry type, 0 to 255. */
  readonly type: number;
  /** Number among the entries of this type, 0 to 253; the types 50, 254 and 255 are reserved. */
  readonly subtype: number;
  /** The value as text: a file's name, characters, hex or base64 as `dataType` says. */
  readonly dataValue: string;
  /** How the value is to be understood. */
  readonly dataType: "file" | "string" | "hex" | "base64";
  /** How a private key reaches the device; present in private key rows, and informative in others. */
  readonly keyMode?: KeyMode;
  /** Kind of the private key, where the row says. */
  readonly algorithm?: "RSA" | "ECDSA";
  /** Size of the private key in bits, where the row says. */
  readonly keySize?: number;
  /** eFuse key block KEY0 to KEY5, where the row says. */
  readonly efuseId?: number;
  /** Name of the file with the eFuse key, where the row says. */
  readonly efuseKey?: string;
  /** What the columns cannot say of the entry; a comment line before the row says it. */
  readonly stored?: {
    /** The value is stored as it is, whatever its type; reserved and doubled numbers are taken. */
    readonly raw?: true;
    /** A NUL follows the value. */
    readonly nul?: true;
    /** Flags byte of the entry. */
    readonly flags?: number;
    /** The 3 reserved bytes of its header. */
    readonly reserved?: Bytes;
    /** The padding after its value. */
    readonly padding?: Bytes;
  };
  /** Line of the text where the row begins, from 1. */
  readonly line?: number;
}

/** What `# @entry` says of the entry in the next row. */
export type StoredForm = NonNullable<ConfigRow["stored"]>;

/** A key mode as the column has it. */
export function formatConfigKeyMode(mode: KeyMode): string {
  return mode.replaceAll("-", "_");
}
