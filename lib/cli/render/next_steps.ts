/** The way of a finished image onto a board, in the numbered steps of the README. */
import { partitionFor } from "../../device/partition.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { PARTITION_TYPES } from "../../format/table/binary.ts";
import { type LayoutOptions, partitionSizeOf } from "../../image/encode.ts";
import { ESPEFUSE_NOTE, formatCommand } from "../../key_modes/efuse_plan.ts";
import type { EfuseOutput } from "../../toolkit/build.ts";
import { formatExample, type HelpLayout } from "../help.ts";
import { besidePath, folderOf } from "../io.ts";
import { wrap } from "./text.ts";

/** Offset that Espressif documents for the partition (FORMAT: placement). */
const PARTITION_OFFSET = 0xD000;
/** What follows in ESP-IDF's own tables, after the default size of a TLV partition. */
const NEXT_ROW_OFFSET = 0xF000;
/** Columns before the lines of a step. */
const INDENT = 5;
/** Narrower terminals break the lines themselves. */
const LEAST_WIDTH = 60;
/** Commands that esptool and espefuse spell with an underscore up to version 4. */
const RENAMED: ReadonlySet<string> = new Set(["write-flash", "read-flash", "burn-key"]);

/** Where an image goes on flash. */
export interface FlashPlace {
  /** In bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  /** Whether flash encryption includes the partition; undefined where that is not known. */
  readonly isEncrypted?: boolean;
  /** The file of the partition table that it is in. */
  readonly table?: string;
}

/** How the calls of esptool and espefuse are spelled. */
export interface ToolDialect {
  readonly version: 4 | 5;
  /** The port, when it is to be in the line. @default the tool looks for it */
  readonly port?: string;
}

/** Placeholders for names that are not known, in a line that is to be edited. */
const SERVER = "HOST:8883";
const PRIVATE_KEY = "KEY.pem";

/** An eFuse key of an image. */
export interface Burn {
  readonly efuse: EfuseOutput;
  /** The file with its plan, where there is one. */
  readonly planPath?: string;
}

/** An image that is written. */
export interface Finished {
  /** Its path. */
  readonly image: string;
  readonly layout: LayoutOptions;
  readonly chip?: ChipName;
  /** What must be burned. */
  readonly efuses: readonly Burn[];
  /** Where it goes. @default the documented place */
  readonly place?: FlashPlace;
  /** @default version 5 */
  readonly dialect?: ToolDialect;
}

/**
 * What to do with a finished image, step by step: table row, flash, burn, read back, verify, handshake.
 *
 * @param finished The image.
 * @param layout How this program is called, and how long lines are.
 */
export function nextSteps(finished: Finished, layout: HelpLayout): string {
  const standard = { offset: PARTITION_OFFSET, size: partitionSizeOf(finished.layout) };
  const found: FlashPlace = finished.place ?? standard;
  // The firmware opens its NVS without keys, and flash encryption leaves NVS out.
  const place = partitionOf(finished).isNvs ? { ...found, isEncrypted: false } : found;
  const steps = [
    tableStep(finished, place),
    flashStep(finished, place),
    burnStep(finished),
    readStep(finished, place),
    verifyStep(finished, layout),
    handshakeStep(finished, layout),
  ];
  const version = finished.dialect?.version ?? 5;
  return [
    ...numbered(steps, layout),
    version === 5
      ? "  (esptool 5; for 4: esptool.py write_flash, read_flash, espefuse.py burn_key)"
      : "  (esptool 4, and 5 takes these lines too)",
  ].join("\n");
}

/** A derived key that is still to be certified, and the files that it is in. */
export interface Uncertified {
  /** Of the image without a certificate. */
  readonly image: string;
  readonly publicKey: string;
  readonly hmacKey: string;
  readonly salt: string;
  readonly chip?: ChipName;
  readonly efuseKeyId?: number;
  /** What the device stores as its CA. @default the one that issues its certificate */
  readonly caCert?: string;
  /** Further flags of the build, which the second command repeats. */
  readonly flags: readonly string[];
  /** The files that these name. */
  readonly reads: readonly string[];
}

/** The certificate of the CA that signs in the example. */
const ISSUER = "ca/ca.pem";

