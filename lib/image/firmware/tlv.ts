import { SecureCertError } from "../../bytes/errors.ts";
import { equalBytes } from "../../bytes/pack.ts";
import { decryptEntry, deriveEcdsaKey } from "../../crypto/peripherals/hmac.ts";
import { digest } from "../../crypto/signing.ts";
import {
  type KeyStorage,
  keyStorageOf,
  LAST_OF_TYPE,
  TLV_TYPES,
  tlvTypeTitle,
} from "../../format/names.ts";
import { type Walk, type WalkedTlv, walkPartition } from "../../format/partition.ts";
import { decodeDsContext } from "../../format/peripheral.ts";
import type { Tlv } from "../../format/tlv.ts";
import { findSalt } from "../contents.ts";
import type { FirmwareDsContext, OpenOptions, PrivateKeyType, SecureCert } from "./open.ts";

const KEY_TYPES = {
  "plaintext": "DEFAULT_FORMAT",
  "hmac-encrypted": "HMAC_ENCRYPTED",
  "hmac-derived": "HMAC_DERIVED_ECDSA",
  "ecdsa-peripheral": "ECDSA_PERIPHERAL",
} as const satisfies Record<KeyStorage, PrivateKeyType>;

/** The getters on a chain of entries. */
export function tlvGetters(image: Uint8Array, options: OpenOptions): SecureCert {
  const walk = walkPartition(image);
  const subtype = options.legacyBuild === true ? LAST_OF_TYPE : 0;
  const read = async (type: number, which: number) =>
    await openEntry(findEntry(walk, type, which), which, walk, options.hmacKey);
  const value = async (type: number) => (await read(type, subtype)).data;
  return {
    format: "tlv",
    entries: () => readAll(walk, options.hmacKey),
    entry: (type, which = 0) => read(type, which),
    deviceCert: () => value(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCert: () => value(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    privateKey: () => value(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV),
    privateKeyType: () => Promise.try(() => readKeyType(walk, subtype)),
    privateKeyEfuseBlock: () => Promise.try(() => readEfuseBlock(walk)),
    dsContext: () => Promise.try(() => readDsContext(walk)),
    verifyIntegrity: () => checkIntegrity(image, walk),
  };
}

function readAll(walk: Walk, hmacKey: Uint8Array | undefined): Promise<Tlv[]> {
  const { entries } = walk;
  const bad = entries.findIndex(({ crc }) => crc.stored !== crc.computed);
  const listed = entries.slice(0, bad < 0 ? undefined : bad);
  return Promise.all(listed.map(async (entry) => {
    try {
      return await openEntry(entry, entry.value.subtype, walk, hmacKey);
    } catch (error) {
      if (!(error instanceof SecureCertError)) throw error;
      return entry.value;
    }
  }));
}

/** The firmware checks the checksum of the entry it was asked for and of no other. */
function findEntry({ entries, broken }: Walk, type: number, subtype: number): WalkedTlv {
  const ofType = entries.filter(({ value }) => value.type === type);
  const found = subtype === LAST_OF_TYPE
    ? ofType.at(-1)
    : ofType.find(({ value }) => value.subtype === subtype);
  if (broken !== undefined && (found === undefined || subtype === LAST_OF_TYPE)) throw broken;
  if (found === undefined) {
    throw new SecureCertError(
      "ERR_NOT_FOUND",
      `No ${tlvTypeTitle(type)} entry with subtype ${subtype}`,
    );
  }
  const { crc, offset } = found;
  if (crc.stored === crc.computed) return found;
  const message = `Cannot read ${tlvTypeTitle(type)}: checksum does not match`;
  throw new SecureCertError("ERR_CHECKSUM", message, { entry: entries.indexOf(found), offset });
}

/** Values that the HMAC peripheral protects come out as the firmware's caller gets them. */
async function openEntry(
  { value, offset }: WalkedTlv,
  asked: number,
  { entries }: Walk,
  hmacKey: Uint8Array | undefined,
): Promise<Tlv> {
  const storage = keyStorageOf(value.flags);
  const isKey = value.type === TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV;
  if (storage !== "hmac-encrypted" && !(isKey && storage === "hmac-derived")) return value;
  if (hmacKey === undefined) {
    const message = `Cannot read ${tlvTypeTitle(value.type)}: need the HMAC key, it is ${storage}`;
    throw new SecureCertError("ERR_KEY", message, { offset });
  }
  if (storage === "hmac-encrypted") {
    return { ...value, data: await decryptEntry(value.data, { hmacKey }) };
  }
  const { sec1 } = await deriveEcdsaKey(hmacKey, findSalt(entries, asked));
  return { ...value, data: sec1 };
}

function readKeyType(walk: Walk, subtype: number): PrivateKeyType {
  const { value } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, subtype);
  return KEY_TYPES[keyStorageOf(value.flags)];
}

/** The first byte, however long the value; an empty one has none, though the firmware reads on. */
function readEfuseBlock(walk: Walk): number {
  const { value: { data }, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, 0);
  if (data[0] !== undefined) return data[0];
  throw new SecureCertError("ERR_LENGTH", "Cannot read security configuration: it is empty", {
    offset,
  });
}

function readDsContext(walk: Walk): FirmwareDsContext {
  const context = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, 0);
  const { value: { data } } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, 0);
  const { efuseKeyId, rsaLengthBits } = decodeDsContext(context.value.data);
  return { efuseKeyId, rsaLengthBits, dsData: data };
}

async function checkIntegrity(image: Uint8Array, walk: Walk): Promise<void> {
  const { value, offset } = findEntry(walk, TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV, LAST_OF_TYPE);
  if (equalBytes(value.data, await digest("SHA-256", image.subarray(0, offset)))) return;
  throw new SecureCertError("ERR_INTEGRITY", "Integrity entry does not match the image", {
    offset,
  });
}
