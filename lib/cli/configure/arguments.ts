import type { ChipName } from "../../format/chips/chips.ts";
import { isChipName } from "../../format/chips/chips.ts";
import { usageError } from "../errors.ts";

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
  /** One JSON document on stdout, in place of the lines. */
  readonly json?: boolean;
}

/** A value of `--signing-scheme`. */
export type SigningScheme = "rsa3072" | "ecdsa192" | "ecdsa256" | "ecdsa384";

/** How many values a flag takes; 4 stands for one or more. */
type Arity = 0 | 1 | 2 | 4;

const MANY = 4;
const FLAGS: Readonly<Record<string, Arity>> = {
  "--private-key": 1,
  "--pwd": 1,
  "--password": 1,
  "--device-cert": 1,
  "--ca-cert": 1,
  "--target_chip": 1,
  "--summary": 0,
  "--secure_cert_type": 1,
  "--configure_ds": 0,
  "--skip_flash": 0,
  "--efuse_key_id": 1,
  "--efuse_key_file": 1,
  "--port": 1,
  "-p": 1,
  "--keep_ds_data_on_host": 0,
  "-keep_ds_data": 0,
  "--sec_cert_part_offset": 1,
  "--priv_key_algo": 2,
  "--esp_secure_cert_csv": 1,
  "--parse_bin": 1,
  "--secure-sign": 0,
  "--signing-scheme": 1,
  "--signing-key-file": MANY,
  "--esp-secure-cert-file": 1,
  "--append-integrity": 1,
  "--no-verify": 0,
  "--json": 0,
  "--color": 1,
};
const SAME: Readonly<Record<string, string>> = {
  "--password": "--pwd",
  "-p": "--port",
  "-keep_ds_data": "--keep_ds_data_on_host",
};
const TYPES = ["cust_flash_tlv", "cust_flash", "nvs"] as const;
const SCHEMES = ["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"] as const;
const SIZES = { RSA: [1024, 2048, 3072, 4096], ECDSA: [192, 256, 384] } as const;

/**
 * Parses the words behind `configure`, spelled as that tool takes them: flags may be shortened as
 * long as one flag begins so, and values may follow an equals sign.
 *
 * @throws {CliError} `ERR_USAGE` for what it does not take.
 */
export function parseConfigureArguments(words: readonly string[]): ConfigureArguments {
  const values = collect(words);
  const get = (flag: string) => values.get(flag)?.[0];
  const has = (flag: string) => values.has(flag);
  const named = {
    privateKey: get("--private-key"),
    password: get("--pwd"),
    deviceCert: get("--device-cert"),
    caCert: get("--ca-cert"),
    efuseKeyId: efuseKeyIdOf(get("--efuse_key_id")),
    efuseKeyFile: get("--efuse_key_file"),
    port: get("--port"),
    algorithm: algorithmOf(values.get("--priv_key_algo")),
    csv: get("--esp_secure_cert_csv"),
    parseBin: get("--parse_bin"),
    signingScheme: choice("--signing-scheme", get("--signing-scheme"), SCHEMES),
    certFile: get("--esp-secure-cert-file"),
    appendIntegrity: get("--append-integrity"),
  };
  return checked({
    ...defined(named),
    chip: chipOf(get("--target_chip")),
    type: choice("--secure_cert_type", get("--secure_cert_type"), TYPES) ?? TYPES[0],
    offset: offsetOf(get("--sec_cert_part_offset") ?? "0xD000"),
    summary: has("--summary"),
    configureDs: has("--configure_ds"),
    skipFlash: has("--skip_flash"),
    keepDsData: has("--keep_ds_data_on_host"),
    secureSign: has("--secure-sign"),
    signingKeyFiles: values.get("--signing-key-file") ?? ["secure_boot_key.bin"],
    verify: !has("--no-verify"),
    ...has("--json") && { json: true },
  });
}

function collect(words: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (let at = 0; at < words.length;) {
    const word = words[at++]!;
    const { flag, attached } = splitFlag(word);
    const name = SAME[flag] ?? flag;
    if (values.has(name)) throw usageError(`${name} is given twice`, name);
    const arity = FLAGS[flag]!;
    const taken = attached === undefined ? [] : [attached];
    const isOpen = () => at < words.length && !/^--?[A-Za-z]/.test(words[at]!);
    while ((arity === MANY || taken.length < arity) && isOpen()) taken.push(words[at++]!);
    const isShort = arity === MANY ? taken.length === 0 : taken.length < arity;
    if (isShort || taken.includes("")) {
      throw usageError(`${flag} needs ${arity === 2 ? "two values" : "a value"}`, name);
    }
    if (arity === 0 && attached !== undefined) throw usageError(`${flag} takes no value`, name);
    values.set(name, taken);
  }
  return values;
}

function splitFlag(word: string): { flag: string; attached?: string } {
  const [name, attached] = word.split(/=(.*)/s, 2) as [string, string | undefined];
  const known = (flag: string) => ({ flag, ...attached === undefined ? {} : { attached } });
  if (Object.hasOwn(FLAGS, name)) return known(name);
  const longer = name.startsWith("--") && name.length > 2
    ? Object.keys(FLAGS).filter((flag) => flag.startsWith(name))
    : [];
  if (longer.length === 1) return known(longer[0]!);
  if (/^-p./.test(word)) return { flag: "-p", attached: word.slice(2).replace(/^=/, "") };
  if (longer.length > 1) throw usageError(`${name} may be ${longer.join(" or ")}`, name);
  const what = word.startsWith("-") ? `knows no ${name}` : `does not take "${word}"`;
  throw usageError(`configure ${what}`, name, "run configure --help for its flags");
}

function choice<T extends string>(
  flag: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  const found = choices.find((each) => each === value);
  if (value === undefined || found !== undefined) return found;
  throw usageError(`${flag} is ${choices.join(", ")}; not "${value}"`, flag);
}

function chipOf(name = "esp32c3"): ChipName {
  if (isChipName(name)) return name;
  throw usageError(`--target_chip is the name of a chip, such as esp32c3; not "${name}"`);
}

function efuseKeyIdOf(text: string | undefined): number | undefined {
  if (text === undefined || /^[0-5]$/.test(text)) return text === undefined ? text : Number(text);
  throw usageError(`--efuse_key_id is 0 to 5; not "${text}"`, "--efuse_key_id");
}

function offsetOf(text: string): string {
  if (/^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text)) return text;
  const flag = "--sec_cert_part_offset";
  throw usageError(`${flag} is a number such as 0xD000; not "${text}"`, flag);
}

function algorithmOf(
  words: readonly string[] | undefined,
): ConfigureArguments["algorithm"] | undefined {
  if (words === undefined) return undefined;
  const name = (["RSA", "ECDSA"] as const).find((each) => each === words[0]!.toUpperCase());
  const flag = "--priv_key_algo";
  if (name === undefined) throw usageError(`${flag} is RSA or ECDSA; not "${words[0]}"`, flag);
  const bits = (SIZES[name] as readonly number[]).find((each) => String(each) === words[1]);
  if (bits !== undefined) return { name, bits };
  throw usageError(`${flag} ${name} has ${SIZES[name].join(", ")} bits; not "${words[1]}"`, flag);
}

/** Flags that would say nothing, which that tool passes over. */
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

function defined<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}
