import type { Chip } from "../../format/chips/chip.ts";
import { type ChipName, CHIPS } from "../../format/chips/chips.ts";
import type { Command } from "../command.ts";
import { JSON_FLAG } from "../flags.ts";
import { printJson } from "../output/out.ts";
import { bold, formatTable } from "../render/text.ts";

const COLUMNS = [
  "chip",
  "RSA by DS",
  "ECDSA",
  "HMAC",
  "keys",
  "secure boot",
  "flash enc.",
] as const;

const LEGEND = [
  "ECDSA is the peripheral's; keys are the eFuse blocks. Curves are P-192, P-256",
  "and P-384, flash encryption is XTS-AES (esp32: AES), both by their bits; manager",
  "is a 256-bit key of the key manager. Every fact with its source: chips --json",
];

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
      chip.ds === null ? "-" : `to ${chip.ds.maxRsaBits}`,
      bitsOf(chip.ecdsaCurves) || "-",
      chip.hmac ? "yes" : "-",
      chip.keyBlocks.length === 0 ? "fixed" : `KEY0-${chip.keyBlocks.length - 1}`,
      secureBoot(chip),
      bitsOf(chip.flashEncryption),
    ];
  });
  const { head, rows } = formatTable(COLUMNS, cells);
  return [
    head,
    ...rows.map((row, index) => row.replace(names[index]!, bold(names[index]!))),
    "",
    ...LEGEND,
  ].join("\n");
}

function secureBoot({ secureBoot: { rsa3072, ecdsaCurves } }: Chip): string {
  return [...rsa3072 ? ["RSA"] : [], bitsOf(ecdsaCurves)].join(" ").trim();
}

/** The names of curves and ciphers without what they have in common. */
function bitsOf(names: readonly string[]): string {
  return names.map((name) => name.replace(/^(P-|xts-aes-|esp32-aes-)/, "").replace("256-key-", ""))
    .join(" ");
}
