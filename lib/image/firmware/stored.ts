import { SecureCertError } from "../../bytes/errors.ts";
import { TLV_TYPES, tlvTypeTitle } from "../../format/names.ts";
import { decodeDsContext } from "../../format/peripheral.ts";
import type { Tlv } from "../../format/tlv.ts";
import type { ImageEntry } from "../read/image.ts";
import type { FirmwareDsContext, SecureCert } from "./open.ts";
import type { ImageFormat } from "../find/recognise.ts";

/** The getters on a cust_flash or NVS image: one value of each kind, each under its own checksum. */
export function storedGetters(format: ImageFormat, entries: readonly ImageEntry[]): SecureCert {
  const get = (type: number) => Promise.try(() => find(entries, type).data);
  return {
    format,
    entries: () => Promise.resolve(entries.filter(isRight).map(({ value }) => value)),
    entry: (type, subtype = 0) => Promise.try(() => find(entries, type, subtype)),
    deviceCert: () => get(TLV_TYPES.ESP_SECURE_CERT_DEV_CERT_TLV),
    caCert: () => get(TLV_TYPES.ESP_SECURE_CERT_CA_CERT_TLV),
    privateKey: () => get(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV),
    privateKeyType: () => get(TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV).then(() => "DEFAULT_FORMAT"),
    privateKeyEfuseBlock: () =>
      Promise.reject(absent("an eFuse block for the private key", format)),
    dsContext: () => Promise.try(() => readDsContext(entries)),
    verifyIntegrity: () => Promise.reject(absent("an integrity entry", format)),
  };
}

function find(entries: readonly ImageEntry[], type: number, subtype = 0): Tlv {
  const found = entries.find(({ value }) => value.type === type && value.subtype === subtype);
  if (found === undefined) throw new SecureCertError("ERR_NOT_FOUND", `No ${tlvTypeTitle(type)}`);
  if (isRight(found)) return found.value;
  const message = `Cannot read ${tlvTypeTitle(type)}: checksum does not match`;
  throw new SecureCertError("ERR_CHECKSUM", message, { offset: found.offset });
}

function readDsContext(entries: readonly ImageEntry[]): FirmwareDsContext {
  const { data } = find(entries, TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV);
  const { efuseKeyId, rsaLengthBits } = decodeDsContext(data);
  return {
    efuseKeyId,
    rsaLengthBits,
    dsData: find(entries, TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV).data,
  };
}

function isRight({ crc }: ImageEntry): boolean {
  return crc.stored === crc.computed;
}

function absent(what: string, format: ImageFormat): SecureCertError {
  return new SecureCertError("ERR_NOT_FOUND", `${format} images cannot hold ${what}`);
}
