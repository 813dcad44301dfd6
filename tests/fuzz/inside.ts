import { formatCsvRecord, readCsv } from "../../lib/bytes/csv.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { type Bytes, concat, hasWord } from "../../lib/bytes/pack.ts";
import { formatPem, isPem, parsePem } from "../../lib/bytes/pem.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/bytes/text.ts";
import { decodeDump, dumpEncodingOf } from "../../lib/format/dump/dump.ts";
import { decodePartition, encodePartition } from "../../lib/format/partition.ts";
import { TLV_TYPES } from "../../lib/format/names.ts";
import { encodeTlv, MAX_TLV_LENGTH, TLV_MAGIC } from "../../lib/format/tlv.ts";
import { intelHex, uf2 } from "../dumps.ts";
import { fixDer } from "./guards.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

/** Changes what a wrapping holds, and wraps it again; undefined where the seed is wrapped otherwise. */
type Inside = (seed: Bytes, random: Random) => Bytes | undefined;

/**
 * A seed in which something inside was changed: DER in PEM, an entry's value in an image, flash in Intel
 * HEX or UF2, a member of JSON, a cell of CSV. Lengths, checksums, base64 and quotes around it are those
 * of the changed value, so that decoders reach it. Undefined for a seed that wraps nothing.
 */
export function mutateInside(seed: Bytes, random: Random): Bytes | undefined {
  for (const inside of WRAPPINGS) {
    const changed = inside(seed, random);
    if (changed !== undefined) return changed;
  }
  return undefined;
}

const WRAPPINGS: readonly Inside[] = [insidePem, insideTlv, insideDump, insideJson, insideCsv];

/** Labels that say something else than what is in the block. */
const LABELS = [
  "CERTIFICATE",
  "TRUSTED CERTIFICATE",
  "PRIVATE KEY",
  "ENCRYPTED PRIVATE KEY",
  "RSA PRIVATE KEY",
  "EC PRIVATE KEY",
  "PUBLIC KEY",
  "CERTIFICATE REQUEST",
] as const;

function insidePem(seed: Bytes, random: Random): Bytes | undefined {
  const text = isPem(seed) ? decodeUtf8(seed) : undefined;
  if (text === undefined) return undefined;
  const blocks = parsePem(text);
  const chosen = random.below(blocks.length);
  const pem = blocks.map(({ label, bytes }, at) =>
    at !== chosen
      ? formatPem(label, bytes)
      : formatPem(random.below(16) === 0 ? random.pick(LABELS) : label, mutateValue(bytes, random))
  ).join("");
  return encodeUtf8(pem);
}

function insideTlv(seed: Bytes, random: Random): Bytes | undefined {
  if (!hasWord(seed, 0, TLV_MAGIC)) return undefined;
  const entries = [...decodePartition(seed).entries];
  const chosen = random.below(entries.length);
  const { data } = entries[chosen]!;
  const end = data.at(-1) === 0 ? data.length - 1 : data.length;
  const value = new Uint8Array(data.subarray(0, end));
  const changed = mutateInside(value, random) ?? mutateValue(value, random);
  entries[chosen] = {
    ...entries[chosen]!,
    data: concat(changed, data.subarray(end)).subarray(0, MAX_TLV_LENGTH),
  };
  const last = entries.at(-1)!;
  const isSum = last.type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV;
  if (!isSum || random.below(4) === 0) return concat(...entries.map(encodeTlv));
  return encodePartition(entries.slice(0, -1), { integrity: true, size: 0x10000 });
}

function insideDump(seed: Bytes, random: Random): Bytes | undefined {
  const encoding = dumpEncodingOf(seed);
  if (encoding === undefined) return undefined;
  const { address, bytes } = decodeDump(seed, encoding);
  const changed = mutateInside(bytes, random) ?? mutate(bytes, random);
  return encoding === "uf2" ? uf2(address, changed) : intelHex(address, changed);
}

/** Values that a member of JSON or a cell seldom has. */
const ODD_VALUES = [
  null,
  true,
  "",
  "\u0000",
  "\u202E",
  "../a",
  "con",
  "__proto__",
  "0xFFFFFFFFF",
  "=1+1",
  "a,b",
  '"',
  "{n}",
  "{id",
  -1,
  0.5,
  1e308,
  2 ** 53,
  255,
  256,
  [],
  {},
  [[]],
] as const;

function insideJson(seed: Bytes, random: Random): Bytes | undefined {
  if (seed[0] !== 0x7B || seed[1] !== 0x22) return undefined;
  const lines = decodeUtf8(seed)!.trim().split("\n");
  const chosen = random.below(lines.length);
  lines[chosen] = JSON.stringify(changedJson(JSON.parse(lines[chosen]!), random));
  return encodeUtf8(lines.join("\n") + "\n");
}

/** A value in which a member, at some depth, is another, is absent or is new. */
function changedJson(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(8) === 0) {
    return typeof value === "string" && random.below(2) === 0
      ? changedText(value, random)
      : random.pick(ODD_VALUES);
  }
  const members = Object.entries(value);
  if (members.length === 0) return random.pick(ODD_VALUES);
  const [name, member] = random.pick(members);
  const changed = changedJson(member, random);
  const left = members.filter(([each]) => each !== name || random.below(8) > 0);
  const added = random.below(8) === 0 ? changedText(name, random) : name;
  return Array.isArray(value)
    ? [...left.map(([, each]) => each), changed]
    : Object.fromEntries([...left, [added, changed]]);
}

function insideCsv(seed: Bytes, random: Random): Bytes | undefined {
  const text = decodeUtf8(seed);
  if (text === undefined || !text.includes(",")) return undefined;
  try {
    const rows = readCsv(text).records.map((record) => record.map((cell) => cell.text));
    // Without its header a text has no columns.
    const row = rows[random.below(8) === 0 ? 0 : random.below(rows.length)]!;
    const at = random.below(row.length);
    const odd = random.pick(ODD_VALUES);
    row[at] = random.below(2) === 0 ? changedText(row[at]!, random) : String(odd ?? "");
    return encodeUtf8(rows.map((each) => formatCsvRecord(each)).join(""));
  } catch (error) {
    if (error instanceof SecureCertError) return undefined;
    throw error;
  }
}

function changedText(text: string, random: Random): string {
  return new TextDecoder().decode(mutate(encodeUtf8(text), random).subarray(0, 300));
}

/** A value with changes; most are DER, whose lengths then fit. */
function mutateValue(bytes: Uint8Array, random: Random): Bytes {
  const changed = mutate(bytes, random) as Bytes;
  if (random.below(4) > 0) fixDer(changed);
  return changed;
}
