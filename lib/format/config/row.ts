import type { ConfigValue } from "./value.ts";
import type { StoredForm } from "./form.ts";
import { type KeyMode, parseTlvType, tlvTypeName } from "../names.ts";

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

/** One row of a configuration CSV: an entry to be made. */
export interface ConfigRow extends ConfigValue {
  /** Number among the entries of this type, 0 to 253; the types 50, 254 and 255 are reserved. */
  readonly subtype: number;
  /** How a private key reaches the device; present in private key rows, and informative in others. */
  readonly keyMode?: KeyMode;
  /** Kind of the private key, where the row tells. */
  readonly algorithm?: "RSA" | "ECDSA";
  /** Size of the private key in bits, where the row tells. */
  readonly keySize?: number;
  /** eFuse key block KEY0 to KEY5, where the row tells. */
  readonly efuseId?: number;
  /** Name of the file with the eFuse key, where the row tells. */
  readonly efuseKey?: string;
  /** What the columns cannot say of the entry; a comment line before the row says it. */
  readonly stored?: StoredForm;
  /** Line of the text where the row begins, from 1. */
  readonly line?: number;
}

/** Names of Espressif's host tool that differ from those of the firmware. */
const TOOL_NAMES: ReadonlyMap<string, number> = new Map([
  ["ESP_SECURE_CERT_ECDSA_KEY_SALT_TLV", 5],
  ["ESP_SECURE_CERT_SEC_CFG_TLV", 6],
  ["ESP_SECURE_CERT_TLV_TYPE_INTEGRITY", 9],
  ["ESP_SECURE_CERT_USER_DATA_1_TLV", 51],
  ["ESP_SECURE_CERT_USER_DATA_2_TLV", 52],
  ["ESP_SECURE_CERT_USER_DATA_3_TLV", 53],
  ["ESP_SECURE_CERT_USER_DATA_4_TLV", 54],
  ["ESP_SECURE_CERT_USER_DATA_5_TLV", 55],
]);
const TOOL_NAMES_OF: ReadonlyMap<number, string> = new Map(
  [...TOOL_NAMES].map(([name, type]) => [type, name]),
);
const NUMBERED: readonly number[] = [50, 201, 202, 254, 255];

/** The type that a cell names: a name of the tool or the firmware, or a decimal number to 255. */
export function parseConfigType(text: string): number | undefined {
  return TOOL_NAMES.get(text.toUpperCase()) ?? (/^0x/i.test(text) ? undefined : parseTlvType(text));
}

/** A type as Espressif's host tool reads it: its own name, or a number where it has none. */
export function formatConfigType(type: number): string {
  const name = TOOL_NAMES_OF.get(type) ?? tlvTypeName(type);
  return NUMBERED.includes(type) || name.startsWith("UNKNOWN") ? String(type) : name;
}

/** A key mode as it stands in the column. */
export function formatConfigKeyMode(mode: KeyMode): string {
  return mode.replaceAll("-", "_");
}
