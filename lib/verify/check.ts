import type { Certificate } from "../crypto/x509/certificate.ts";
import type { ChipName } from "../format/chips/chips.ts";
import type { Finding } from "../findings/findings.ts";
import type { Credentials, ReadEntry } from "../image/contents/contents.ts";
import type { ImageEntries } from "../image/read/entry.ts";

/** An image with all that was read of it. */
export interface ReadImage extends Pick<ImageEntries, "format" | "others" | "erased"> {
  /** Its bytes. */
  readonly bytes: Uint8Array;
  /** Its entries and their values. */
  readonly entries: readonly ReadEntry[];
  /** What the firmware's getters would find for TLS. */
  readonly credentials: Credentials;
}

/** What an image is checked against. */
export interface CheckOptions {
  /** The time at which certificates should be valid. */
  readonly now: Date;
  /** The CA that should have issued the device certificate. @default that of the image */
  readonly issuers?: readonly Certificate[];
  /** Whether RSA keys of fewer than 2048 bits are a warning and not an error. */
  readonly allowWeak: boolean;
  /** Days within which the end of a certificate is an error. @default a warning within 90 days */
  readonly expiresWithin?: number;
  /** The chip that is to read the image. */
  readonly chip?: ChipName;
  /** The 32 bytes of the eFuse key, which must not be in the image. */
  readonly hmacKey?: Uint8Array;
  /** SubjectPublicKeyInfo of the private key, DER, where it cannot be seen in the image. */
  readonly publicKey?: Uint8Array;
  /** The keys that may sign the image, SubjectPublicKeyInfo in PEM or DER. @default any key */
  readonly signingKeys?: readonly Uint8Array[];
}

/** Looks for one kind of fault; never throws for what the image holds. */
export type ImageCheck = (
  image: ReadImage,
  options: CheckOptions,
) => readonly Finding[] | Promise<readonly Finding[]>;
