import { MANIFEST, MANIFEST_CSV } from "../../../batch/files.ts";
import { identityOf } from "../../disk/look.ts";
import { type BulkShard, parseShard } from "../../../batch/list/shard.ts";
import type { BulkPhase } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import type { Arguments } from "../../arguments.ts";
import { usageError, valueError } from "../../errors.ts";
import { type Io, joinPath } from "../../io.ts";
import { outputFolder } from "../../output/out.ts";
import { type DeviceList, deviceList } from "../device_list.ts";
import { caCertOf, profileOf, signingKeysOf } from "./profile.ts";

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

/** The flags that say where keys come from. */
const KEY_SOURCES = ["keys", "key-command", "key-server"];

/**
 * Reads and checks all that can be checked before the batch's folder is touched; the list itself is read
 * later.
 *
 * @throws {CliError} `ERR_USAGE` for what does not go together.
 */
export async function planRun(args: Arguments, io: Io): Promise<RunPlan> {
  const workers = args.number("workers") ?? navigator.hardwareConcurrency;
  const most = 4 * navigator.hardwareConcurrency;
  if (workers < 1 || workers > most) {
    throw usageError(`--workers is a number from 1 to ${most}, four a processor`, "workers");
  }
  const list = deviceList(args);
  refuseOwnManifest(args);
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

/** The manifests of the batch grow while the list is read. */
function refuseOwnManifest(args: Arguments): void {
  const list = args.has("devices") ? identityOf(args.need("devices")) : undefined;
  const own = [MANIFEST, MANIFEST_CSV].map((name) => identityOf(joinPath(args.need("out"), name)));
  if (list === undefined || !own.includes(list)) return;
  throw usageError("--devices is a manifest of the batch itself", "devices", "give another folder");
}

/** The part of the list that --shard names. */
function shardOf(args: Arguments): BulkShard | undefined {
  const text = args.get("shard");
  const shard = text === undefined ? undefined : parseShard(text);
  if (text === undefined || shard !== undefined) return shard;
  throw valueError("--shard is i/n with i from 1 to n", text, "shard");
}
