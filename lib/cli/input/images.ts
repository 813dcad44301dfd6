import {
  encodeUtf8,
  parseBase64,
  parseHex,
  printableLine,
  shownName,
  shownValue,
} from "../../bytes/text.ts";
import { MAX_FLASH } from "../../format/chips/chips.ts";
import { type ImageFormat, nearestTlvType, parseTlvType, TLV_TYPES } from "../../format/names.ts";
import type { Whereabouts } from "../../image/find/locate.ts";
import type { BuildOptions } from "../../toolkit/build.ts";
import type { DataEntry } from "../../toolkit/plan/entry.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { type CliError, fileError, usageError } from "../errors.ts";
import { type Io, joinPath } from "../io.ts";
import { formatSize } from "../render/text.ts";

/**
 * What the flags say of a new image's layout, and whether it is checked.
 *
 * @param format The layout. @default that of --format
 */
export function buildOptionsOf(
  args: Arguments,
  format = args.get("format") as ImageFormat | undefined,
): Pick<BuildOptions, "size" | "format" | "fill" | "integrity" | "allowWeak" | "verify"> {
  const size = args.number("size");
  if (format !== undefined && format !== "tlv") {
    refuseIdle(args, ["fill"], `is for tlv; ${format} fills its partition anyway`);
    refuseIdle(args, ["no-integrity"], `is for tlv; ${format} has no integrity entry`);
  }
  if (size !== undefined && size > MAX_FLASH) {
    throw usageError(`--size is at most ${MAX_FLASH}, the largest flash`, "size");
  }
  return {
    size,
    format,
    fill: args.has("fill"),
    integrity: !args.has("no-integrity"),
    allowWeak: args.has("allow-weak"),
    verify: !args.has("no-verify"),
  };
}

/** What --table-offset says. */
function tableOffsetOf(args: Arguments): number | undefined {
  const offset = args.number("table-offset");
  if (offset === undefined || offset <= 0xFFFFFFFF) return offset;
  throw usageError("--table-offset is a 32-bit number", "table-offset");
}

/** What --table-offset and --offset say. */
export function placeOf(args: Arguments): Whereabouts {
  return { tableOffset: tableOffsetOf(args), offset: args.number("offset") };
}

/**
 * A file with an image that is to be changed, converted or taken apart. Says so when it is a dump, of
 * which the rest is left out.
 */
export async function readImageFile(path: string, args: Arguments, io: Io): Promise<Uint8Array> {
  const { findImage } = await import("../../image/find/locate.ts");
  const file = await io.read(path);
  const { location, image } = await findImage(file, placeOf(args));
  if (location !== undefined) {
    const name = location.partition?.name;
    const which = name === undefined ? "the image" : `the partition ${printableLine(name)}`;
    const where = `at 0x${location.offset.toString(16)}, ${formatSize(image.length)}`;
    io.note(`note: of the dump only ${which} is taken, ${where}`);
  }
  return file;
}

/** Says what to try where no image was found: another key, or the place of the partition table. */
export async function noteUnfound(file: Uint8Array, args: Arguments, io: Io): Promise<void> {
  if (args.has("flash-key")) {
    io.note(
      "hint: check --flash-key, --chip, --address and --config, and --table-offset of a dump",
    );
    return;
  }
  const { PARTITION_TABLE_OFFSET } = await import("../../format/table/binary.ts");
  // A dump has flash that is erased.
  const isDump = file.length > PARTITION_TABLE_OFFSET && file.includes(0xFF);
  if (args.has("table-offset") || !isDump) return;
  io.note("hint: if this is a dump of flash with its table elsewhere, give --table-offset");
}

/** What may follow an entry type. */
const FORMS = "=string:…, =hex:…, =base64:… or =file:…";

/** The entries of --data, or of another flag that takes them. */
export async function dataOf(args: Arguments, io: Io, flag = "data"): Promise<DataEntry[]> {
  const entries: DataEntry[] = [];
  for (const text of args.all(flag)) entries.push(await parseData(flag, text, io));
  return entries;
}

/** Whether an entry is a private key, which may have a password. */
export function isPrivateKey({ type }: DataEntry): boolean {
  return type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
}

