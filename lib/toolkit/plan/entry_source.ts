import type { PrivateKey } from "../../crypto/keys/keys.ts";
import type { Sources } from "../../crypto/sources.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import type { StoredForm } from "../../format/config/form.ts";
import type { ConfigColumn, ConfigPlaces } from "../../format/config/row.ts";
import { type KeyMode, tlvTypeTitle } from "../../format/names.ts";
import type { Tlv } from "../../format/tlv.ts";

/** What an entry is to be made of: a row of a CSV, or a flag with its file. */
export interface EntrySource {
  /** Entry type. */
  readonly type: number;
  /** Number among the entries of this type. */
  readonly subtype: number;
  /** The value as it was given: PEM or DER, a private key in any encoding. */
  readonly data: Uint8Array;
  /** How a private key reaches the device. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** Kind of the private key, when it was told. */
  readonly algorithm?: "RSA" | "ECDSA";
  /** Size of the private key in bits, when it was told. */
  readonly keySize?: number;
  /** The n of the KEYn that the eFuse key is burned into. */
  readonly efuseId?: number;
  /** The eFuse key of modes that need one, 32 bytes. */
  readonly hmacKey?: Uint8Array;
  /** Name of the file that the eFuse key came from, when it holds the raw bytes. */
  readonly efuseKeyFile?: string;
  /** What a CSV's comment says of the entry. */
  readonly stored?: StoredForm;
  /** Where it stands in a CSV. */
  readonly places?: ConfigPlaces;
}

/** Something that is wrong with a source. */
export interface SourceProblem {
  /** Line of the CSV, from 1; absent for a flag. */
  readonly line?: number;
  /** Character of the line, from 1. */
  readonly column?: number;
  /** What is wrong; never holds key material. */
  readonly message: string;
}

/** An eFuse key that the image needs. */
export interface EfuseKey {
  /** What it is for. */
  readonly keyMode: Exclude<KeyMode, "plaintext">;
  /** The n of KEYn. */
  readonly efuseId: number;
  /** Subtypes of the private keys that it serves. */
  readonly subtypes: readonly number[];
  /** The key of the HMAC peripheral, 32 bytes as burned. */
  readonly hmacKey?: Uint8Array;
  /** Name of the file that it came from, when espefuse can burn that. */
  readonly file?: string;
  /** Whether the HMAC key was made just now and is nowhere else. */
  readonly isNew: boolean;
  /** The key of the ECDSA peripheral. */
  readonly privateKey?: PrivateKey;
}

/** How `planSources` plans. */
export interface SourceOptions extends Pick<Sources, "random"> {
  /** The chip that the image is for; keys in peripherals need it. */
  readonly chip?: ChipName;
  /** Password of protected private keys. */
  readonly password?: string;
  /** The eFuse key of sources that have none of their own. */
  readonly hmacKey?: Uint8Array;
  /** Make an eFuse key for sources that have none. @default false */
  readonly makeHmacKeys?: boolean;
}

/** The entries of some sources, or all that is wrong with them. */
export interface PlannedSources {
  /** The entries: values of the DS and ECDSA peripherals first, the others in their order. */
  readonly entries: readonly Tlv[];
  /** The eFuse keys that have to be burned. */
  readonly efuseKeys: readonly EfuseKey[];
  /** Everything that is wrong; empty when the entries can be stored. */
  readonly problems: readonly SourceProblem[];
  /** Certificates that are not those of the private key with the same subtype. */
  readonly mismatches: readonly SourceProblem[];
}

/** What the planning of the sources gathers. */
export interface SourcePlan {
  readonly options: SourceOptions;
  readonly sources: readonly EntrySource[];
  readonly peripheral: Tlv[];
  readonly ordinary: Tlv[];
  readonly efuseKeys: EfuseKey[];
  readonly problems: SourceProblem[];
  /** Public halves of the private keys, DER, by subtype. */
  readonly publicKeys: Map<number, Uint8Array>;
}

/** A problem with a cell of a source's row, or with the whole of a source that has none. */
export function problemAt(
  source: EntrySource,
  column: ConfigColumn,
  problem: string,
): SourceProblem {
  const place = source.places?.[column];
  if (place !== undefined) return { ...place, message: `${column}: ${problem}` };
  return { message: `${titleOf(source)}: ${problem}` };
}

/** An entry with what the source's comment says of it. */
export function storedEntry(source: EntrySource, data: Uint8Array, flags = 0): Tlv {
  const { type, subtype, stored: { flags: told = flags, reserved, padding } = {} } = source;
  return {
    type,
    subtype,
    flags: told,
    data,
    ...reserved && { reserved },
    ...padding && { padding },
  };
}

function titleOf({ type, subtype }: EntrySource): string {
  return subtype === 0 ? tlvTypeTitle(type) : `${tlvTypeTitle(type)} ${subtype}`;
}