/** What to do with a derived key, step by step: certify it, build the image for the board. */
export function certifySteps(key: Uncertified, layout: HelpLayout): string {
  const certificate = besidePath(key.image, "device.pem");
  const folder = folderOf(key.image).replace(/[/\\]$/, "") || ".";
  const issue = {
    words: [
      ...["issue", "--public-key", key.publicKey, "--subject", "CN=NAME"],
      ...["--ca", ISSUER, "--ca-key", "ca/ca.key.pem", "-o", certificate],
    ],
    reads: [key.publicKey, "ca"],
    writes: [certificate],
  };
  const build = {
    words: [
      ...["build", "--key-mode", "hmac-derived"],
      ...key.chip === undefined ? [] : ["--chip", key.chip],
      ...key.efuseKeyId === undefined ? [] : ["--efuse-key-id", `${key.efuseKeyId}`],
      ...["--hmac-key", key.hmacKey, "--salt", key.salt, "--device-cert", certificate],
      ...key.caCert === undefined
        ? ["--ca-cert", ISSUER]
        : ["--ca-cert", key.caCert, "--ca", ISSUER],
      ...key.flags,
      ...["-o", besidePath(key.image, "final.bin")],
    ],
    // What is read: the files beside the image, and those that are given from elsewhere.
    reads: [...new Set([folder, key.hmacKey, key.salt, ...key.reads])].filter((path) =>
      path === folder || folderOf(path) !== folderOf(key.image)
    ).concat("ca"),
    writes: [folder],
  };
  const steps: Step[] = [
    ["certify the public key, for example with a CA of your own:", ...programCall(issue, layout)],
    ["build the image for the board:", ...programCall(build, layout)],
  ];
  const warning =
    `  KEEP ${key.hmacKey} and ${key.salt}: without them the certificate is worthless`;
  return [...numbered(steps, layout), warning].join("\n");
}

/**
 * The command that builds an image again from what was extracted of it.
 *
 * @param isRefused Whether the device refuses a value of it.
 */
export function rebuildLine(csv: string, isRefused: boolean): string {
  const flags = isRefused ? ["--no-verify"] : [];
  return formatCommand(["build", "--csv", csv, ...flags, "-o", "IMAGE"]);
}

/** What a person must know before burning, in lines. */
export function burnNotes(
  { efuse: { plan, hmacKey }, planPath }: Burn,
  dialect?: ToolDialect,
): string[] {
  const blocks = plan.blocks.map(({ blockName, purpose }) => `${blockName} (${purpose})`).join(
    ", ",
  );
  return [
    `  ${formatToolCall(plan.command, dialect)}`,
    planPath === undefined ? `eFuse: ${blocks}` : `eFuse: ${blocks}; the plan is in ${planPath}`,
    // How version 4 spells the command is said below all steps.
    ...plan.notes.filter((note) => note !== ESPEFUSE_NOTE),
    ...hmacKey === undefined
      ? [
        "burning cannot be undone; the private key itself goes into the eFuse;",
        "after that only connect needs its file on the host",
      ]
      : [
        "burning cannot be undone; KEEP THE HMAC KEY:",
        "if it is lost or overwritten before it is burned, this image is worthless",
      ],
  ];
}

/**
 * The call of esptool or espefuse for the shell.
 *
 * @param words As version 5 spells it: the tool, `--chip` and its value where that is known, the rest.
 */
function formatToolCall(
  words: readonly string[],
  { version, port }: ToolDialect = { version: 5 },
): string {
  const [tool, ...rest] = words;
  const named = version === 5 ? tool! : `${tool}.py`;
  const spelled = rest.map((word) =>
    version === 4 && RENAMED.has(word) ? word.replace("-", "_") : word
  );
  const chip = spelled[0] === "--chip" ? spelled.splice(0, 2) : [];
  // The placeholder of a port is for people, who read it without quotes.
  const shown = port === undefined ? [] : ["-p", port === "<PORT>" ? port : formatCommand([port])];
  return [formatCommand([named, ...chip]), ...shown, formatCommand(spelled)].join(" ");
}

type Step = readonly [title: string, ...lines: string[]];

/** The partition that the firmware looks for the image in. */
function partitionOf({ layout }: Finished): { readonly name: string; readonly isNvs: boolean } {
  const { label, type } = partitionFor(layout.format ?? "tlv");
  return { name: label, isNvs: type === PARTITION_TYPES.data };
}

function tableStep(finished: Finished, { offset, size, table }: FlashPlace): Step {
  const { name, isNvs } = partitionOf(finished);
  if (table !== undefined) {
    return [`table: ${table} has the row ${name} at ${hex(offset)}, ${hex(size)} bytes`];
  }
  const row = [`${name}, ${isNvs ? "data, nvs" : "0x3F, "}, ${hex(offset)}, ${hex(size)},`];
  return [
    "table: this row in the partition table,",
    `  ${isNvs ? row : `${row} encrypted`}`,
    ...offset === PARTITION_OFFSET
      ? [
        "and ESP-IDF's default nvs must end before it:",
        "  nvs, data, nvs, 0x9000, 0x4000,",
      ]
      : [],
    ...offset === PARTITION_OFFSET && offset + size > NEXT_ROW_OFFSET
      ? ["Rows after it move too: leave their offsets empty."]
      : [],
  ];
}

