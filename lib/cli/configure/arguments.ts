import { spelledName } from "../../bytes/nearest.ts";
import { shownValue } from "../../bytes/text.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import type { Flag } from "../command.ts";
import { nearestHint, usageError, valueError } from "../errors.ts";
import { CHIP, COMMON_FLAGS, JSON_FLAG } from "../flags.ts";
import { shownFlag } from "../parse.ts";

/** Where Espressif's tool puts its images and keys. */
export const DATA_FOLDER = "esp_secure_cert_data";
/** Its image. */
export const IMAGE_PATH = `${DATA_FOLDER}/esp_secure_cert.bin`;
/** Its signed image. */
export const SIGNED_PATH = `${DATA_FOLDER}/esp_secure_cert_signed.bin`;
/** Where it puts what an image holds. */
export const PARSED_FOLDER = "esp_secure_cert_parsed_data";

/** A flag of configure_esp_secure_cert.py, spelled as that tool takes it. */
interface ConfigureFlag extends Flag {
  /** How many values it takes; Infinity for one or more. @default 1 with a value, else 0 */
  readonly takes?: number;
  /** Other spellings, with their dashes. */
  readonly also?: readonly string[];
}

/** The flags of configure_esp_secure_cert.py 2.6.1, and `--json`, `--no-verify`. */
export const CONFIGURE_FLAGS: readonly ConfigureFlag[] = [
  { name: "private-key", value: "FILE", help: "private key in any encoding" },
  {
    name: "pwd",
    value: "TEXT",
    help: "password of the private keys; also --password",
    also: ["--password"],
  },
  { name: "device-cert", value: "FILE", help: "device certificate, PEM (a bundle too) or DER" },
  { name: "ca-cert", value: "FILE", help: "CA certificate, PEM (a bundle too) or DER" },
  { ...CHIP, name: "target_chip", default: "esp32c3" },
  { name: "summary", help: "print the eFuses of the chip at --port, with espefuse" },
  {
    name: "secure_cert_type",
    value: "TYPE",
    choices: ["cust_flash_tlv", "cust_flash", "nvs"],
    help: "layout of the image",
    default: "cust_flash_tlv",
  },
  { name: "configure_ds", help: "the key goes into the DS or ECDSA peripheral" },
  { name: "skip_flash", help: "write files only" },
  { name: "efuse_key_id", value: "N", help: "KEYn, 0 to 5", default: "1" },
  {
    name: "efuse_key_file",
    value: "FILE",
    help: "32 bytes of the HMAC key",
    default: "a new key in esp_secure_cert_data",
  },
  { name: "port", short: "p", value: "PORT", help: "serial port of the board", also: ["-p"] },
  {
    name: "keep_ds_data_on_host",
    help: "accepted; a new eFuse key is always kept; also -keep_ds_data",
    also: ["-keep_ds_data"],
  },
  {
    name: "sec_cert_part_offset",
    value: "N",
    help: "flash offset of the partition",
    default: "0xD000",
  },
  {
    name: "priv_key_algo",
    value: "RSA|ECDSA BITS",
    takes: 2,
    help: "what the private key must be",
    default: "what it is",
  },
  { name: "esp_secure_cert_csv", value: "FILE", help: "further entries, from a CSV" },
  {
    name: "parse_bin",
    value: "IMAGE",
    help: "take an image apart into esp_secure_cert_parsed_data",
  },
  { name: "secure-sign", help: "add signatures to the image" },
  {
    name: "signing-scheme",
    value: "SCHEME",
    choices: ["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"],
    help: "what the signing keys must be",
    default: "what they are",
  },
  { name: "signing-key-file", value: "FILE…", takes: Infinity, help: "1 to 3 private keys" },
  {
    name: "esp-secure-cert-file",
    value: "IMAGE",
    help: "sign this image instead of building one",
  },
  { name: "append-integrity", value: "IMAGE", help: "add an integrity entry to an image" },
  JSON_FLAG,
  { name: "no-verify", help: "write the image even if the chip could not use it" },
];

