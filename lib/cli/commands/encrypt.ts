import type { FlashKeyOptions } from "../../toolkit/flash_key.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { usageError } from "../errors.ts";
import { FLASH_ENCRYPTION_FLAGS, FORCE, FORCE_KEY, JSON_FLAG, OUT_FILE } from "../flags.ts";
import { flashOptionsOf, flashPlaceOf } from "../input/flash.ts";
import { besidePath, type Io, type OutputFile, textFile } from "../io.ts";
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
    permissions: "--allow-read=esp_secure_cert.bin,flash_key.bin --allow-write=enc.bin",
    line:
      "encrypt esp_secure_cert.bin --chip esp32c3 --address 0xD000 --key flash_key.bin -o enc.bin",
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

async function keyOf(args: Arguments, io: Io, length: number) {
  const path = args.get("new-key");
  if (path === undefined) {
    const idle = ["bits", "efuse-key-id"].find((name) => args.has(name));
    if (idle !== undefined) throw usageError(`--${idle} goes with --new-key`, idle);
    if (args.has("key")) return { options: await flashOptionsOf("key", args, io, length) };
    const hint = "--new-key FILE makes a key";
    throw usageError("encrypt needs --key or --new-key", "key", hint);
  }
  if (args.has("key")) throw usageError("--key and --new-key do not go together", "new-key");
  if (path === "-") throw usageError("--new-key is a file", "new-key");
  const place = flashPlaceOf("new-key", args, length);
  const { createFlashKey } = await import("../../toolkit/flash_key.ts");
  const { formatCommand } = await import("../../key_modes/efuse_plan.ts");
  const bits = args.number("bits") as FlashKeyOptions["bits"];
  const keyId = args.number("efuse-key-id");
  const { key, plan, keyFiles } = createFlashKey({
    chip: place.chip,
    bits,
    keyId,
    keyFile: path,
    random: io.random,
  });
  const command = formatCommand(plan.command);
  const planPath = besidePath(path, planName(path));
  const json = `${JSON.stringify({ ...plan, command }, null, 2)}\n`;
  const secrets = keyFiles.length === 1 ? keyFiles : [{ path, bytes: key }, ...keyFiles];
  const files: OutputFile[] = [
    ...secrets.map((each) => ({ ...each, secret: true, keep: true })),
    textFile(planPath, json),
  ];
  const note = [
    `new flash encryption key: ${path}; its eFuse plan is in ${planPath}`,
    `  ${command}`,
    ...plan.notes.map((each) => `  ${each}`),
    "  burning cannot be undone; without the key nobody can encrypt an update on a host",
  ].join("\n");
  return { options: { ...place, key }, files, note };
}

/** `flash_key.bin` has its plan in `flash_key.json`. */
function planName(path: string): string {
  const name = path.split(/[/\\]/).at(-1)!;
  return `${name.replace(/\.[^.]*$/, "")}.json`;
}
