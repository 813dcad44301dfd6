import { readPlainSync } from "../../input/limited.ts";
import { SecureCertError } from "../../../bytes/errors.ts";
import { isSamePublicKey } from "../../../crypto/keys/encoding.ts";
import { encodeUtf8, formatBase64, shownName } from "../../../bytes/text.ts";
import { type Certificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import { followChain } from "../../../crypto/x509/chain.ts";
import { sha256 } from "../../../crypto/deps.ts";
import { importPrivateKey } from "../../../crypto/keys/keys.ts";
import type { BulkDevice, DeviceRow } from "../../../batch/list/devices.ts";
import { deviceKeyMode, keyProblem } from "../../../batch/list/settings.ts";
import { wantedKey } from "../../../key_modes/requirements.ts";
import { type BulkShard, isInShard } from "../../../batch/list/list.ts";
import { KEY_MODE_RULES } from "../../../key_modes/modes.ts";
import type { BulkJob, BulkPhase } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { explain, type Io } from "../../io.ts";

/** Reads the files that the columns `certificate` and `privateKey` of a row name. */
export function jobReader(io: Io): (device: BulkDevice) => Promise<Partial<BulkJob>> {
  return async ({ fields }) => {
    const { certificate, privateKey } = fields;
    const job: { key?: Uint8Array; certificate?: Uint8Array } = {};
    for (const [name, path] of [["certificate", certificate], ["key", privateKey]] as const) {
      if (path === undefined || path === "") continue;
      const bytes = await io.readIfExists(path);
      if (bytes === undefined) return { problem: `Cannot read ${shownName(path)}: no such file` };
      job[name] = bytes;
    }
    return job;
  };
}

/** What files of rows are checked by. */
export interface FileRules {
  readonly profile: BulkProfile;
  readonly phase: BulkPhase;
  /** Whether keys come from elsewhere, so that one may belong to a certificate. */
  readonly hasKeys: boolean;
  /** The CA, where its certificate is there already. */
  readonly trusted?: readonly Certificate[];
  /** The part of the list whose files are here. */
  readonly shard?: BulkShard;
}

/** The rows of a list; one that names files that will not do becomes its problem. */
export async function* withFiles(
  devices: AsyncIterable<DeviceRow> | Iterable<DeviceRow>,
  rules: FileRules,
): AsyncGenerator<DeviceRow> {
  const check = { ...rules, owners: new Map<string, string>() };
  for await (const row of devices) {
    if (!("device" in row) || !isInShard(row.device, rules.shard)) {
      yield row;
      continue;
    }
    const problem = await fileProblem(row.device, check);
    yield problem === undefined ? row : { problem: `${row.device.id}: ${problem}` };
  }
}

interface FileCheck extends FileRules {
  /** Keys and serial numbers of the files so far, and the devices that have them. */
  readonly owners: Map<string, string>;
}

async function fileProblem(
  device: BulkDevice,
  check: FileCheck,
): Promise<string | undefined> {
  const { profile, phase, hasKeys } = check;
  const { id, fields: { certificate = "", privateKey = "" } } = device;
  const keyMode = deviceKeyMode(profile, device);
  // Another is reported where the row itself is checked.
  if (!Object.hasOwn(KEY_MODE_RULES, keyMode)) return undefined;
  if (KEY_MODE_RULES[keyMode].privateKey === "derived" && (hasKeys || privateKey !== "")) {
    return `${keyMode} makes its key; it takes no other`;
  }
  if (phase === "requests" && certificate !== "") {
    return "it has a certificate, and --csr is for devices that want one";
  }
  try {
    const key = privateKey === "" ? undefined : await importPrivateKey(readRowFile(privateKey));
    const problem = key && keyProblem(key, wantedKey(keyMode, profile.key));
    if (problem !== undefined) return problem;
    const owner = key && ownerOf("key", key.publicKey, id, check);
    if (certificate === "") return owner;
    const [info, ...others] = readCertificates(readRowFile(certificate));
    if (key !== undefined && !isSamePublicKey(key.publicKey, info!.publicKey)) {
      return "its certificate is for another key";
    }
    const isKeyKnown = key !== undefined || hasKeys || phase === "certificates";
    if (!isKeyKnown) return "a certificate needs its key, in the column privateKey";
    return owner ?? await certificateProblem(info!, others, id, check);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return error.message;
  }
}

async function certificateProblem(
  info: Certificate,
  others: readonly Certificate[],
  id: string,
  check: FileCheck,
): Promise<string | undefined> {
  const owner = ownerOf("key", info.publicKey, id, check) ??
    ownerOf("serial number", encodeUtf8(info.serial), id, check);
  if (owner !== undefined) return owner;
  const now = new Date();
  if (now < info.notBefore) return `its certificate begins ${info.notBefore.toISOString()}`;
  if (now > info.notAfter) return `its certificate ended ${info.notAfter.toISOString()}`;
  if (check.trusted === undefined) return undefined;
  const { trusted } = check;
  const { fault, problem } = await followChain(info, [...others, ...trusted], trusted);
  if (fault === undefined || fault === "unchecked") return undefined;
  return `the CA did not issue its certificate: ${problem}`;
}

/** Why a device cannot have what another row has already. */
function ownerOf(
  what: string,
  value: Uint8Array,
  id: string,
  { owners }: FileCheck,
): string | undefined {
  const name = `${what} ${formatBase64(sha256(value))}`;
  const owner = owners.get(name) ?? id;
  owners.set(name, owner);
  return owner === id ? undefined : `its ${what} is that of ${owner} already`;
}

/** The bytes of a file that a row names; the row is wrong when there is none. */
function readRowFile(path: string): Uint8Array {
  try {
    return readPlainSync(path);
  } catch (error) {
    const isRow = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.IsADirectory;
    if (!isRow) throw explain("read", path, error);
    const what = error instanceof Deno.errors.NotFound ? "no such file" : "it is a folder";
    throw new SecureCertError("ERR_PLAN", `Cannot read ${shownName(path)}: ${what}`);
  }
}
