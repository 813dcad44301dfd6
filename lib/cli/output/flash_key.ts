import { shownName } from "../../bytes/text.ts";
import type { FlashEncryptionOptions } from "../../crypto/flash/encryption.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { createFlashKey, type FlashKeyOptions } from "../../toolkit/flash_key.ts";
import type { Arguments } from "../arguments.ts";
import { usageError } from "../errors.ts";
import { besidePath, type Io, type OutputFile, textFile } from "../io.ts";

/** A key to encrypt flash with; of a new one its files, and what a person must know. */
export interface FlashKeyToUse {
  readonly options: FlashEncryptionOptions;
  readonly files?: readonly OutputFile[];
  readonly note?: string;
}

/** A key for --new-key, with the files of its halves and its eFuse plan. */
export function newFlashKey(
  place: Omit<FlashEncryptionOptions, "key">,
  args: Arguments,
  io: Io,
): FlashKeyToUse {
  const path = args.need("new-key");
  if (path === "-") throw usageError("--new-key is a file", "new-key");
  const { key, plan, keyFiles } = createFlashKey({
    chip: place.chip,
    bits: args.number("bits") as FlashKeyOptions["bits"],
    keyId: args.number("efuse-key-id"),
    keyFile: path,
    random: io.random,
  });
  const command = formatCommand(plan.command);
  const planPath = besidePath(path, planName(path));
  const whole = keyFiles.length === 1 ? [] : [{ path, bytes: key }];
  const ifTaken = `give --key ${shownName(path)} to use the key that is there, ` +
    "or --force-key to replace it: it is lost then";
  const files = [
    ...[...whole, ...keyFiles].map((each) => ({ ...each, secret: true, keep: true, ifTaken })),
    textFile(planPath, `${JSON.stringify({ ...plan, command }, null, 2)}\n`),
  ];
  const note = [
    `new flash encryption key: ${path}; its eFuse plan is in ${planPath}`,
    `  ${command}`,
    ...plan.notes.map((each) => `  ${each}`),
    "  burning cannot be undone; without the key no host can encrypt an update",
  ].join("\n");
  return { options: { ...place, key }, files, note };
}

/** `flash_key.bin` has its plan in `flash_key.json`. */
function planName(path: string): string {
  const name = path.split(/[/\\]/).at(-1)!;
  return `${name.replace(/\.[^.]*$/, "")}.json`;
}
