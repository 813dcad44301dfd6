import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { decodeUtf8, formatHex } from "../bytes/text.ts";
import { type CertificateInfo, readCertificates } from "../crypto/certificate_info.ts";
import { importPrivateKey, type PrivateKey } from "../crypto/keys.ts";
import { digest } from "../crypto/signing.ts";
import { keyStorageOf, TLV_TYPES } from "../format/names.ts";
import type { Walk, WalkedTlv } from "../format/partition.ts";

/** What the value of an entry is, in a word; `opaque` when nothing is known of it. */
export type EntryKind =
  | "certificate"
  | "privateKey"
  | "integrity"
  | "userData"
  | "opaque"
  | "unreadable";

/** What the value of an entry is, read as its type says. */
export type Content =
  | { readonly kind: "certificate"; readonly certificates: readonly CertificateInfo[] }
  | { readonly kind: "privateKey"; readonly key: PrivateKey }
  | { readonly kind: "integrity"; readonly sha256: string; readonly ok: boolean }
  | { readonly kind: "userData"; readonly text?: string }
  | { readonly kind: "opaque" }
  | { readonly kind: "unreadable"; readonly problem: string };

/** An entry with what its value is. */
export interface ReadEntry {
  readonly raw: WalkedTlv;
  readonly content: Content;
}

const { ESP_SECURE_CERT_USER_DATA_1: FIRST_USER, ESP_SECURE_CERT_USER_DATA_5: LAST_USER } =
  TLV_TYPES;

/** Reads the value of each entry of a walked chain. */
export async function readContents(image: Uint8Array, walk: Walk): Promise<ReadEntry[]> {
  return await Promise.all(
    walk.entries.map(async (raw) => ({ raw, content: await readContent(image, raw) })),
  );
}

async function readContent(image: Uint8Array, raw: WalkedTlv): Promise<Content> {
  const { type, data, flags } = raw.value;
  try {
    if (
      type === TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV ||
      type === TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV
    ) {
      return { kind: "certificate", certificates: readCertificates(data) };
    }
    if (type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV && keyStorageOf(flags) === "plaintext") {
      return { kind: "privateKey", key: await importPrivateKey(data) };
    }
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { kind: "unreadable", problem: error.message };
  }
  if (type === TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV) return await readIntegrity(image, raw);
  if (type >= FIRST_USER && type <= LAST_USER) return { kind: "userData", ...printable(data) };
  return { kind: "opaque" };
}

async function readIntegrity(image: Uint8Array, raw: WalkedTlv): Promise<Content> {
  const computed = await digest("SHA-256", image.subarray(0, raw.offset));
  const { data } = raw.value;
  return { kind: "integrity", sha256: formatHex(data), ok: equalBytes(data, computed) };
}

function printable(data: Uint8Array): { text?: string } {
  const text = decodeUtf8(data);
  // deno-lint-ignore no-control-regex
  return text === undefined || /[\x00-\x08\x0E-\x1F\x7F-\x9F]/.test(text) || text === ""
    ? {}
    : { text };
}
