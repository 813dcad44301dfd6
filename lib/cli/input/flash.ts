// What deciphers is loaded when there is a key to decipher with: this file is loaded for every inspect.
import { countOf } from "../../bytes/errors.ts";
import type { FlashEncryptionOptions } from "../../crypto/flash/encryption.ts";
import type { DumpEncoding } from "../../format/dump/dump.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { fileError, usageError } from "../errors.ts";
import type { Io } from "../io.ts";
import { placeOf } from "./images.ts";
import { chipOf } from "./keys.ts";

/** Where an ESP32 and its address lines end, 16 MiB. */
const ESP32_FLASH = 16 << 20;
/** Configurations are four bits. */
const MOST_CONFIG = 15;

/** A file of inspect or verify. */
export interface FlashFile {
  /** What it holds; with --flash-key as the firmware reads it. */
  readonly bytes: Uint8Array;
  /** Where --offset is in these bytes. */
  readonly offset?: number;
  /** How the file is encoded, when it is no longer: Intel HEX or UF2. */
  readonly encoding?: DumpEncoding;
}

/**
 * What reads the files of inspect or verify.
 *
 * @throws {CliError} `ERR_USAGE` for flags that go with --flash-key, without it. What is returned throws it
 * for what --flash-key needs.
 */
export function flashReader(args: Arguments, io: Io): (path: string) => Promise<FlashFile> {
  const { offset } = placeOf(args);
  if (args.has("flash-key")) return (path) => readEncrypted(path, args, io);
  refuseIdle(args, ["address", "config"], "goes with --flash-key");
  return async (path) => ({ bytes: await io.read(path), offset });
}

async function readEncrypted(path: string, args: Arguments, io: Io): Promise<FlashFile> {
  const file = await io.read(path);
  const { decodeDump, dumpEncodingOf } = await import("../../format/dump/dump.ts");
  const encoding = dumpEncodingOf(file);
  const { bytes, address } = encoding === undefined
    ? { bytes: file, address: undefined }
    : decodeDump(file, encoding);
  const options = await flashOptionsOf("flash-key", args, io, bytes.length, address);
  const { decryptDump } = await import("../../image/find/encrypted.ts");
  const { tableOffset, offset } = placeOf(args);
  const dump = decryptDump(bytes, { ...options, tableOffset });
  if (!dump.isEncrypted) io.note(`note: ${path} is not encrypted; it was read as it is`);
  if (offset === undefined) return { bytes: dump.bytes, encoding };
  // Of a file that has addresses, --offset is one.
  const inFile = encoding === undefined ? offset : offset - options.address;
  return { bytes: dump.bytes, offset: Math.max(0, inFile + dump.start), encoding };
}

/**
 * What --chip, --address, --config and the flag for the key say of so many bytes.
 *
 * @param address Where the bytes are, when their file says so.
 * @throws {CliError} `ERR_USAGE` for what is missing or cannot be; `ERR_IO` for a key that the chip does not
 * take.
 */
export async function flashOptionsOf(
  flag: "key" | "flash-key",
  args: Arguments,
  io: Io,
  length: number,
  address?: number,
): Promise<FlashEncryptionOptions> {
  const place = flashPlaceOf(flag, args, length, address);
  const path = args.need(flag);
  const key = await io.read(path);
  const problem = await keyProblem(place.chip, key);
  if (problem !== undefined) throw fileError("ERR_IO", path, `${path}: ${problem}`);
  return { ...place, key };
}

/** Chip, address and configuration. */
export function flashPlaceOf(
  flag: string,
  args: Arguments,
  length: number,
  known?: number,
): { chip: ChipName; address: number; config?: number } {
  const chip = chipOf(args);
  const address = args.number("address") ?? known;
  const config = args.number("config");
  if (chip === undefined) throw usageError(`--${flag} needs --chip`, "chip");
  if (address === undefined) {
    const hint = "for a dump of the whole flash it is 0, for a partition its offset in the table";
    throw usageError(`--${flag} needs --address`, "address", hint);
  }
  if (address % 16 !== 0) throw usageError("--address is a multiple of 16", "address");
  const end = chip === "esp32" ? ESP32_FLASH : 2 ** 32;
  if (address + length > end) {
    const size = chip === "esp32" ? "16 MiB, where the flash of an esp32 ends" : "4 GiB";
    throw usageError(`--address and ${countOf(length, "byte")} go past ${size}`, "address");
  }
  if (config === undefined) return { chip, address };
  if (chip !== "esp32") refuseIdle(args, ["config"], "is for esp32");
  if (config > MOST_CONFIG) throw usageError("--config is 0 to 15", "config");
  return { chip, address, config };
}

async function keyProblem(chip: ChipName, { length }: Uint8Array): Promise<string | undefined> {
  const { flashKeySizes } = await import("../../crypto/flash/encryption.ts");
  const sizes = flashKeySizes(chip);
  if (sizes.includes(length)) return undefined;
  return `${countOf(length, "byte")}, a flash encryption key of ${chip} has ${sizes.join(" or ")}`;
}
