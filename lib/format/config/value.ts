import type { Bytes } from "../../bytes/pack.ts";
import { formatPem, isPem, parsePem } from "../../bytes/pem.ts";
import type { ConfigRow } from "./row.ts";
import { encodeUtf8, parseBase64, parseHex } from "../../bytes/text.ts";
import { CREDENTIAL_TYPES } from "../names.ts";

/** What the column `data_type` of a configuration CSV may say. */
export const CONFIG_DATA_TYPES: readonly ConfigRow["dataType"][] = [
  "file",
  "string",
  "hex",
  "base64",
];

/** The cells of a configuration row that its value depends on. */
type ConfigValue = Pick<ConfigRow, "type" | "dataValue" | "dataType">;

/**
 * The bytes that a row holds within itself. Hex may have spaces between its bytes, base64 anywhere.
 * In a string for a certificate or a key, PEM may lack its line breaks or have them as `\n` (two
 * characters); the bytes are PEM with 64 characters a line.
 *
 * @param row A row with data type string, hex or base64.
 * @returns The bytes, without the NUL that PEM has on flash.
 * @throws {SecureCertError} `ERR_TEXT` or `ERR_PEM` when the value is malformed.
 * @throws {TypeError} for a row that names a file.
 */
export function configValueBytes(
  row: ConfigValue,
): Bytes {
  const { dataValue, dataType } = row;
  switch (dataType) {
    case "string":
      return encodeUtf8(
        isPemValue(row) ? rewrap(dataValue) : dataValue,
      );
    case "hex":
      return parseHex(dataValue.replace(/([0-9a-f]{2})\s+/gi, "$1"));
    case "base64":
      return parseBase64(dataValue.replace(/\s/g, ""));
    case "file":
      throw new TypeError("Cannot take the value from the row: it names a file");
    default:
      return dataType satisfies never;
  }
}

/** Whether the value is PEM text of a certificate or a key. */
function isPemValue({ type, dataValue, dataType }: ConfigValue): boolean {
  return dataType === "string" && CREDENTIAL_TYPES.includes(type) && isPem(dataValue);
}

function rewrap(text: string): string {
  const lines = text.replaceAll("\\r", "\r").replaceAll("\\n", "\n");
  const blocks = parsePem(lines);
  // Headers, which encrypted traditional keys have, must stay.
  if (blocks.some(({ headers }) => Object.keys(headers).length > 0)) return `${lines.trim()}\n`;
  return blocks.map(({ label, bytes }) => formatPem(label, bytes)).join("");
}
