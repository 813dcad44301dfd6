import { type Command, refuseIdle } from "../command.ts";
import { usageError } from "../errors.ts";
import {
  DATA,
  FORCE,
  JSON_FLAG,
  NEW_SIZE,
  OUT_FILE,
  PASSWORD_FILE,
  PLACE_FLAGS,
  TLV_IMAGE,
} from "../flags.ts";
import { dataOf, isPrivateKey, placeOf, readImageFile } from "../input/images.ts";
import { passwordOf } from "../input/keys.ts";
import { outputPath, printResult, writeOutput } from "../output/out.ts";
import { formatSize } from "../render/text.ts";

/** Any one of them is something to do. */
const TASKS = ["data", "replace", "integrity", "drop-signatures"];

/** Adds entries to an image, or puts others in their place, and writes it when it is no worse. */
export const command: Command = {
  positionals: [{ ...TLV_IMAGE, repeats: true }],
  flags: [
    { ...DATA, help: "a new entry: =string:…, =hex:…, =base64:… or =file:…" },
    {
      name: "replace",
      value: "TYPE[.SUBTYPE]=…",
      repeats: true,
      help: "entry that replaces another, in the same form",
    },
    { name: "integrity", help: "end with an integrity entry (SHA-256)" },
    { name: "drop-signatures", help: "leave the signatures out, to sign the image again" },
    PASSWORD_FILE,
    NEW_SIZE,
    ...PLACE_FLAGS,
    { name: "no-verify", help: "write the image even if verify finds a new error in it" },
    { ...OUT_FILE, help: "where to write; - is stdout; a folder for several images" },
    FORCE,
    JSON_FLAG,
  ],
  exit1: "it failed, or the image would be worse than before and is not written",
  examples: [
    {
      permissions: "--allow-read=esp_secure_cert.bin --allow-write=with_serial.bin",
      line: "append esp_secure_cert.bin --data user1=string:SN-0001 -o with_serial.bin",
    },
    {
      permissions: "--allow-read=esp_secure_cert.bin,device.pem --allow-write=renewed.bin",
      line: "append esp_secure_cert.bin --replace dev=file:device.pem -o renewed.bin",
    },
  ],
  async run(args, io) {
    if (!TASKS.some((name) => args.has(name))) {
      throw usageError(
        `append needs ${TASKS.map((name) => `--${name}`).join(" or ")}`,
        "data",
        "run append --help",
      );
    }
    const isOne = args.positionals.length === 1;
    const path = isOne ? outputPath(args, { secret: true, binary: true }, io) : "";
    const { append } = await import("../../toolkit/append.ts");
    const { imageReport, showingFindings } = await import("../output/images.ts");
    const entries = await dataOf(args, io);
    const replace = await dataOf(args, io, "replace");
    const key = [...entries, ...replace].find(isPrivateKey);
    if (key === undefined) {
      refuseIdle(args, ["password-file"], "is for an entry with a private key");
    }
    const options = {
      entries,
      replace,
      password: await passwordOf(args, io, key?.data),
      integrity: args.has("integrity"),
      dropSignatures: args.has("drop-signatures"),
      verify: !args.has("no-verify"),
      size: args.number("size"),
      ...placeOf(args),
    };
    const make = async (file: string, out: string) => {
      const image = await readImageFile(file, args, io);
      const result = await showingFindings(() => append(image, options), io);
      const text = `image of ${formatSize(result.image.length)}: ${out}`;
      return { image: result.image, json: imageReport(result, out), text };
    };
    if (!isOne) {
      const { writeSeveral } = await import("../output/images.ts");
      return await writeSeveral(make, args, io);
    }
    const { image, json, text } = await make(args.positionals[0]!, path);
    await writeOutput(path, { bytes: image, secret: true }, args, io);
    printResult(path, { image: json }, text, args, io);
    return 0;
  },
};
