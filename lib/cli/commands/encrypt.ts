import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { usageError } from "../errors.ts";
import { FLASH_ENCRYPTION_FLAGS, FORCE, FORCE_KEY, JSON_FLAG, OUT_FILE } from "../flags.ts";
import { flashOptionsOf, flashPlaceOf } from "../input/flash.ts";
import type { Io } from "../io.ts";
import type { FlashKeyToUse } from "../output/efuse_files.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

/** Encrypts an image as it is in encrypted flash. */
export const command: Command = {
  positionals: [{ name: "FILE", help: "what the firmware is to read; - is stdin" }],
  flags: [
    ...FLASH_ENCRYPTION_FLAGS,
    { name: "key", value: "FILE", help: "flash encryption key, raw, as espefuse burns it" },
    { name: "new-key", value: "FILE", help: "or: where to write a new key, with its eFuse plan" },
    {
      name: "bits",
      value: "N",
      choices: ["128", "256"],
      help: "length of a new key's AES; 256 takes two eFuse blocks",
      default: "128, on esp32 256",
    },
    {
      name: "efuse-key-id",
      value: "N",
      help: "the n of the KEYn for a new key",
      default: "2, or the last that the chip has",
    },
    OUT_FILE,
    FORCE,
    FORCE_KEY,
    JSON_FLAG,
  ],
  examples: [{
    permissions:
      "--allow-read=esp_secure_cert.bin --allow-write=flash_key.bin,flash_key.json,enc.bin",
    line:
      "encrypt esp_secure_cert.bin --chip esp32c3 --address 0xD000 --new-key flash_key.bin -o enc.bin",
  }, {
    permissions: "--allow-read=esp_secure_cert.bin,flash_key.bin --allow-write=update.bin",
    line:
      "encrypt esp_secure_cert.bin --chip esp32c3 --address 0xD000 --key flash_key.bin -o update.bin",
  }],
  async run(args, io) {
    const out = outputPath(args, { binary: true }, io);
    const file = await io.read(args.positionals[0]!);
    const { options, files, note } = await keyOf(args, io, file.length);
    const { encryptFlash } = await import("../../crypto/flash/encryption.ts");
    const bytes = encryptFlash(file, options);
    await writeOutput(out, { bytes }, args, io, files);
    const { chip, address } = options;
    const where = `0x${address.toString(16)}`;
    const text = `${formatSize(bytes.length)} as the ${chip} reads it at ${where}: ${out}`;
    printResult(out, { out, chip, address, size: bytes.length }, text, args, io);
    if (note !== undefined) io.note(note);
    io.note("note: flash it as it is, without --encrypt: the chip would encrypt it a second time");
    return 0;
  },
};

/** The key of --key, or a new one with its files. */
async function keyOf(args: Arguments, io: Io, length: number): Promise<FlashKeyToUse> {
  if (args.has("new-key")) {
    if (args.has("key")) throw usageError("--key and --new-key do not go together", "new-key");
    const place = flashPlaceOf("new-key", args, length);
    const { newFlashKey } = await import("../output/efuse_files.ts");
    return newFlashKey(place, args, io);
  }
  refuseIdle(args, ["bits", "efuse-key-id"], "goes with --new-key");
  if (args.has("key")) return { options: await flashOptionsOf("key", args, io, length) };
  throw usageError("encrypt needs --key or --new-key", "key", "--new-key FILE makes a key");
}
