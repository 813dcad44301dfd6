import { DEFAULT_PARTITION_SIZE } from "../format/partition.ts";

/** Offset that Espressif documents for the partition (FORMAT: placement). */
const PARTITION_OFFSET = 0xD000;

/** What to do with a finished image: the partition-table row and the command that flashes it. */
export function nextSteps(image: string, size = DEFAULT_PARTITION_SIZE, chip = "auto"): string {
  const offset = hex(PARTITION_OFFSET);
  return [
    "next:",
    "  1. this row in the partition table:",
    `       esp_secure_cert, 0x3F, , ${offset}, ${hex(size)}, encrypted`,
    "  2. the image onto the board:",
    `       esptool.py --chip ${chip} write_flash ${offset} ${quote(image)}`,
  ].join("\n");
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase()}`;
}

function quote(path: string): string {
  return /^[\w./\\:-]+$/.test(path) ? path : `"${path}"`;
}
