import type { PrivateKey } from "../crypto/keys/keys.ts";
import type { Sources } from "../crypto/sources.ts";
import type { Chip, Curve } from "../format/chips/chip.ts";
import type { ChipName } from "../format/chips/chips.ts";
import type { KeyMode } from "../format/names.ts";
import type { StoredTlv } from "../format/tlv.ts";
import type { Finding } from "../findings/findings.ts";
import type { Content, Credentials, ReadEntry, Reading } from "../image/contents/contents.ts";
import type { ImageEntry } from "../image/read/entry.ts";

/** A key mode that puts a key into an eFuse. */
export type EfuseKeyMode = Exclude<KeyMode, "plaintext">;

/** Kind of a private key, which is known before there is one. */
export type KeyKind = Pick<PrivateKey, "type" | "curve" | "bits">;

/** What a key mode makes the entries of a private key from. */
export interface ModeRequest extends Pick<Sources, "random"> {
  /** Number among the private key entries. */
  readonly subtype: number;
  /** The private key; absent where the mode derives it or does not store it. */
  readonly key?: PrivateKey;
  /** The key as a plaintext entry would store it: PEM and NUL, or DER. */
  readonly stored?: Uint8Array;
  /** The chip; present in every mode but `plaintext`, and `hmac-derived` with a salt that was given. */
  readonly chip?: ChipName;
  /** The n of the KEYn that holds the eFuse key. */
  readonly efuseKeyId?: number;
  /** The key of the HMAC peripheral, 32 bytes as burned. */
  readonly hmacKey?: Uint8Array;
  /** `hmac-derived`: derive with a new salt, which becomes an entry too. */
  readonly makeSalt?: boolean;
  /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
  readonly iv?: Uint8Array;
}

/** The entries that a key mode makes. */
export interface ModeEntries {
  /** Values of the peripherals, which come before the certificates, as Espressif's tool places them. */
  readonly first?: readonly StoredTlv[];
  /** The private key entry, with its salt before it where that is new. */
  readonly inPlace?: readonly StoredTlv[];
  /** SubjectPublicKeyInfo, DER, of a key that was derived. */
  readonly publicKey?: Uint8Array;
}

/** What the checks of a key mode look at. */
export interface ModeImage {
  readonly credentials: Credentials;
  readonly entries: readonly ReadEntry[];
  /** The chip that is to read the image; its rules are left out without it. */
  readonly chip?: ChipName;
  /** The key modes of that chip; none without it. */
  readonly chipModes: readonly KeyMode[];
}

/** What a key mode opens a value with. */
export interface OpenContext {
  /** The key of the HMAC peripheral, 32 bytes. */
  readonly hmacKey?: Uint8Array;
  /** All entries of the image. */
  readonly entries: readonly ImageEntry[];
  /** How values are read. */
  readonly reading: Reading;
}

/** A private key entry, or DS data, as it was read. */
export type ClosedContent = Extract<Content, { readonly kind: "privateKey" | "dsData" }>;

/** One way in which a private key reaches the device. */
export interface KeyModeRules {
  /** Whether a chip has the peripheral that the mode needs. */
  readonly isOn: (chip: Chip) => boolean;
  /** Whether a private key is given, may be left out where its certificate is there, or is derived. */
  readonly privateKey: "needed" | "optional" | "derived";
  /** What is burned: nothing, a key of the HMAC peripheral, or the private key itself. */
  readonly efuseKey: "none" | "hmac key" | "private key";
  /** The kind of key that is made by default. */
  readonly standardKey: { readonly type: "ec" | "rsa" };
  /** Why a chip cannot keep a kind of key in this way; undefined when it can. */
  readonly keyProblem?: (key: KeyKind, chip: ChipName) => string | undefined;
  /** Names of the eFuse key purposes, one a block; the image names the first block. */
  readonly purposes?: (chip: ChipName, curve: Curve | undefined) => readonly string[];
  /** What the person who burns these blocks must know. */
  readonly notes?: (blocks: readonly number[]) => readonly string[];
  /** The entries of a key. */
  readonly makeEntries: (request: ModeRequest) => Promise<ModeEntries>;
  /**
   * Opens a private key entry, or DS data, as far as it can be opened with what is given.
   *
   * @returns What it is; `unreadable` when it holds no such key.
   * @throws {SecureCertError} when it does not open.
   */
  readonly open: (
    content: ClosedContent,
    entry: ImageEntry,
    context: OpenContext,
  ) => Content | Promise<Content>;
  /** What is wrong with an image whose key is kept in this way. */
  readonly check: (image: ModeImage) => readonly Finding[];
}
