import type { Chip } from "../../format/chips/chip.ts";
import { type ChipName, CHIPS } from "../../format/chips/chips.ts";
import type { Command } from "../command.ts";
import { JSON_FLAG } from "../flags.ts";
import { printJson } from "../output/out.ts";
import { bold } from "../render/colors.ts";
import { formatTable } from "../render/text.ts";

const COLUMNS = [
  "chip",
  "RSA by DS",
  "ECDSA peripheral",
  "HMAC",
  "key blocks",
  "secure boot",
  "flash encryption",
] as const;

/** Prints the capability table. */
export const command: Command = {
  flags: [JSON_FLAG],
  examples: [{ permissions: "", line: "chips" }],
  async run(args, io) {
    const names = Object.keys(CHIPS) as ChipName[];
    if (args.has("json")) {
      const { keyModesOf } = await import("../../key_modes/modes.ts");
      const rows = names.map((name) => [name, { ...CHIPS[name], keyModes: keyModesOf(name) }]);
      printJson(Object.fromEntries(rows), io);
    } else io.print(renderChips(names));
    return 0;
  },
};

function renderChips(names: readonly ChipName[]): string {
  const cells = names.map((name) => {
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
  const { head, rows } = formatTable(COLUMNS, cells);
  return [
    head,
    ...rows.map((row, index) => row.replace(names[index]!, bold(names[index]!))),
    "",
    "Every fact with its source: chips --json",
  ].join("\n");
}

function secureBoot({ secureBoot: { rsa3072, ecdsaCurves } }: Chip): string {
  return [...rsa3072 ? ["RSA"] : [], ...ecdsaCurves].join(" ");
}
