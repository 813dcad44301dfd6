import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import type { Finding } from "../../findings/findings.ts";
import type { StoredDs } from "../../format/credentials.ts";
import { type ImageFormat, tlvTypeName } from "../../format/names.ts";
import type { NvsErased, NvsStoredItem } from "../../format/nvs/decoded.ts";
import type { WalkedTlv } from "../../format/partition.ts";
import { encodeDsContext, encodeDsData } from "../../format/peripheral.ts";

/** A value of an image, as the TLV entry that is equivalent to it. */
export type ImageEntry = Pick<WalkedTlv, "value" | "crc" | "offset">;

/** What an image holds, whatever its layout. */
export interface ImageEntries {
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
  /** What was deleted from an NVS image and is still in flash. */
  readonly erased?: readonly NvsErased[];
}

/** The entry that is equivalent to a value of another layout. */
export function equivalentEntry(
  type: number,
  data: Uint8Array,
  at: Pick<ImageEntry, "offset" | "crc">,
): ImageEntry {
  const value = { type, typeName: tlvTypeName(type), subtype: 0, flags: 0, data };
  return { offset: at.offset, crc: at.crc, value };
}

/** For a value that no checksum covers. */
export const NO_CRC: ImageEntry["crc"] = { stored: 0, computed: 0 };

/** DS data as a TLV entry holds it; undefined for numbers that none can hold. */
export function equivalentDsData(ds: StoredDs): Bytes | undefined {
  return attempt(() => encodeDsData(ds));
}

/** The DS context as a TLV entry holds it; undefined for numbers that none can hold. */
export function equivalentDsContext(ds: StoredDs): Bytes | undefined {
  return attempt(() => encodeDsContext(ds));
}

/** A damaged image may have numbers that the encoders refuse. */
function attempt<T>(encode: () => T): T | undefined {
  try {
    return encode();
  } catch (error) {
    if (error instanceof SecureCertError || error instanceof RangeError) return undefined;
    throw error;
  }
}
