import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { type Bytes, concat } from "../../bytes/pack.ts";
import { isPem } from "../../bytes/pem.ts";
import { decodeUtf8 } from "../../bytes/text.ts";
import type { Credentials, StoredDs } from "../credentials.ts";
import { decodeNvs } from "./decode.ts";
import type { DecodedNvs, NvsItem, NvsProblem, NvsStoredItem } from "./decoded.ts";
import { DEFAULT_NVS_SIZE, encodeNvs } from "./encode.ts";

/** Namespaces that hold credentials, in the order in which the firmware looks for them. */
export const NVS_CREDENTIAL_NAMESPACES = ["esp_secure_cert", "pre_prov"] as const;

/** What {@linkcode decodeNvsCredentials} found. */
export type DecodedNvsCredentials = ReturnType<typeof decodeNvsCredentials>;

/** Keys and types of the credentials (FORMAT: nvs flavour), in the order of Espressif's tool for DS. */
export const NVS_CREDENTIALS = {
  caCert: { key: "ca_cert", type: "string" },
  ciphertext: { key: "cipher_c", type: "blob" },
  deviceCert: { key: "dev_cert", type: "string" },
  privateKey: { key: "priv_key", type: "string" },
  rsaLengthBits: { key: "rsa_len", type: "u16" },
  efuseKeyId: { key: "ds_key_id", type: "u8" },
  iv: { key: "iv", type: "blob" },
} as const;

/** A part of the credentials that has a key of its own. */
type NvsCredentialPart = keyof typeof NVS_CREDENTIALS;

const DS_PARTS = ["ciphertext", "iv", "rsaLengthBits", "efuseKeyId"] as const;
const IV_LENGTH = 16;

/**
 * An NVS image, byte for byte as Espressif's tool writes it (FORMAT: nvs flavour): `ca_cert`, `dev_cert`
 * and `priv_key` as strings, `cipher_c` and `iv` as blobs, `rsa_len` u16, `ds_key_id` u8. PEM text gets
 * a NUL at its end where there is none. The image is of `size` bytes, 0x3000 by default.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} `ERR_PEM` for a certificate or key that is not PEM text, because NVS strings
 * hold no DER; `ERR_LENGTH` for one of more than 4000 bytes, or an IV that is not 16; `ERR_TOO_LARGE`;
 * `RangeError` for an impossible size, or a key length or number out of range.
 */
export function encodeNvsCredentials(
  credentials: Credentials,
  options: {
    /** Size of the partition in bytes, a multiple of 0x1000 and at least 0x3000. @default 0x3000 */
    readonly size?: number;
    /** The partition is mounted readonly, so that it can be smaller and needs no reserve. @default false */
    readonly readonly?: boolean;
    /** Namespace of the keys. @default "esp_secure_cert" */
    readonly namespace?: "esp_secure_cert" | "pre_prov";
  } = {},
): Bytes {
  const { size = DEFAULT_NVS_SIZE, readonly = false } = options;
  const { namespace = NVS_CREDENTIAL_NAMESPACES[0] } = options;
  const { ds, ...texts } = credentials;
  if (ds !== undefined && ds.iv.length !== IV_LENGTH) {
    throw new SecureCertError(
      "ERR_LENGTH",
      `Cannot encode NVS: iv has ${countOf(ds.iv.length, "byte")} instead of ${IV_LENGTH}`,
      { field: "iv" },
    );
  }
  const values = { ...texts, ...ds };
  const items: NvsItem[] = [];
  for (const part of Object.keys(NVS_CREDENTIALS) as NvsCredentialPart[]) {
    const value = values[part];
    if (value === undefined) continue;
    const { key, type } = NVS_CREDENTIALS[part];
    items.push(
      type === "string"
        ? { namespace, key, type, value: pemText(key, value as Uint8Array) }
        : { namespace, key, type, value } as NvsItem,
    );
  }
  return encodeNvs(items, { size, readonly });
}

/**
 * The credentials in an NVS image, as the firmware's getters return them: from the namespace
 * `esp_secure_cert`, or from `pre_prov` without it. `offsets` are those of the values, in bytes from the
 * start of the image; what is damaged is absent and reported.
 *
 * @category cust_flash and NVS
 * @throws {SecureCertError} as {@linkcode decodeNvs}; `ERR_NOT_FOUND` when there is neither namespace.
 */
