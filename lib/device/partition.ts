import type { ImageFormat } from "../format/names.ts";

/** The firmware builds that read a layout in a partition. */
export type ReaderBuilds = "every build" | "legacy build" | "no build";

/** What the reader looks at of a partition before it reads: the type, 0 to 255, and the label. */
export interface PartitionKind {
  readonly type: number;
  readonly label: string;
}

/** The partition type of TLV and cust_flash images, which ESP-IDF leaves to applications. */
const CUSTOM_TYPE = 0x3F;
/** ESP-IDF's type `data`, that of NVS partitions. */
const DATA_TYPE = 0x01;

const OWN_LABEL = "esp_secure_cert";
const LEGACY_LABEL = "pre_prov";

/** The cells of the table in FORMAT section 13 that are read at all; the others are not. */
const READ: Readonly<Record<ImageFormat, readonly (PartitionKind & { builds: ReaderBuilds })[]>> = {
  tlv: [{ type: CUSTOM_TYPE, label: OWN_LABEL, builds: "every build" }],
  cust_flash: [{ type: CUSTOM_TYPE, label: OWN_LABEL, builds: "legacy build" }],
  cust_flash_legacy: [{ type: CUSTOM_TYPE, label: LEGACY_LABEL, builds: "legacy build" }],
  nvs: [{ type: DATA_TYPE, label: OWN_LABEL, builds: "legacy build" }],
  nvs_legacy: [
    { type: DATA_TYPE, label: OWN_LABEL, builds: "legacy build" },
    { type: DATA_TYPE, label: LEGACY_LABEL, builds: "legacy build" },
  ],
};

/**
 * Which builds of the firmware read a layout in a partition (FORMAT: which partition the reader looks
 * in). The reader goes by type and label; the subtype does not count.
 *
 * @param format Layout of the image.
 * @param partition Type and label of the partition that it is in.
 */
export function buildsThatRead(format: ImageFormat, partition: PartitionKind): ReaderBuilds {
  const cell = READ[format].find(({ type, label }) =>
    type === partition.type && label === partition.label
  );
  return cell?.builds ?? "no build";
}
