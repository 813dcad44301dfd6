import type { Command } from "../command.ts";
import { FLASH_ENCRYPTION_FLAGS, FORCE, JSON_FLAG, OUT_FILE } from "../flags.ts";
import { flashOptionsOf } from "../input/flash.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

/** Decrypts what was read from encrypted flash. */
export const command: Command = {
  positionals: [{ name: "FILE", help: "bytes of encrypted flash; - is stdin" }],
  flags: [
    ...FLASH_ENCRYPTION_FLAGS,
    { name: "key", value: "FILE", help: "flash encryption key, raw, as espefuse burns it" },
    OUT_FILE,
    FORCE,
    JSON_FLAG,
  ],
  examples: [{
    permissions: "--allow-read=enc.bin,flash_key.bin --allow-write=plain.bin",
    line: "decrypt enc.bin --chip esp32c3 --address 0xD000 --key flash_key.bin -o plain.bin",
  }],
  async run(args, io) {
    const out = outputPath(args, { secret: true, binary: true }, io);
    const file = await io.read(args.positionals[0]!);
    const options = await flashOptionsOf("key", args, io, file.length);
    const { decryptFlash } = await import("../../crypto/flash/encryption.ts");
    const bytes = decryptFlash(file, options);
    await writeOutput(out, { bytes, secret: true }, args, io);
    const { chip, address } = options;
    const json = { out, chip, address, size: bytes.length };
    printResult(out, json, `${formatSize(bytes.length)}: ${out}`, args, io);
    return 0;
  },
};
