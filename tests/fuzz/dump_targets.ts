import * as toolkit from "../../mod.ts";
import { type Bytes, concat } from "../../lib/bytes/pack.ts";
import { decodeIntelHex } from "../../lib/format/dump/intel_hex.ts";
import { decodeUf2 } from "../../lib/format/dump/uf2.ts";
import { PARTITION_TABLE_OFFSET, PARTITION_TABLE_SECTOR } from "../../lib/format/table/binary.ts";
import { checkPartitionTable } from "../../lib/format/table/check.ts";
import { tableOfFile } from "../../lib/format/table/csv.ts";
import { intelHex, uf2 } from "../dumps.ts";
import { fixTable, fixTlv, type Guard } from "./guards.ts";
import type { Seeds } from "./seeds.ts";
import { erasedTo, type Target } from "./target.ts";

/** Dumps of flash with partition tables, and their files. */
export function dumpTargets(seeds: Seeds): readonly Target[] {
  const dumps = [seeds.tlv[0]!, seeds.tlv[5]!, seeds.nvs[0]!].map(dumpOf);
  const hex = dumps.slice(0, 1).map((dump) => intelHex(PARTITION_TABLE_OFFSET, dump));
  const blocks = dumps.map((dump) => uf2(PARTITION_TABLE_OFFSET, dump));
  const guard: Guard = (bytes) => {
    fixTable(bytes.subarray(0, PARTITION_TABLE_SECTOR));
    fixTlv(bytes.subarray(PARTITION_TABLE_SECTOR));
  };
  return [
    { name: "decodeIntelHex", seeds: hex, run: decodeIntelHex },
    { name: "decodeUf2", seeds: blocks, run: decodeUf2 },
    {
      name: "checkPartitionTable",
      seeds: [...seeds.table, ...seeds.partitionCsvs],
      guard: fixTable,
      run(input) {
        const table = tableOfFile(input);
        return table && checkPartitionTable(table.entries, { flashSize: 0x400000 });
      },
    },
    {
      name: "findSecureCert in a dump",
      seeds: dumps,
      guard,
      run: (input) => void toolkit.findSecureCert(input),
    },
    { name: "inspect of a dump", seeds: dumps, guard, run: (input) => toolkit.inspect(input) },
    {
      name: "verify of a dump",
      seeds: [...dumps, ...hex, ...blocks],
      guard,
      run: (input) => toolkit.verify(input),
    },
  ];
}

/** What is in flash from the table on: its sector, and the start of a partition of 16 KiB. */
function dumpOf(image: Bytes): Bytes {
  const offset = PARTITION_TABLE_OFFSET + PARTITION_TABLE_SECTOR;
  const isNvs = image[0] !== 0x11;
  const table = toolkit.encodePartitionTable([
    {
      name: "esp_secure_cert",
      type: isNvs ? 1 : 0x3F,
      subtype: isNvs ? 2 : 6,
      offset,
      size: 0x4000,
    },
  ]);
  return concat(erasedTo(table, PARTITION_TABLE_SECTOR), image);
}
