import { formatPem } from "../../bytes/pem.ts";
import { shownName } from "../../bytes/text.ts";
import { TLV_TYPES } from "../../format/names.ts";
import { readImage } from "../../image/read/image.ts";
import type { BuildResult } from "../../toolkit/build.ts";
import type { Arguments } from "../arguments.ts";
import { chipOf } from "../input/keys.ts";
import { besidePath, type OutputFile, textFile } from "../io.ts";
import type { Uncertified } from "../render/next_steps.ts";
import type { EfuseFiles } from "./efuse_files.ts";

const SALT = TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT;

/** A derived key that is still to be certified. */
export interface NewDerivedKey {
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
