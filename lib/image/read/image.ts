import type { NvsStoredItem } from "../../format/nvs/decode.ts";
import type { WalkedTlv } from "../../format/partition.ts";
import type { Finding } from "../../findings/findings.ts";
import { readCustFlashImage } from "./cust_flash.ts";
import { readNvsImage } from "./nvs.ts";
import { readTlvImage } from "./tlv.ts";
import { type ImageFormat, recognise } from "../find/recognise.ts";

/** A value of an image, as the TLV entry that is equivalent to it. */
export type ImageEntry = Pick<WalkedTlv, "value" | "crc" | "offset">;

/** What an image holds, whatever its layout. */
export interface ImageContents {
  /** Layout, or `unknown`. */
  readonly format: ImageFormat | "unknown";
  /** The values in the order of the image. */
  readonly entries: readonly ImageEntry[];
  /** Bytes that they take. */
  readonly used: number;
  /** What is wrong with the layout. */
  readonly findings: readonly Finding[];
  /** What an NVS image holds beside the credentials, which no other layout can carry. */
  readonly others?: readonly NvsStoredItem[];
}

/**
 * Takes an image apart by its layout. Never throws for content; takes time linear in its length.
 *
 * @param image Any bytes.
 * @param partitionSize Size of the partition in bytes. @default the length of the image
 */
export function readImage(image: Uint8Array, partitionSize?: number): ImageContents {
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
