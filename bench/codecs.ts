import { crc32 } from "../lib/bytes/crc32.ts";
import { decodePartition, encodePartition, type Tlv } from "../mod.ts";
import { perSecond } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const KIB = 1024;
const MEGABYTE = 1e6;
const VALUE_SIZE = 1000;
/** The largest chain that the firmware walks is just below 64 KiB. */
const IMAGE_SIZES: readonly number[] = [1 * KIB, 8 * KIB, 60 * KIB];
const CRC_SIZES: readonly number[] = [1 * KIB, 64 * KIB, 1024 * KIB];

/** Bytes in a second through the checksum and the TLV codec. */
export function codecs(): Row[] {
  return [
    ...CRC_SIZES.map((size) => {
      const bytes = patterned(size);
      return throughput("crc32", size, () => crc32(bytes));
    }),
    ...IMAGE_SIZES.flatMap(partitionRows),
  ];
}

function partitionRows(size: number): Row[] {
  const entries = entriesFor(size);
  const image = encodePartition(entries, { size });
  const used = image.length;
  return [
    throughput("encodePartition", used, () => encodePartition(entries, { size })),
    throughput(
      "encodePartition, with integrity",
      used,
      () => encodePartition(entries, { size: size + 64, integrity: true }),
    ),
    throughput("decodePartition", used, () => decodePartition(image)),
  ];
}

function throughput(name: string, size: number, work: () => unknown): Row {
  const rate = perSecond(work) * size / MEGABYTE;
  return { name: `${name}, ${formatKib(size)}`, result: `${formatNumber(rate)} MB/s` };
}

/** Entries as long as a certificate is, as many as fit. */
function entriesFor(size: number): Tlv[] {
  const count = Math.floor(size / (VALUE_SIZE + 24));
  return Array.from({ length: count }, (_, subtype) => ({
    type: 51,
    subtype,
    data: patterned(VALUE_SIZE),
  }));
}

function patterned(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => at * 31 >>> 3);
}

function formatKib(size: number): string {
  return `${Math.round(size / KIB)} KiB`;
}