/** What a command line of Espressif's configure_esp_secure_cert.py asks for. */
export interface ConfigureArguments {
  readonly privateKey?: string;
  readonly password?: string;
  readonly deviceCert?: string;
  readonly caCert?: string;
  readonly chip: ChipName;
  readonly summary: boolean;
  readonly type: "cust_flash_tlv" | "cust_flash" | "nvs";
  readonly configureDs: boolean;
  readonly skipFlash: boolean;
  readonly efuseKeyId?: number;
  readonly efuseKeyFile?: string;
  readonly port?: string;
  readonly keepDsData: boolean;
  readonly offset: string;
  readonly algorithm?: { readonly name: "RSA" | "ECDSA"; readonly bits: number };
  readonly csv?: string;
  readonly parseBin?: string;
  readonly secureSign: boolean;
  readonly signingScheme?: SigningScheme;
  readonly signingKeyFiles: readonly string[];
  readonly certFile?: string;
  readonly appendIntegrity?: string;
  readonly verify: boolean;
  /** One JSON document on stdout instead of the lines. */
  readonly json: boolean;
}

/** A value of `--signing-scheme`. */
export type SigningScheme = "rsa3072" | "ecdsa192" | "ecdsa256" | "ecdsa384";

const SIZES = { RSA: [1024, 2048, 3072, 4096], ECDSA: [192, 256, 384] } as const;

/** A flag, for each of its spellings. */
interface Spelled {
  /** The flag with its dashes. */
  readonly name: string;
  readonly takes: number;
}

const COLOR = COMMON_FLAGS.filter(({ name }) => name === "color");
const FLAGS: ReadonlyMap<string, Spelled> = new Map(
  [...CONFIGURE_FLAGS, ...COLOR].flatMap((flag: ConfigureFlag) => {
    const name = `--${flag.name}`;
    const spelled = { name, takes: flag.takes ?? (flag.value === undefined ? 0 : 1) };
    return [name, ...flag.also ?? []].map((spelling) => [spelling, spelled] as const);
  }),
);

/**
 * Parses the words after `configure`, spelled as that tool takes them: flags may be shortened as
 * long as only one flag begins so, and values may follow an equals sign.
 *
 * @throws {CliError} `ERR_USAGE` for what it does not take.
 */
export function parseConfigureArguments(words: readonly string[]): ConfigureArguments {
  const values = collect(words);
  const get = (name: string) => values.get(`--${name}`)?.[0];
  const has = (name: string) => values.has(`--${name}`);
  const choice = (name: string) => checkChoice(name, get(name));
  return checked({
    privateKey: get("private-key"),
    password: get("pwd"),
    deviceCert: get("device-cert"),
    caCert: get("ca-cert"),
    chip: (choice("target_chip") ?? "esp32c3") as ChipName,
    summary: has("summary"),
    type: (choice("secure_cert_type") ?? "cust_flash_tlv") as ConfigureArguments["type"],
    configureDs: has("configure_ds"),
    skipFlash: has("skip_flash"),
    efuseKeyId: efuseKeyIdOf(get("efuse_key_id")),
    efuseKeyFile: get("efuse_key_file"),
    port: get("port"),
    keepDsData: has("keep_ds_data_on_host"),
    offset: offsetOf(get("sec_cert_part_offset") ?? "0xD000"),
    algorithm: algorithmOf(values.get("--priv_key_algo")),
    csv: get("esp_secure_cert_csv"),
    parseBin: get("parse_bin"),
    secureSign: has("secure-sign"),
    signingScheme: choice("signing-scheme") as SigningScheme | undefined,
    signingKeyFiles: values.get("--signing-key-file") ?? ["secure_boot_key.bin"],
    certFile: get("esp-secure-cert-file"),
    appendIntegrity: get("append-integrity"),
    verify: !has("no-verify"),
    json: has("json"),
  });
}

