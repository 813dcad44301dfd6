import { readCustFlashImage } from "./cust_flash.ts";
import type { ImageEntries } from "./entry.ts";
import { readNvsImage } from "./nvs.ts";
import { readTlvImage } from "./tlv.ts";
import { recognise } from "../recognise.ts";

/**
 * Takes an image apart by its layout. Never throws for content; takes time linear in its length.
 *
 * @param image Any bytes.
 * @param partitionSize Size of the partition in bytes. @default the length of the image
 */
export function readImage(image: Uint8Array, partitionSize?: number): ImageEntries {
  const { format, finding } = recognise(image);
  switch (format) {
    case "tlv":
      return readTlvImage(image, partitionSize);
    case "cust_flash":
    case "cust_flash_legacy":
      return readCustFlashImage(image, format);
    case "nvs":
    case "nvs_legacy":
      return readNvsImage(image, format);
    case "unknown":
      return { format, entries: [], used: 0, findings: finding === undefined ? [] : [finding] };
    default:
      return format satisfies never;
  }
}