export function decodeNvsCredentials(image: Uint8Array): {
  /** The namespace that holds them. */
  readonly namespace: "esp_secure_cert" | "pre_prov";
  /** What the firmware's getters would return. */
  readonly credentials: Credentials;
  /** Where each value that is there starts, in bytes from the start of the image. */
  readonly offsets: {
    readonly caCert?: number;
    readonly deviceCert?: number;
    readonly privateKey?: number;
    readonly ciphertext?: number;
    readonly iv?: number;
    readonly rsaLengthBits?: number;
    readonly efuseKeyId?: number;
  };
  /** What is wrong in the image; empty for a sound one. */
  readonly problems: DecodedNvs["problems"];
} {
  return credentialsOfNvs(decodeNvs(image));
}

/**
 * The credentials among what {@linkcode decodeNvs} found.
 *
 * @param decoded The items and namespaces.
 * @param searched The namespaces that the firmware looks for, in its order.
 * @returns As {@linkcode decodeNvsCredentials}.
 * @throws {SecureCertError} `ERR_NOT_FOUND` when neither namespace is there.
 */
export function credentialsOfNvs(
  { items, namespaces, problems }: DecodedNvs,
  searched: readonly (typeof NVS_CREDENTIAL_NAMESPACES)[number][] = NVS_CREDENTIAL_NAMESPACES,
): DecodedNvsCredentials {
  const namespace = searched.find((name) => namespaces.includes(name));
  if (namespace === undefined) {
    throw new SecureCertError(
      "ERR_NOT_FOUND",
      `Cannot decode NVS credentials: no namespace ${searched.join(" or ")}`,
    );
  }
  const found = items.filter((item) => item.namespace === namespace);
  const own: NvsProblem[] = [];
  const values: Partial<Record<NvsCredentialPart, NvsStoredItem["value"]>> = {};
  const offsets: Partial<Record<NvsCredentialPart, number>> = {};
  for (const part of Object.keys(NVS_CREDENTIALS) as NvsCredentialPart[]) {
    const { key, type } = NVS_CREDENTIALS[part];
    const item = found.find((each) => each.key === key && each.type === type);
    if (item !== undefined) {
      values[part] = item.value;
      offsets[part] = item.offset;
      continue;
    }
    // Beside the right type, in another page, the firmware does not stop at one of another type.
    const other = found.find((each) => each.key === key);
    if (other === undefined) continue;
    const message =
      `${key} is of type ${other.type}; the firmware asks for ${type} and gets an error`;
    own.push({ kind: "type", message, offset: other.offset, namespace, key });
  }
  const credentials = assemble(values, (part, what) => {
    const offset = offsets[part] ?? 0;
    own.push({
      kind: "credential",
      message: what,
      offset,
      namespace,
      key: NVS_CREDENTIALS[part].key,
    });
  });
  return { namespace, credentials, offsets, problems: [...problems, ...own] };
}

function assemble(
  values: Partial<Record<NvsCredentialPart, NvsStoredItem["value"]>>,
  report: (part: NvsCredentialPart, what: string) => void,
): Credentials {
  const { deviceCert, caCert, privateKey, ...ds } = values as Credentials & StoredDs;
  const missing = DS_PARTS.filter((part) => ds[part] === undefined);
  const isWhole = missing.length === 0;
  if (!isWhole && missing.length < DS_PARTS.length) {
    for (const part of missing) report(part, `DS parameters lack ${NVS_CREDENTIALS[part].key}`);
  }
  // The getter has room for 16 bytes and fails for more; fewer leave a part of the IV unset.
  const isUsable = isWhole && ds.iv.length === IV_LENGTH;
  if (isWhole && !isUsable) {
    report("iv", `iv has ${countOf(ds.iv.length, "byte")} instead of ${IV_LENGTH}`);
  }
  return {
    deviceCert,
    caCert,
    privateKey,
    ds: isUsable ? ds : undefined,
  };
}

/** PEM text with one NUL at its end, as the reference writes it and the firmware expects it. */
function pemText(key: string, bytes: Uint8Array): Uint8Array {
  const text = bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
  if (!text.includes(0) && isPem(decodeUtf8(text) ?? "")) return concat(text, new Uint8Array(1));
  throw new SecureCertError("ERR_PEM", `Cannot encode NVS: ${key} is not PEM text`, { field: key });
}