/** The values of each flag that is given, by its name with dashes. */
function collect(words: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (let at = 0; at < words.length;) {
    const { spelling, attached } = splitFlag(words[at++]!);
    const { name, takes } = FLAGS.get(spelling)!;
    if (values.has(name)) throw usageError(`${name} is given twice`, name);
    const taken = attached === undefined ? [] : [attached];
    const isOpen = () => at < words.length && !/^--?[A-Za-z]/.test(words[at]!);
    while (taken.length < takes && isOpen()) taken.push(words[at++]!);
    const isShort = takes === Infinity ? taken.length === 0 : taken.length < takes;
    if (isShort || taken.includes("")) {
      throw usageError(`${spelling} needs ${takes === 2 ? "two values" : "a value"}`, name);
    }
    if (takes === 0 && attached !== undefined) throw usageError(`${spelling} takes no value`, name);
    values.set(name, taken);
  }
  return values;
}

function splitFlag(word: string): { spelling: string; attached?: string } {
  const [name, attached] = word.split(/=(.*)/s, 2) as [string, string | undefined];
  if (FLAGS.has(name)) return { spelling: name, attached };
  const longer = name.startsWith("--") && name.length > 2
    ? [...FLAGS.keys()].filter((spelling) => spelling.startsWith(name))
    : [];
  if (longer.length === 1) return { spelling: longer[0]!, attached };
  if (/^-p./.test(word)) return { spelling: "-p", attached: word.slice(2).replace(/^=/, "") };
  if (longer.length > 1) throw usageError(`${name} may be ${longer.join(" or ")}`, name);
  const flag = shownFlag(word);
  const what = word.startsWith("-") ? `knows no ${flag}` : `does not take ${shownValue(word)}`;
  const hint = nearestHint(name, [...FLAGS.keys()]) ?? "run configure --help for its flags";
  throw usageError(`configure ${what}`, flag, hint);
}

function checkChoice(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const choices = CONFIGURE_FLAGS.find((flag) => flag.name === name)?.choices ?? [];
  const choice = spelledName(value, choices);
  if (choice !== undefined) return choice;
  throw valueError(`--${name} is ${choices.join(", ")}`, value, `--${name}`, choices);
}

function efuseKeyIdOf(text: string | undefined): number | undefined {
  if (text === undefined || /^[0-5]$/.test(text)) return text === undefined ? text : Number(text);
  throw valueError("--efuse_key_id is 0 to 5", text, "--efuse_key_id");
}

function offsetOf(text: string): string {
  if (/^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text)) return text;
  const flag = "--sec_cert_part_offset";
  throw valueError(`${flag} is a number such as 0xD000`, text, flag);
}

function algorithmOf(
  words: readonly string[] | undefined,
): ConfigureArguments["algorithm"] | undefined {
  if (words === undefined) return undefined;
  const name = (["RSA", "ECDSA"] as const).find((each) => each === words[0]!.toUpperCase());
  const flag = "--priv_key_algo";
  if (name === undefined) {
    throw valueError(`${flag} is RSA or ECDSA`, words[0]!, flag);
  }
  const bits = (SIZES[name] as readonly number[]).find((each) => String(each) === words[1]);
  if (bits !== undefined) return { name, bits };
  throw valueError(`${flag} ${name} has ${SIZES[name].join(", ")} bits`, words[1]!, flag);
}

/** Refuses flags that would have no effect, which that tool ignores. */
function checked(given: ConfigureArguments): ConfigureArguments {
  if (given.certFile !== undefined && !given.secureSign) {
    throw usageError("--esp-secure-cert-file goes with --secure-sign", "--esp-secure-cert-file");
  }
  if (given.type !== "cust_flash_tlv" && (given.csv !== undefined || given.secureSign)) {
    const flag = given.csv === undefined ? "--secure-sign" : "--esp_secure_cert_csv";
    throw usageError(`${flag} goes with --secure_cert_type cust_flash_tlv`, flag);
  }
  if (given.configureDs && given.privateKey === undefined && given.csv === undefined) {
    throw usageError("--configure_ds needs --private-key", "--private-key");
  }
  if (given.summary && given.port === undefined) {
    throw usageError("--summary needs --port", "--port");
  }
  return given;
}
