import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { type LayoutOptions, partitionSizeOf } from "../../image/encode.ts";

/** Offset that Espressif documents for the partition (FORMAT: placement). */
const PARTITION_OFFSET = 0xD000;

/** What to do with a finished image: the partition-table row and the command that flashes it. */
export function nextSteps(image: string, layout: LayoutOptions, chip = "auto"): string {
  const offset = hex(PARTITION_OFFSET);
  const { format = "tlv" } = layout;
  const isNvs = format === "nvs" || format === "nvs_legacy";
  const isLegacy = format === "nvs_legacy" || format === "cust_flash_legacy";
  const name = isLegacy ? "pre_prov" : "esp_secure_cert";
  const kind = isNvs ? "data, nvs" : "0x3F, ";
  const row = `${name}, ${kind}, ${offset}, ${hex(partitionSizeOf(layout))},${
    isNvs ? "" : " encrypted"
  }`;
  return [
    "next:",
    "  1. this row in the partition table:",
    `       ${row}`,
    "  2. the image onto the board:",
    `       ${formatCommand(["esptool.py", "--chip", chip, "write_flash", offset, image])}`,
  ].join("\n");
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase()}`;
}