function flashStep(finished: Finished, { offset, isEncrypted }: FlashPlace): Step {
  const line = (...flags: string[]) =>
    `  ${toolCall(finished, "write-flash", ...flags, hex(offset), finished.image)}`;
  if (isEncrypted === false) return ["flash:", line()];
  const first = "before that, because the first boot with encryption encrypts it:";
  if (isEncrypted) return ["flash, when flash encryption is on:", line("--encrypt"), first, line()];
  return [
    "flash:",
    line(),
    "or, when flash encryption is on and includes the partition:",
    line("--encrypt"),
  ];
}

function burnStep({ efuses, dialect }: Finished): Step {
  if (efuses.length === 0) return ["burn: nothing, no key of this image is in an eFuse"];
  return ["burn:", ...efuses.flatMap((each) => burnNotes(each, dialect))];
}

function readStep(finished: Finished, { offset, size, isEncrypted }: FlashPlace): Step {
  const line = `  ${toolCall(finished, "read-flash", hex(offset), hex(size), "board.bin")}`;
  const title = "read back:";
  if (isEncrypted === false) return [title, line];
  return [title, line, "(ciphertext once flash encryption is on)"];
}

/** The file of the HMAC key. */
function hmacKeyOf({ efuses }: Finished): string | undefined {
  return efuses.find(({ efuse }) => efuse.hmacKey !== undefined)?.efuse.keyFiles[0]?.path;
}

function verifyStep(finished: Finished, layout: HelpLayout): Step {
  const { chip } = finished;
  const hmacKey = hmacKeyOf(finished);
  const words = [
    "verify",
    "board.bin",
    ...chip === undefined ? [] : ["--chip", chip],
    ...hmacKey === undefined ? [] : ["--hmac-key", hmacKey],
  ];
  const reads = ["board.bin", ...hmacKey === undefined ? [] : [hmacKey]];
  return ["verify:", ...programCall({ words, reads }, layout)];
}

/** The image is as good as what was read back, and needs no board. */
function handshakeStep(finished: Finished, layout: HelpLayout): Step {
  const { image, efuses } = finished;
  const hmacKey = hmacKeyOf(finished);
  const isInEfuse = efuses.some(({ efuse }) => efuse.plan.keyMode === "ecdsa-peripheral");
  const keys = [
    ...hmacKey === undefined ? [] : ["--hmac-key", hmacKey],
    ...isInEfuse ? ["--private-key", PRIVATE_KEY] : [],
  ];
  const reads = [image, ...keys.filter((_, at) => at % 2 === 1)];
  const words = ["connect", image, SERVER, ...keys];
  const title = "handshake: with your server, as the device will make it:";
  return [title, ...programCall({ words, reads, hosts: [SERVER] }, layout)];
}

/** Steps in lines, with numbers from 1. Commands and rows, which are to be copied, are not broken. */
function numbered(steps: readonly Step[], { columns }: HelpLayout): string[] {
  const fitted = (line: string) =>
    line.startsWith(" ") ? [line] : wrap(line, Math.max(LEAST_WIDTH, columns - INDENT));
  return [
    "next:",
    ...steps.flatMap(([title, ...lines], at) => [
      `  ${at + 1}. ${title}`,
      ...lines.flatMap(fitted).map((line) => " ".repeat(INDENT) + line),
    ]),
  ];
}

/** A call of this program, in lines as a shell takes them. */
function programCall(
  { words, reads, writes = [], hosts = [] }: {
    readonly words: readonly string[];
    /** Paths. */
    readonly reads: readonly string[];
    readonly writes?: readonly string[];
    /** With their ports. */
    readonly hosts?: readonly string[];
  },
  layout: HelpLayout,
): string[] {
  const permissions = [
    permission("read", reads),
    permission("write", writes),
    permission("net", hosts),
  ];
  const example = {
    permissions: permissions.filter((each) => each !== "").join(" "),
    line: formatCommand(words),
  };
  const { columns, program, script } = layout;
  const quoted = script && { ...script, path: formatCommand([script.path]) };
  return formatExample(example, { columns: columns - INDENT, program, script: quoted });
}

/** Deno splits a list at commas, so that a path with one cannot be in it. */
function permission(verb: "read" | "write" | "net", paths: readonly string[]): string {
  if (paths.length === 0) return "";
  const isPlain = paths.every((path) => !path.includes(","));
  return formatCommand([isPlain ? `--allow-${verb}=${paths.join(",")}` : `--allow-${verb}`]);
}

function toolCall({ chip, dialect }: Finished, ...words: readonly string[]): string {
  const known = chip === undefined ? [] : ["--chip", chip];
  return formatToolCall(["esptool", ...known, ...words], dialect);
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase()}`;
}
