import type { KeyInput } from "../../crypto/keys/keys.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { type KeyMode, TLV_TYPES, type TlvType } from "../../format/names.ts";
import { KEY_MODE_RULES } from "../../key_modes/modes.ts";
import type { PlannedEntry } from "./entry.ts";

/**
 * An entry beside the credentials.
 *
 * @category Building and changing
 */
export interface DataEntry {
  /** Entry type: a number, a name of {@linkcode TLV_TYPES} or a short name such as `user1`. */
  readonly type: TlvType;
  /** Number among the entries of this type, 0 to 253. @default 0 */
  readonly subtype?: number;
  /** The value; certificates and private keys are taken and stored as those of the credentials are. */
  readonly data: Uint8Array;
  /** Store the bytes of a certificate or key as they are, not in canonical form. @default false */
  readonly verbatim?: boolean;
}

/**
 * What an image is to hold.
 *
 * @category Building and changing
 */
export interface BuildPlan {
  /** CA certificate: PEM (a bundle too), DER, or as an object. */
  readonly caCert?: CertificateInput;
  /** Device certificate, with those of intermediate CAs after it: PEM, DER, or as objects. */
  readonly deviceCert?: CertificateInput;
  /**
   * Private key in any encoding or as an object. It is left out for `hmac-derived`, and may be for
   * `ecdsa-peripheral`, where the device certificate shows its curve.
   */
  readonly privateKey?: KeyInput;
  /** Password of a protected private key. */
  readonly password?: string;
  /** How the private key reaches the device. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** The chip; needed for every mode but `plaintext`. */
  readonly chip?: ChipName;
  /** The n of the KEYn that holds the eFuse key. @default 1 */
  readonly efuseKeyId?: number;
  /** The eFuse key of the modes with an HMAC, 32 bytes as burned. @default made from `random` */
  readonly hmacKey?: Uint8Array;
  /** `hmac-derived`: the salt that the certificate's key was derived with. @default a new one */
  readonly salt?: Uint8Array;
  /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
  readonly iv?: Uint8Array;
  /** Further entries, which follow the credentials in this order. @default [] */
  readonly data?: readonly DataEntry[];
}

const {
  ESP_SECURE_CERT_CA_CERT_TLV: CA,
  ESP_SECURE_CERT_DEV_CERT_TLV: DEV,
  ESP_SECURE_CERT_PRIV_KEY_TLV: KEY,
  ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT,
} = TLV_TYPES;
/** KEY0 is what flash encryption and secure boot like to take. */
export const DEFAULT_EFUSE_KEY_ID = 1;
const NO_DATA = new Uint8Array();

/**
 * A plan as a list of entries: CA certificate, device certificate, key, further entries.
 *
 * @param plan What the image is to hold.
 */
export function entriesOf(plan: BuildPlan): PlannedEntry[] {
  const { caCert, deviceCert, salt, data = [] } = plan;
  const entries: PlannedEntry[] = [];
  if (caCert !== undefined) entries.push({ type: CA, data: caCert });
  if (deviceCert !== undefined) entries.push({ type: DEV, data: deviceCert });
  if (salt !== undefined) entries.push({ type: SALT, data: salt });
  const key = keyOf(plan);
  if (key !== undefined) entries.push(key);
  return [...entries, ...data];
}

function keyOf(plan: BuildPlan): PlannedEntry | undefined {
  const { keyMode = "plaintext", privateKey, hmacKey, salt, iv } = plan;
  if (keyMode === "plaintext" && privateKey === undefined) return undefined;
  const { efuseKey, privateKey: wanted } = KEY_MODE_RULES[keyMode];
  return {
    type: KEY,
    data: privateKey ?? NO_DATA,
    keyMode,
    hmacKey,
    iv,
    efuseKeyId: efuseKey === "none" ? undefined : plan.efuseKeyId ?? DEFAULT_EFUSE_KEY_ID,
    makeSalt: wanted === "derived" && salt === undefined,
  };
}
