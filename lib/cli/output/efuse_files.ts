import { equalBytes } from "../../bytes/pack.ts";
import { formatPem } from "../../bytes/pem.ts";
import { mayBeSecret, shownName } from "../../bytes/text.ts";
import type { FlashEncryptionOptions } from "../../crypto/flash/encryption.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { protectionOf, TLV_TYPES } from "../../format/names.ts";
import { readImage } from "../../image/read/image.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { type BuildResult, type EfuseOutput, efuseOutput } from "../../toolkit/build.ts";
import { createFlashKey, type FlashKeyOptions } from "../../toolkit/flash_key.ts";
import type { EfuseKey } from "../../toolkit/plan/planner.ts";
import type { Arguments } from "../command.ts";
import { usageError } from "../errors.ts";
import { chipOf } from "../input/keys.ts";
import { besidePath, type Io, type OutputFile, textFile } from "../io.ts";
import type { Uncertified } from "../render/next_steps.ts";

/** Files that may hold an eFuse key already. */
export interface GivenKeys {
  /** The key of --hmac-key, and its file when espefuse can burn that: raw, not hex. */
  readonly hmacKey?: { readonly bytes: Uint8Array; readonly rawFile?: string };
  /** A file that holds, or will hold, the private key as espefuse takes it: PEM without a password. */
  readonly privateKeyFile?: string;
}

/** An eFuse key, and the files that it needs. */
export interface EfuseFiles {
  readonly efuse: EfuseOutput;
  readonly planPath: string;
  /** The files of the key that are among those to be written. */
  readonly newKeyPaths: readonly string[];
  /** The plan, and the key where no other file holds it as espefuse takes it. */
  readonly files: readonly OutputFile[];
}

/**
 * What must be burned for the eFuse keys of an image, and the files for it.
 *
 * @param keys The keys.
 * @param chip The chip; without it nothing is known of its blocks, and there is nothing to burn.
 * @param image Path of the image; the files go beside it.
 */
export function efuseFiles(
  keys: readonly EfuseKey[],
  chip: ChipName | undefined,
  given: GivenKeys,
  image: string,
): EfuseFiles[] {
  if (chip === undefined) return [];
  return keys.map((key) => {
    const suffix = keys.length === 1 ? "" : `_KEY${key.efuseKeyId}`;
    const known = knownFile(key, given);
    const usual = key.hmacKey === undefined ? `ecdsa_key${suffix}.pem` : `hmac_key${suffix}.bin`;
    const efuse = efuseOutput(key, chip, known ?? besidePath(image, usual));
    const newKeys = known === undefined ? efuse.keyFiles : [];
    const planPath = besidePath(image, `efuse_plan${suffix}.json`);
    return {
      efuse,
      planPath,
      newKeyPaths: newKeys.map(({ path }) => path),
      files: [
        ...newKeys.map((file) => keyFile(file, key)),
        // The plan of the same key is the same.
        {
          ...textFile(planPath, `${JSON.stringify(planJson({ efuse }), null, 2)}\n`),
          mayStay: true,
        },
      ],
    };
  });
}

/** A file for a key that no other file holds yet. */
function keyFile(
  file: EfuseOutput["keyFiles"][number],
  { hmacKey }: Pick<EfuseKey, "hmacKey">,
): OutputFile {
  const path = shownName(file.path);
  const ifTaken = hmacKey && `give --hmac-key ${path} to use the key that is there, ` +
      "or --force-key to replace it: it is lost then";
  return { ...file, secret: true, keep: true, ifTaken };
}

/** The file that holds an eFuse key already. */
function knownFile(key: EfuseKey, given: GivenKeys): string | undefined {
  // The halves of a P-384 key are in files of their own.
  if (key.curve === "P-384") return undefined;
  if (key.hmacKey === undefined) return given.privateKeyFile;
  const { bytes, rawFile } = given.hmacKey ?? {};
  return key.file ?? (bytes && equalBytes(bytes, key.hmacKey) ? rawFile : undefined);
}

/** Whether an image has values that an HMAC key opens or derives. */
export function usesHmacKey(image: Uint8Array): boolean {
  return readImage(image).entries.some(({ value: { type, flags } }) =>
    type === TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV || protectionOf(flags) !== "none"
  );
}

/** An eFuse plan as JSON: what to burn, the espefuse line, and what to look after. */
export function planJson({ efuse }: Pick<EfuseFiles, "efuse">): Record<string, unknown> {
  const { command, ...rest } = efuse.plan;
  return { ...rest, command: formatCommand(command) };
}

const SALT = TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT;

/** A derived key that is still to be certified. */
interface NewDerivedKey {
  readonly key: Uncertified;
  /** Its public half, and its salt where no file holds that yet. */
  readonly files: readonly OutputFile[];
  /** What to do when a file is in the place of one of these, or of the image. */
  readonly ifTaken: string;
}

/**
 * The derived key of an image without a certificate: certifying it is the first step, and the image with
 * the certificate the second.
 *
 * @param result The image.
 * @param efuse Its HMAC key.
 * @param out Path of the image; the files go beside it.
 */
export function newDerivedKey(
  { image, publicKey }: BuildResult,
  efuse: EfuseFiles | undefined,
  args: Arguments,
  out: string,
): NewDerivedKey | undefined {
  const hmacKey = efuse?.efuse.keyFiles[0]?.path;
  if (hmacKey === undefined || publicKey === undefined) return undefined;
  const newSalt = readImage(image).entries.find(({ value }) => value.type === SALT)?.value.data;
  const key = {
    image: out,
    publicKey: besidePath(out, "device.pub.pem"),
    hmacKey,
    salt: args.get("salt") ?? besidePath(out, "salt.bin"),
    chip: chipOf(args),
    efuseKeyId: args.number("efuse-key-id"),
    caCert: args.get("ca-cert"),
    ...furtherFlags(args),
  };
  const publicFile = textFile(key.publicKey, formatPem("PUBLIC KEY", publicKey));
  const saltFile = { path: key.salt, bytes: newSalt!, secret: true, keep: true };
  return {
    key,
    files: [...args.has("salt") ? [] : [saltFile], { ...publicFile, mayStay: true }],
    ifTaken: `if the first step is done here, certify ${shownName(key.publicKey)} and build with ` +
      `--device-cert, --hmac-key ${shownName(hmacKey)} and --salt ${shownName(key.salt)}; ` +
      "else write to another folder",
  };
}

/** Flags that the second build takes as the first does. */
const SAME = ["data", "size", "fill", "no-integrity", "table", "allow-weak", "no-verify"];
/** What is shown of a value that may be a key. */
const HIDDEN = "…";

/** The flags of a build that say nothing of its key, and the files that they name. */
function furtherFlags(args: Arguments): Pick<Uncertified, "flags" | "reads"> {
  const flags = SAME.filter((name) => args.has(name)).flatMap((name) =>
    args.get(name) === undefined
      ? [`--${name}`]
      : args.all(name).flatMap((value) => [`--${name}`, shownData(value)])
  );
  const files = args.all("data").map((value) => /^[^=]+=file:(.*)$/s.exec(value)?.[1]);
  const reads = [...files, args.get("table"), args.get("ca-cert")];
  return { flags, reads: reads.filter((path) => path !== undefined) };
}

/** A value of a flag without what may be a key in it. */
function shownData(value: string): string {
  const [, name = "", data = value] = /^([^=]+=\w+:)(.*)$/s.exec(value) ?? [];
  return mayBeSecret(data) ? name + HIDDEN : value;
}

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
