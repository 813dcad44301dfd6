import { SecureCertError } from "../../bytes/errors.ts";
import { didYouMean, spelledName, suggestion } from "../../bytes/nearest.ts";
import {
  CONFIG_COLUMNS,
  type ConfigColumn,
  type ConfigPlaces,
  type ConfigRow,
  formatConfigKeyMode,
  type StoredForm,
} from "./row.ts";
import { CONFIG_DATA_TYPES, configValueBytes } from "./value.ts";
import type { CsvField, CsvProblem } from "../../bytes/csv.ts";
import {
  isReservedType,
  KEY_MODES,
  type KeyMode,
  MAX_SUBTYPE,
  nearestTlvType,
  parseConfigType,
  TLV_TYPES,
} from "../names.ts";

/** The index of each column of a CSV. */
export type ConfigHeader = ReadonlyMap<ConfigColumn, number>;

/** A row whose cells are read, as far as they can be. */
export interface ConfigCells {
  readonly row: Partial<ConfigRow>;
  readonly places: ConfigPlaces;
}

/** Reports what is wrong with a cell. */
type Fail = (column: ConfigColumn, message: string) => undefined;
type Cell = (column: ConfigColumn) => string;

/** DS data, DS context and security configuration: Espressif's tool describes the key beside them. */
const KEY_TYPES: readonly (number | undefined)[] = [
  TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV,
  TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV,
  TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG,
];
const ALGORITHMS = ["RSA", "ECDSA"] as const;
const KEY_SIZES = { RSA: [1024, 2048, 3072, 4096], ECDSA: [192, 256, 384, 521] } as const;

/** Reads the cells of a row, and reports all that is wrong with them. */
export function readConfigCells(
  record: readonly CsvField[],
  header: ConfigHeader,
  stored: StoredForm | undefined,
  problems: CsvProblem[],
): ConfigCells {
  const { line, column } = record[0]!;
  const extra = record[header.size];
  const places = placesOf(record, header);
  if (record.length < header.size - 1) {
    problems.push({ line, column, message: `${record.length} columns, need ${header.size}` });
    return { row: {}, places };
  }
  if (extra) {
    const message = "more columns than the header has; a value with a comma needs quotes";
    problems.push({ line: extra.line, column: extra.column, message });
    return { row: {}, places };
  }
  const cell: Cell = (name) => record[header.get(name)!]?.text.trim() ?? "";
  const fail: Fail = (name, message) => {
    problems.push({ ...places[name], message: `${name}: ${message}` });
  };
  const type = readType(cell("tlv_type"), stored?.raw === true, fail);
  const row = {
    type,
    subtype: readSubtype(cell, stored?.raw === true, fail),
    ...readValue(type, record[header.get("data_value")!], cell, fail),
    ...readKey(type, cell, fail),
    stored,
    line,
  };
  const known = Object.entries(row).filter(([, value]) => value !== undefined);
  return { row: Object.fromEntries(known), places };
}

function placesOf(record: readonly CsvField[], header: ConfigHeader): ConfigPlaces {
  return Object.fromEntries(CONFIG_COLUMNS.map((name) => {
    const { line, column } = record[header.get(name)!] ?? record[0]!;
    return [name, { line, column }];
  })) as ConfigPlaces;
}

function readType(text: string, raw: boolean, fail: Fail): number | undefined {
  if (text === "") return fail("tlv_type", "missing");
  const type = parseConfigType(text);
  if (type === undefined) {
    const meant = suggestion(nearestTlvType(text));
    return fail("tlv_type", `not a name of a type, nor a number up to 253${meant}`);
  }
  const isReserved = isReservedType(type) && !raw;
  return isReserved ? fail("tlv_type", `${type} is reserved`) : type;
}

function readSubtype(cell: Cell, raw: boolean, fail: Fail): number | undefined {
  const subtype = readNumber("tlv_subtype", raw ? 255 : MAX_SUBTYPE, cell, fail);
  if (cell("tlv_subtype") === "") fail("tlv_subtype", "missing");
  return subtype;
}

function readValue(
  type: number | undefined,
  field: CsvField | undefined,
  cell: Cell,
  fail: Fail,
): Pick<Partial<ConfigRow>, "dataValue" | "dataType"> {
  const dataType = CONFIG_DATA_TYPES.find((name) => name === cell("data_type").toLowerCase());
  const keepsSpaces = field?.quoted === true && dataType === "string";
  const dataValue = keepsSpaces ? field.text : cell("data_value");
  if (!dataType) {
    const meant = didYouMean(cell("data_type"), CONFIG_DATA_TYPES);
    fail("data_type", `must be one of ${CONFIG_DATA_TYPES.join(", ")}${meant}`);
  } else if (dataValue === "" && dataType !== "hex") {
    fail("data_value", "missing; an entry without a value is written as empty hex");
  } else if (dataType !== "file") {
    try {
      configValueBytes({ type: type ?? -1, dataValue, dataType });
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      fail("data_value", error.message);
    }
  }
  return { dataValue, dataType };
}

function readKey(type: number | undefined, cell: Cell, fail: Fail): Partial<ConfigRow> {
  const filled = CONFIG_COLUMNS.slice(4).find((name) => cell(name) !== "");
  if (type !== TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV && !(KEY_TYPES.includes(type) && filled)) {
    if (type !== undefined && filled) fail(filled, "only a private key has one");
    return {};
  }
  const mode = cell("priv_key_type");
  const keyMode = spelledName(mode, KEY_MODES);
  if (!keyMode) {
    const modes = KEY_MODES.map(formatConfigKeyMode);
    const meant = didYouMean(mode, modes);
    fail("priv_key_type", `a private key needs one of ${modes.join(", ")}${meant}`);
  }
  const algorithm = ALGORITHMS.find((name) => name === cell("algorithm").toUpperCase());
  if (!algorithm && cell("algorithm") !== "") fail("algorithm", "must be RSA or ECDSA");
  const fixed = keyMode === undefined ? undefined : algorithmOf(keyMode);
  if (algorithm && fixed && algorithm !== fixed) {
    fail("algorithm", `${formatConfigKeyMode(keyMode!)} is for ${fixed}`);
  }
  const keySize = readNumber("key_size", 4096, cell, fail);
  const sizes: readonly number[] = algorithm
    ? KEY_SIZES[algorithm]
    : [...KEY_SIZES.ECDSA, ...KEY_SIZES.RSA];
  if (keySize !== undefined && !sizes.includes(keySize)) {
    fail("key_size", `must be one of ${sizes.join(", ")}`);
  }
  const efuseId = readNumber("efuse_id", 5, cell, fail);
  return { keyMode, algorithm, keySize, efuseId, efuseKey: cell("efuse_key") || undefined };
}

function readNumber(name: ConfigColumn, max: number, cell: Cell, fail: Fail): number | undefined {
  const text = cell(name);
  if (text === "") return undefined;
  const number = /^[0-9]{1,9}$/.test(text) ? Number(text) : max + 1;
  return number <= max ? number : fail(name, `must be a number from 0 to ${max}`);
}

function algorithmOf(mode: KeyMode): "RSA" | "ECDSA" | undefined {
  if (mode === "rsa-ds") return "RSA";
  return mode === "ecdsa-peripheral" || mode === "hmac-derived" ? "ECDSA" : undefined;
}
