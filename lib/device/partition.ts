import { IMAGE_FORMATS, type ImageFormat } from "../format/names.ts";

/** The firmware builds that read a layout in a partition. */
export type ReaderBuilds = "every build" | "legacy build" | "no build";

/** What the reader checks of a partition before it reads: the type, 0 to 255, and the label. */
export interface PartitionKind {
  readonly type: number;
  readonly label: string;
}

/** The partition type of TLV and cust_flash images, which ESP-IDF leaves to applications. */
const CUSTOM_TYPE = 0x3F;
/** ESP-IDF's type `data`, that of NVS partitions. */
const DATA_TYPE = 0x01;

/** The Kconfig option of the builds that read more than TLV images ("legacy build" here). */
export const LEGACY_FORMATS_OPTION = "CONFIG_ESP_SECURE_CERT_SUPPORT_LEGACY_FORMATS";

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

/** The partition that an image of a layout is for: of two, the one that has the layout's own label. */
export function partitionFor(format: ImageFormat): PartitionKind {
  return READ[format].at(-1)!;
}

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

/** The partitions that a firmware build looks for, in its order; it reads the first that is there. */
const SEARCHED: readonly PartitionKind[] = [
  { type: CUSTOM_TYPE, label: OWN_LABEL },
  { type: DATA_TYPE, label: OWN_LABEL },
  { type: DATA_TYPE, label: LEGACY_LABEL },
  { type: CUSTOM_TYPE, label: LEGACY_LABEL },
];

/**
 * The partitions of a table that the firmware looks for, in its order, the first of each kind. A build
 * with legacy formats reads the first of them and no other, even when it is erased; a default build reads
 * only the kind that TLV images belong in (esp_secure_cert_mgr srcs/esp_secure_cert_read.c:
 * esp_secure_cert_get_partition).
 *
 * @param partitions The partitions in the order of their table.
 */
export function searchedPartitions<T extends PartitionKind>(partitions: readonly T[]): T[] {
  return SEARCHED.flatMap(({ type, label }) =>
    partitions.find((each) => each.type === type && each.label === label) ?? []
  );
}

/** Whether the firmware looks for a partition of this label, of whatever type. */
export function isSearchedName(label: string): boolean {
  return SEARCHED.some((each) => each.label === label);
}

/**
 * The layouts that a firmware build expects in a partition.
 *
 * @param partition Its type and label.
 * @param legacyBuild Whether the build has the legacy formats enabled.
 * @returns None where the build does not look.
 */
export function layoutsReadIn(partition: PartitionKind, legacyBuild: boolean): ImageFormat[] {
  return IMAGE_FORMATS.filter((format) => {
    const builds = buildsThatRead(format, partition);
    return builds === "every build" || builds === "legacy build" && legacyBuild;
  });
}
