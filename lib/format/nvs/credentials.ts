import { countOf, SecureCertError } from "../../bytes/errors.ts";
import type { Credentials, StoredDs } from "../credentials.ts";
import { DS_IV_LENGTH } from "../peripheral.ts";
import { decodeNvs } from "./decode.ts";
import type { DecodedNvs, NvsProblem, NvsStoredItem } from "./decoded.ts";

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
export type NvsCredentialPart = keyof typeof NVS_CREDENTIALS;

const DS_PARTS = ["ciphertext", "iv", "rsaLengthBits", "efuseKeyId"] as const;

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
  const isUsable = isWhole && ds.iv.length === DS_IV_LENGTH;
  if (isWhole && !isUsable) {
    report("iv", `iv has ${countOf(ds.iv.length, "byte")} instead of ${DS_IV_LENGTH}`);
  }
  return {
    deviceCert,
    caCert,
    privateKey,
    ds: isUsable ? ds : undefined,
  };
}
