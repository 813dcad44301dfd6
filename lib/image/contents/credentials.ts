import type { Certificate } from "../../crypto/x509/certificate.ts";
import { type KeyMode, keyStorageOf, TLV_TYPES } from "../../format/names.ts";
import type { StoredTlv } from "../../format/tlv.ts";
import type { Content, ReadEntry } from "./contents.ts";
import type { FindingPlace } from "../../findings/findings.ts";

type Placed<Kind extends Content["kind"]> = Extract<Content, { kind: Kind }> & {
  readonly place: FindingPlace;
};

/**
 * What an image holds for TLS: the entries with subtype 0, which the firmware's getters read, and of
 * their certificates those that the device uses.
 */
export interface Credentials {
  /** Device certificate, and what follows it in a bundle. */
  readonly deviceCerts: readonly Certificate[];
  /** CA certificates. */
  readonly caCerts: readonly Certificate[];
  /** The private key entry. */
  readonly keyEntry?: Placed<"privateKey">;
  /** The DS data, when it can be read. */
  readonly dsData?: Placed<"dsData">;
  /** The DS context, when it can be read. */
  readonly dsContext?: Placed<"dsContext">;
  /** The security configuration, when it can be read. */
  readonly securityConfig?: Placed<"securityConfig">;
  /** Types of which there is an entry with subtype 0, readable or not. */
  readonly types: ReadonlySet<number>;
}

/** The credentials of an image. */
export function findCredentials(entries: readonly ReadEntry[]): Credentials {
  const first = <Kind extends Content["kind"]>(
    type: number,
    kind: Kind,
  ): Placed<Kind> | undefined => {
    const index = entries.findIndex(({ raw: { value } }) =>
      value.type === type && value.subtype === 0
    );
    const found = entries[index];
    if (found?.content.kind !== kind) return undefined;
    const place = { entry: index, offset: found.raw.offset };
    return { ...found.content as Extract<Content, { kind: Kind }>, place };
  };
  const certificates = (type: number) => {
    const content = first(type, "certificate");
    return content === undefined || content.refusal ? [] : content.certificates;
  };
  return {
    deviceCerts: certificates(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCerts: certificates(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    keyEntry: first(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, "privateKey"),
    dsData: first(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, "dsData"),
    dsContext: first(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, "dsContext"),
    securityConfig: first(TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, "securityConfig"),
    types: new Set(
      entries.filter(({ raw }) => raw.value.subtype === 0).map(({ raw }) => raw.value.type),
    ),
  };
}

/** How the private key reaches the device; undefined when the image does not say. */
export function keyModeOf({ keyEntry, types }: Credentials): KeyMode | undefined {
  if (keyEntry !== undefined) return keyEntry.storage;
  return types.has(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV) ? "rsa-ds" : undefined;
}

/**
 * Whether an image promises that its private key is not in flash in plaintext: every key mode but
 * `plaintext` does, DS data also beside a private key that is there.
 *
 * @param entries The entries, whatever their values.
 */
export function hidesKey(
  entries: readonly Pick<StoredTlv, "type" | "subtype" | "flags">[],
): boolean {
  const keys = entries.filter(({ type }) => type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV);
  const read = keys.find(({ subtype }) => subtype === 0) ?? keys.at(-1);
  return read !== undefined && keyStorageOf(read.flags) !== "plaintext" ||
    entries.some(({ type, subtype }) =>
      type === TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV && subtype === 0
    );
}
