import type { Chip } from "../../format/chips/chip.ts";
import { type ChipName, CHIPS } from "../../format/chips/chips.ts";
import { keyModesOf } from "../../key_modes/modes.ts";
import { bold, dim } from "../render/colors.ts";
import type { Command } from "../run.ts";

/** Prints the capability table. */
export const chips: Command = (args, io) => {
  const names = Object.keys(CHIPS) as ChipName[];
  if (args.has("json")) {
    const rows = names.map((name) => [name, { ...CHIPS[name], keyModes: keyModesOf(name) }]);
    io.print(JSON.stringify(Object.fromEntries(rows), null, 2));
  } else io.print(table(names));
  return Promise.resolve(0);
};

function table(names: readonly ChipName[]): string {
  const head = [
    "chip",
    "RSA by DS",
    "ECDSA peripheral",
    "HMAC",
    "key blocks",
    "secure boot",
    "flash encryption",
  ];
  const rows = names.map((name) => {
    const chip: Chip = CHIPS[name];
    return [
      name,
      chip.ds === null ? "-" : `${chip.ds.rsaBits.at(1)} to ${chip.ds.maxRsaBits}`,
      chip.ecdsaCurves.join(" ") || "-",
      chip.hmac ? "yes" : "-",
      chip.keyBlocks.length === 0 ? "fixed" : `KEY0-${chip.keyBlocks.length - 1}`,
      secureBoot(chip),
      chip.flashEncryption.join(" "),
    ];
  });
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd();
  return [
    dim(line(head)),
    ...rows.map((row) => line(row).replace(row[0]!, bold(row[0]!))),
    "",
    "Every fact with its source: chips --json",
  ].join("\n");
}

function secureBoot({ secureBoot: { rsa3072, ecdsaCurves } }: Chip): string {
  return [...rsa3072 ? ["RSA"] : [], ...ecdsaCurves].join(" ");
}
