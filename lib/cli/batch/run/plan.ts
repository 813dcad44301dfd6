import { MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import { type BulkShard, formatShard, parseShard, WHOLE_LIST } from "../../../batch/list/list.ts";
import type { BulkPhase } from "../../../batch/ports.ts";
import {
  type BulkData,
  type BulkProfile,
  bulkProfileProblems,
  differingMembers,
  parseBulkProfile,
} from "../../../batch/profile/profile.ts";
import { concat } from "../../../bytes/pack.ts";
import { formatBase64, formatHex } from "../../../bytes/text.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey } from "../../../crypto/keys/keys.ts";
import { readSignatureKey } from "../../../crypto/signature.ts";
import { readCertificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import { type Arguments, refuseIdle } from "../../command.ts";
import { identityOf } from "../../disk/paths.ts";
import { fileError, usageError, valueError } from "../../errors.ts";
import { daysOf, sansOf, usageOf } from "../../input/certificates.ts";
import { besideLoad, naming, readAs, readText } from "../../input/files.ts";
import { chipOf, deviceKeyOptions, keyModeOf, readKey, refuseIdleFlags } from "../../input/keys.ts";
import { besidePath, type Io, joinPath } from "../../io.ts";
import { outputFolder } from "../../output/out.ts";
import { type DeviceList, deviceList } from "../device_list.ts";
import type { FolderJournal } from "../journal/journal.ts";
import type { BatchFacts, Fact } from "../journal/rows.ts";

/** What the command line and the profile ask of `bulk`. */
export interface RunPlan {
  /** The batch's folder. */
  readonly out: string;
  readonly phase: BulkPhase;
  readonly profile: BulkProfile;
  readonly workers: number;
  /** Whether each device gets a label. */
  readonly labels: boolean;
  /** Keys that sign the images, PKCS#8. */
  readonly signingKeys: readonly Uint8Array[];
  /** What the devices store as their CA, when it is not the issuer; PEM or DER. */
  readonly caCert?: Uint8Array;
  /** Whether the CA that issues is named, and not only the one of the default folder. */
  readonly namesCa: boolean;
  /** Whether keys come from elsewhere. */
  readonly hasKeys: boolean;
  readonly list: DeviceList;
  readonly shard?: BulkShard;
}

/** So many devices are all under way at once in one thread, and made before another would have started. */
const FEW = 8;
/** The flags of programs, of which each thread has one. */
const PROGRAMS = ["key-command", "key-server", "ca-command"];
/** The flags of programs that answer lines. */
const ANSWERING = ["key-server", "ca-command"];
/** The flags that say where keys come from. */
const KEY_SOURCES = ["keys", "key-command", "key-server"];

/**
 * Reads and checks all that can be checked before the batch's folder is touched; the list itself is read
 * later.
 *
 * @throws {CliError} `ERR_USAGE` for what does not go together.
 */
export async function planRun(args: Arguments, io: Io): Promise<RunPlan> {
  const list = deviceList(args);
  const workers = workersOf(args, list);
  await refuseOwnManifest(args);
  const shard = shardOf(args);
  if (args.has("csr") && args.has("certificates")) {
    throw usageError("--csr comes first, and --certificates in a later run", "csr");
  }
  const sources = KEY_SOURCES.filter((name) => args.has(name));
  if (sources.length > 1) {
    const given = sources.map((name) => `--${name}`).join(" and ");
    throw usageError(`keys come from one place, not from ${given}`, sources[1]);
  }
  const hasKeys = args.has("keys") || args.has("key-command");
  const later = ["csr", "certificates"].find((name) => args.has(name));
  if (later !== undefined && args.has("ca-command")) {
    const message = `--ca-command issues certificates; with --${later} they come from elsewhere`;
    throw usageError(message, "ca-command");
  }
  if (!ANSWERING.some((name) => args.has(name))) {
    const flags = ANSWERING.map((name) => `--${name}`).join(" or ");
    refuseIdle(args, ["answer-timeout"], `goes with ${flags}`);
  }
  const phase = args.has("csr") ? "requests" : args.has("certificates") ? "certificates" : "all";
  const profile = await profileOf(args, io);
  const signingKeys = await signingKeysOf(profile, args, io);
  return {
    out: outputFolder(args),
    phase,
    profile,
    workers,
    labels: args.has("labels"),
    signingKeys,
    caCert: await caCertOf(profile, args, io),
    namesCa: args.has("ca") || profile.ca !== undefined,
    hasKeys,
    list,
    shard,
  };
}

/** As many threads as --workers says; by default one a processor, and none beside this one for few devices. */
function workersOf(args: Arguments, { count = Infinity }: DeviceList): number {
  const processors = navigator.hardwareConcurrency;
  const isFew = count <= FEW && !PROGRAMS.some((name) => args.has(name));
  const workers = args.number("workers") ?? (isFew ? 1 : processors);
  const most = 4 * processors;
  if (workers >= 1 && workers <= most) return workers;
  throw usageError(`--workers is a number from 1 to ${most}, four a processor`, "workers");
}

/** The manifests of the batch grow while the list is read. */
async function refuseOwnManifest(args: Arguments): Promise<void> {
  if (!args.has("devices")) return;
  const list = await identityOf(args.need("devices"));
  const own = [MANIFEST, MANIFEST_CSV].map((name) => identityOf(joinPath(args.need("out"), name)));
  if (list === undefined || !(await Promise.all(own)).includes(list)) return;
  throw usageError("--devices is a manifest of the batch itself", "devices", "give another folder");
}

/** The part of the list that --shard names. */
function shardOf(args: Arguments): BulkShard | undefined {
  const text = args.get("shard");
  const shard = text === undefined ? undefined : parseShard(text);
  if (text === undefined || shard !== undefined) return shard;
  throw valueError("--shard is i/n with i from 1 to n", text, "shard");
}

/** The profile of --profile, where flags override it. */
async function profileOf(args: Arguments, io: Io): Promise<BulkProfile> {
  const path = args.get("profile");
  const profile = path === undefined ? {} : await readProfile(path, io);
  // A list may have other key modes in its rows.
  if (!args.has("devices")) await refuseIdleFlags(keyModeOf(args, profile.keyMode), args);
  const sans = sansOf(args);
  const given: BulkProfile = {
    chip: chipOf(args),
    keyMode: args.has("key-mode") ? keyModeOf(args) : undefined,
    efuseKeyId: args.number("efuse-key-id"),
    subject: args.get("subject"),
    sans: sans.length === 0 ? undefined : sans,
    format: args.get("format") as BulkProfile["format"],
    days: daysOf(args),
    usage: usageOf(args),
    key: await deviceKeyOptions(keyModeOf(args, profile.keyMode), args),
  };
  const isGiven = ([, value]: [string, unknown]) => value !== undefined;
  const merged = { ...profile, ...Object.fromEntries(Object.entries(given).filter(isGiven)) };
  const problems = bulkProfileProblems(merged);
  if (problems.length === 0) return merged;
  throw usageError(
    `the profile and the flags do not go together: ${problems.join("; ")}`,
    "profile",
  );
}

/** The keys that sign the images, PKCS#8; their files are relative to the profile. */
async function signingKeysOf(
  { signingKeys = [] }: BulkProfile,
  args: Arguments,
  io: Io,
): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = [];
  const algorithms = new Set<string>();
  for (const name of signingKeys) {
    const path = fromProfile(name, args.need("profile"));
    // The profile names the key, the command line its password.
    const read = (name: string) => name === path ? readAs(name, io) : io.read(name);
    const key = await readKey(path, args, { ...io, read });
    algorithms.add((await naming(path, () => readSignatureKey(key.publicKey))).algorithm);
    keys.push(key.pkcs8);
  }
  if (algorithms.size > 1) {
    throw usageError(
      `signing keys of ${[...algorithms].join(" and ")} do not go together`,
      "profile",
    );
  }
  return keys;
}

/** What the devices store as their CA, PEM or DER; a file that the profile names is relative to it. */
async function caCertOf(
  { caCert }: BulkProfile,
  args: Arguments,
  io: Io,
): Promise<Uint8Array | undefined> {
  const path = args.get("ca-cert") ?? (caCert && fromProfile(caCert, args.need("profile")));
  if (path === undefined) return undefined;
  const bytes = await io.read(path);
  await naming(path, () => readCertificates(bytes));
  return bytes;
}

async function readProfile(path: string, io: Io): Promise<BulkProfile> {
  const { data, ...profile } = parseBulkProfile(await readText(path, io));
  if (data === undefined) return profile;
  const load = besideLoad(path, io);
  const loaded: BulkData[] = [];
  for (const { file, ...each } of data) {
    loaded.push(file === undefined ? each : { ...each, base64: formatBase64(await load(file)) });
  }
  return { ...profile, data: loaded };
}

function fromProfile(name: string, profile: string): string {
  return /^([/\\]|[A-Za-z]:)/.test(name) ? name : besidePath(profile, name);
}

interface FactRule {
  /** The fact in words. */
  readonly what: string;
  /** Its value in words, where that helps. */
  readonly shown?: (value: string) => string;
  /** Whether `--retry-failed` may change it. */
  readonly settles?: true;
  /** Whether two values mean the same. @default when they are equal */
  readonly isSame?: (a: string, b: string) => boolean;
}

/** What a device stores as its CA where there is no `--ca-cert`. */
const ISSUER = "issuer";

const RULES: Readonly<Record<Fact, FactRule>> = {
  profile: { what: "the profile", settles: true, isSame: isSameProfile },
  signers: { what: "a signing key", settles: true },
  ca: { what: "the CA", settles: true },
  caCert: {
    what: "the CA that the devices store",
    shown: (value) => value === ISSUER ? "their issuer" : `one of --ca-cert, SHA-256 ${value}`,
    settles: true,
  },
  labels: { what: "--labels", shown: (value) => value === "true" ? "given" : "not given" },
  shard: {
    what: "--shard",
    shown: (value) => value === formatShard(WHOLE_LIST) ? "not given" : value,
  },
};

/**
 * Keeps what all devices share the same in all runs, so that no batch is half of one and half of another.
 *
 * @param certificate The CA's, where one is needed.
 * @throws {CliError} `ERR_IO` for the first fact that is not that of the first run.
 */
export async function agreeFacts(
  plan: RunPlan,
  certificate: Uint8Array | undefined,
  journal: FolderJournal,
  args: Arguments,
): Promise<void> {
  const facts = Object.entries(await factsOf(plan, certificate)) as [Fact, string | undefined][];
  for (const [name, value] of facts) {
    if (value === undefined) continue;
    const known = journal.fact(name);
    const { what, shown, settles = false, isSame = Object.is } = RULES[name];
    if (known !== undefined && isSame(known, value)) continue;
    if (known === undefined || settles && args.has("retry-failed") && await isOpen(journal)) {
      journal.settle(name, value);
      continue;
    }
    const was = shown === undefined ? "" : `: it was ${shown(known)}`;
    const message = `${what} is not that of the first run in ${plan.out}${was}`;
    const retry = settles ? "; --retry-failed takes a new one where every device failed" : "";
    const hint = `give what the first run had, or another folder${retry}`;
    throw fileError("ERR_IO", plan.out, message, hint);
  }
}

/** Whether every device failed, or waits for its certificate, so that nothing would be of two kinds. */
async function isOpen(journal: FolderJournal): Promise<boolean> {
  const { failed: _, "key made": __, ...others } = await journal.counts();
  return Object.values(others).every((count) => count === 0);
}

async function factsOf(
  { profile, shard = WHOLE_LIST, labels, phase, signingKeys, caCert }: RunPlan,
  certificate: Uint8Array | undefined,
): Promise<Partial<BatchFacts>> {
  const signers = await Promise.all(signingKeys.map((key) => importPrivateKey(key)));
  // CAs and signing keys are facts of their own: their files may be elsewhere on another machine.
  const { ca: _, caCert: __, signingKeys: ___, ...members } = profile;
  const stored = caCert && concat(...readCertificates(caCert).map(({ der }) => der));
  return {
    shard: formatShard(shard),
    profile: JSON.stringify(members),
    signers: signers.map(({ publicKey }) => formatHex(sha256(publicKey))).join(),
    labels: labels || phase !== "requests" ? String(labels) : undefined,
    caCert: stored ? formatHex(sha256(stored)) : phase === "requests" ? undefined : ISSUER,
    ca: certificate && formatHex(sha256(readCertificate(certificate).der)),
  };
}

function isSameProfile(a: string, b: string): boolean {
  const [known, given]: BulkProfile[] = [JSON.parse(a), JSON.parse(b)];
  return differingMembers(known!, given!).length === 0;
}
