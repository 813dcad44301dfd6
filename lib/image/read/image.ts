import type { PartitionKind } from "../../device/partition.ts";
import type { ImageFormat } from "../../format/names.ts";
import { readCustFlashImage } from "./cust_flash.ts";
import type { ImageEntries } from "./entry.ts";
import { readNvsImage } from "./nvs.ts";
import { readTlvImage } from "./tlv.ts";
import { recognise } from "../recognise.ts";

/**
 * Takes an image apart by its layout. Never throws for content; takes time linear in its length.
 *
 * @param image Any bytes.
 * @param where What is known of its partition: the size in bytes, by default the length of the image,
 * and type and label.
 */
export function readImage(
  image: Uint8Array,
  where: { readonly size?: number; readonly partition?: PartitionKind } = {},
): ImageEntries {
  const { format, finding } = recognise(image, where.partition);
  if (format !== "unknown") return readImageAs(image, format, where.size);
  return { format, entries: [], used: 0, findings: finding === undefined ? [] : [finding] };
}

/**
 * Takes apart an image of a layout, or one that is read as if it had it. Never throws for content.
 *
 * @param image Bytes that {@linkcode recognise} calls an image of this layout, or of its older form.
 * @param format The layout.
 * @param partitionSize Size of the partition in bytes. @default the length of the image
 */
export function readImageAs(
  image: Uint8Array,
  format: ImageFormat,
  partitionSize?: number,
): ImageEntries {
  switch (format) {
    case "tlv":
      return readTlvImage(image, partitionSize);
    case "cust_flash":
    case "cust_flash_legacy":
      return readCustFlashImage(image, format);
    case "nvs":
    case "nvs_legacy":
      return readNvsImage(image, format);
    default:
      return format satisfies never;
  }
}
