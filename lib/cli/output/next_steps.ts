import type { ImageFormat } from "../../format/names.ts";
import type { LayoutOptions } from "../../image/encode.ts";
import { readImage } from "../../image/read/image.ts";
import type { Arguments } from "../command.ts";
import { chipOf } from "../input/keys.ts";
import type { Io } from "../io.ts";
import {
  type Burn,
  burnNotes,
  certifySteps,
  type FlashPlace,
  nextSteps,
  type Uncertified,
} from "../render/next_steps.ts";

/** Where a new image goes on flash. */
export interface Destination {
  readonly layout: LayoutOptions;
  /** Its row in the table of --table. */
  readonly place?: FlashPlace;
  /** A key that must be certified before there is an image for the board. @default none */
  readonly uncertified?: Uncertified;
}

/**
 * Where a new image goes, by its layout, --size and --table.
 *
 * @throws {SecureCertError} when the table has no place for it.
 */
export async function destinationOf(
  image: Uint8Array,
  args: Arguments,
  io: Io,
): Promise<Destination> {
  const format = readImage(image).format as ImageFormat;
  const table = args.get("table");
  const layout = { format, size: args.number("size") };
  if (table === undefined) return { layout };
  const { checkRoom, readFlashPlace } = await import("../input/partition.ts");
  const place = await readFlashPlace(table, format, io);
  checkRoom(image, place);
  return { layout, place };
}

/** Says what to do with an image that is written; for scripts, only what must not be missed. */
export function noteNextSteps(
  image: string,
  efuses: readonly Burn[],
  { uncertified, ...destination }: Destination,
  args: Arguments,
  io: Io,
): void {
  if (args.has("json") || image === "-") {
    for (const efuse of efuses) io.note(burnNotes(efuse).join("\n"));
  } else if (uncertified !== undefined) {
    io.note(certifySteps(uncertified, io));
  } else {
    io.note(nextSteps({ image, efuses, chip: chipOf(args), ...destination }, io));
  }
}