async function parseData(flag: string, text: string, io: Io): Promise<DataEntry> {
  const [, name, subtype, form, value] =
    /^([^=.]+)(?:\.([0-9]{1,3}))?=(string|hex|base64|file):(.*)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    // The value may be a key.
    const given = text.split("=")[0]!;
    const type = given.split(".")[0]!;
    if (parseTlvType(type) === undefined) throw unknownType(flag, type);
    const rule = `--${flag} is TYPE[.SUBTYPE]${FORMS}; not ${shownValue(given)}`;
    throw usageError(rule, flag, `for text write --${flag} ${printableLine(given)}=string:…`);
  }
  const type = parseTlvType(name);
  if (type === undefined) throw unknownType(flag, name);
  return {
    type,
    subtype: Number(subtype ?? 0),
    data: await dataBytes(form!, value, io),
    verbatim: form === "hex" || form === "base64",
  };
}

function unknownType(flag: string, name: string): CliError {
  const nearest = nearestTlvType(name);
  const types = "it is ca, dev, user1 to user5, a name of the firmware or a number up to 253";
  const hint = nearest && `did you mean --${flag} ${nearest}${FORMS}?`;
  return usageError(`--${flag}: unknown entry type ${shownValue(name)}; ${types}`, flag, hint);
}

async function dataBytes(form: string, value: string, io: Io): Promise<Uint8Array> {
  switch (form) {
    case "hex":
      return parseHex(value.replace(/\s/g, ""));
    case "base64":
      return parseBase64(value.replace(/\s/g, ""));
    case "file":
      return await io.read(value);
    default:
      return encodeUtf8(value);
  }
}

/** A file that was named, or found in a folder that was. */
export interface ImageFile {
  readonly path: string;
  /** Why there is none, in a folder without images. */
  readonly problem?: CliError;
}

/** Flags that are about one image. */
export const FLAGS_FOR_ONE: readonly string[] = ["hmac-key", "flash-key", "offset"];
/** By one of these a folder is a batch's. */
const BATCH_FILES = ["manifest.ndjson", "journal.sqlite"];
/** The eFuse keys that are written beside images, whole or in halves. */
const KEY_FILE =
  /^(?:hmac_key|flash_key|ecdsa_key|device\.key)(?:_KEY\d)?(?:_(?:low|high|1|2))?\.bin$/;

/**
 * The images that the arguments name, a folder's by name: its `*.bin`, or those of a batch. Undefined
 * when they name one file, which is not a list.
 *
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when there are none; `ERR_USAGE` for a flag that is about one
 * image, when there are several.
 */
export async function imageFilesOf(args: Arguments, io: Io): Promise<ImageFile[] | undefined> {
  const found: ImageFile[] = [];
  let hasFolder = false;
  for (const path of args.positionals) {
    const names = await io.list(path);
    hasFolder ||= names !== undefined;
    if (names === undefined) found.push({ path });
    else found.push(...await imagesIn(path, names, io));
  }
  if (found.length === 1 && !hasFolder) return undefined;
  if (found.every(({ problem }) => problem !== undefined)) throw found[0]!.problem!;
  if (found.length > 1) refuseFlagsForOne(args, found.length);
  return found;
}

/** Refuses flags that are about one image, where there are several. */
export function refuseFlagsForOne(args: Arguments, count: number): void {
  const flag = FLAGS_FOR_ONE.find((name) => args.has(name));
  if (flag === undefined) return;
  throw usageError(`--${flag} is for one image, and there are ${count}`, flag);
}

async function imagesIn(folder: string, names: readonly string[], io: Io): Promise<ImageFile[]> {
  if (names.includes("images") && BATCH_FILES.some((name) => names.includes(name))) {
    const images = joinPath(folder, "images");
    return await imagesIn(images, await io.list(images) ?? [], io);
  }
  const files = names.filter((name) =>
    name.endsWith(".bin") && !name.startsWith(".") && !KEY_FILE.test(name)
  ).map((name) => ({ path: joinPath(folder, name) }));
  if (files.length > 0) return files;
  const message = `no image in ${shownName(folder)}: it has no file *.bin`;
  return [{ path: folder, problem: fileError("ERR_FILE_NOT_FOUND", folder, message) }];
}
