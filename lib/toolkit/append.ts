import { type Place, SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import type { StoredTlv } from "../format/tlv.ts";
import { withIntegrity } from "../format/partition.ts";
import { hidesKey } from "../image/contents/contents.ts";
import { layOut, openForChange, renewIntegrity } from "../image/edit.ts";
import { findImage } from "../image/find/locate.ts";
import type { DataEntry } from "./plan/entry.ts";
import { planEntries } from "./plan/planner.ts";
import { type Verdict, verify } from "../verify/verify.ts";

const { ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV: SIGNATURE, ESP_SECURE_CERT_INTEGRITY_TLV: INTEGRITY } =
  TLV_TYPES;

/** What {@linkcode append} adds, and how. */
type AppendOptions = Parameters<typeof append>[1];

/**
 * Adds entries to a TLV image or to erased flash, replaces others, and keeps the rest. Integrity entries
 * are rebuilt where they are; those at the end come after what is added. An erased tail stays as far as
 * there is room. Only an integrity entry may follow a signature, so a signed image takes nothing else
 * unless `dropSignatures` removes its signatures.
 *
 * Of a dump of flash only the partition is written, in its size.
 *
 * @category Building and changing
 * @throws {SecureCertError} `ERR_PLAN` for an entry that exists already, is malformed or would follow a
 * signature; `ERR_NOT_FOUND` for one to replace that does not exist; for the image as {@linkcode
 * decodePartition}, or `ERR_INTEGRITY`, or `ERR_UNSUPPORTED` for another layout; `ERR_PASSWORD`;
 * `ERR_TOO_LARGE`; `ERR_VERIFY` for an error finding of a kind that the image did not have before;
 * `TypeError` when there is nothing to do.
 */
export async function append(
  file: Uint8Array,
  options: {
    /** Entries to add; each must be new. @default [] */
    readonly entries?: readonly DataEntry[];
    /** Entries that replace those of the same type and subtype. @default [] */
    readonly replace?: readonly DataEntry[];
    /** End with an integrity entry over all before it. @default only where there is one already */
    readonly integrity?: boolean;
    /** Leave the signatures out, which would not be right for the changed image. @default false */
    readonly dropSignatures?: boolean;
    /** Password of a protected private key among the entries. */
    readonly password?: string;
    /**
     * Size of the partition in bytes, which the result must fit.
     * @default what a table says, else 0x2000, or the length of the image when that is more
     */
    readonly size?: number;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
    /** The time at which certificates should be valid. @default the system clock */
    readonly now?: () => Date;
    /** Withhold an image with an error finding that the image did not have before. @default true */
    readonly verify?: boolean;
  },
): Promise<{
  /** The partition's bytes, a multiple of 16. */
  readonly image: Bytes;
  /** What `verify` says of it. */
  readonly verdict: Verdict;
}> {
  const { entries = [], replace = [], integrity = false, dropSignatures = false } = options;
  if (entries.length + replace.length === 0 && !integrity && !dropSignatures) {
    throw new TypeError("Nothing to append: give entries, replace, integrity or dropSignatures");
  }
  const { image, partitionSize } = await findImage(file, options);
  const size = options.size ?? partitionSize;
  const opened = openForChange(image);
  const hides = hidesKey(opened.entries);
  const added = await planned(entries, hides, options);
  const replaced = await planned(replace, hides, options);
  const kept = dropSignatures
    ? opened.entries.filter(({ type }) => type !== SIGNATURE)
    : opened.entries;
  if (added.length + replaced.length > 0) refuseSigned(kept);
  const chain = insert(exchange(kept, replaced), added);
  const isChanged = chain.length !== opened.entries.length || replaced.length > 0;
  const isClosed = isChanged && chain.at(-1)?.type === INTEGRITY;
  const renewed = renewIntegrity(chain);
  const closed = integrity && !isClosed ? withIntegrity(renewed) : renewed;
  const changed = layOut(opened, closed, size);
  return { image: changed, verdict: await checkChange(image, changed, { ...options, size }) };
}

async function planned(
  data: readonly DataEntry[],
  isKeyHidden: boolean,
  { password, verify: withhold }: AppendOptions,
): Promise<readonly StoredTlv[]> {
  const { entries, problems } = await planEntries(data, {
    password,
    hidesKey: isKeyHidden,
    allowRefused: withhold === false,
  });
  if (problems.length > 0) {
    const list = problems.map(({ message }) => message).join("; ");
    throw new SecureCertError("ERR_PLAN", `Cannot append: ${list}`, {}, { problems });
  }
  return entries;
}

function refuseSigned(entries: readonly StoredTlv[]): void {
  const entry = entries.findIndex(({ type }) => type === SIGNATURE);
  if (entry < 0) return;
  throw badPlan(
    `the image is signed (entry ${entry}), and the signature would not cover what is added`,
    { entry, field: "dropSignatures" },
  );
}

function exchange(entries: readonly StoredTlv[], replaced: readonly StoredTlv[]): StoredTlv[] {
  const result = [...entries];
  for (const entry of replaced) {
    const index = indexOf(result, entry);
    if (index < 0) {
      const message = `Cannot append: there is no ${nameOf(entry)} to replace`;
      throw new SecureCertError("ERR_NOT_FOUND", message);
    }
    result[index] = entry;
  }
  return result;
}

/** The integrity entries at the end stay at the end. */
function insert(entries: readonly StoredTlv[], added: readonly StoredTlv[]): StoredTlv[] {
  for (const entry of added) {
    const index = indexOf(entries, entry);
    if (index < 0) continue;
    const message = `there is a ${
      nameOf(entry)
    } already (entry ${index}); the firmware would never read a second`;
    throw badPlan(message, { entry: index, field: "replace" });
  }
  const end = entries.findLastIndex(({ type }) => type !== INTEGRITY) + 1;
  return [...entries.slice(0, end), ...added, ...entries.slice(end)];
}

async function checkChange(
  before: Uint8Array,
  after: Uint8Array,
  { size, now, verify: withhold = true }: AppendOptions,
): Promise<Verdict> {
  const options = { partitionSize: size, now };
  const verdict = await verify(after, options);
  if (verdict.ok || !withhold) return verdict;
  const known = new Set(errorsOf(await verify(before, options)).map(({ code }) => code));
  const errors = errorsOf(verdict).filter(({ code }) => !known.has(code));
  if (errors.length === 0) return verdict;
  const list = errors.map(({ code, message }) => `${code}: ${message}`).join("; ");
  throw new SecureCertError("ERR_VERIFY", `Cannot append: ${list}`, errors[0]!.place, {
    verdict,
  });
}

function errorsOf({ findings }: Verdict): Verdict["findings"] {
  return findings.filter(({ severity }) => severity === "error");
}

function indexOf(entries: readonly StoredTlv[], { type, subtype }: StoredTlv): number {
  return entries.findIndex((each) => each.type === type && each.subtype === subtype);
}

function nameOf({ type, subtype }: StoredTlv): string {
  return `${tlvTypeTitle(type)}${subtype === 0 ? "" : ` with subtype ${subtype}`}`;
}

function badPlan(problem: string, place: Place = {}): SecureCertError {
  return new SecureCertError("ERR_PLAN", `Cannot append: ${problem}`, place);
}
