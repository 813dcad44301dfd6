import { TLV_TYPES } from "../format/names.ts";
import type { Finding } from "../findings/findings.ts";
import { keyModeOf } from "../image/contents/credentials.ts";
import type { CheckOptions, ReadImage } from "./check.ts";

/** A check that applies to an image and was not run. */
interface Unchecked {
  readonly what: string;
  readonly flag?: "chip" | "hmac-key" | "signing-key";
}

/** What an image was checked against; without each of these some checks are left out. */
interface Given extends Pick<CheckOptions, "chip" | "signingKeys"> {
  readonly hmacKey?: Uint8Array;
}

const { ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA, ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT } =
  TLV_TYPES;

/**
 * The checks that apply to an image and were not run, each with the flag that would run it. A key in an
 * eFuse counts as checked when its certificate and purpose were, for which the chip is enough.
 *
 * @param image The image, as it was read with these options.
 * @param findings What was found in it.
 * @param given What it was checked against.
 */
export function findUnchecked(
  image: ReadImage,
  findings: readonly Finding[],
  given: Given,
): Unchecked[] {
  const { chip, hmacKey, signingKeys } = given;
  return [
    ...hmacKey === undefined ? needingHmacKey(image) : [],
    ...chip === undefined ? needingChip(image) : [],
    ...signingKeys === undefined ? needingSigningKey(image) : [],
    ...findings.filter(({ code }) => code === "CHAIN_UNCHECKED").map(() => ({
      what: "certificate chain",
    })),
  ];
}

function needingHmacKey({ entries, credentials }: ReadImage): Unchecked[] {
  const { types, keyEntry } = credentials;
  const storages = entries.map(({ content }) =>
    content.kind === "privateKey" ? content.storage : content.kind
  );
  const what = [
    ...storages.includes("dsData") || types.has(DS_DATA) ? ["DS parameters"] : [],
    ...storages.includes("hmac-encrypted") ? ["HMAC-encrypted private key"] : [],
    ...storages.includes("hmac-derived") || keyEntry?.storage === "hmac-derived"
      ? ["HMAC-derived private key"]
      : [],
    ...storages.includes("encrypted") ? ["HMAC-encrypted entries"] : [],
  ];
  return what.map((each) => ({ what: each, flag: "hmac-key" }));
}

/** What the DS and ECDSA peripherals take differs by chip; what the HMAC modes store does not. */
function needingChip({ credentials }: ReadImage): Unchecked[] {
  const isDs = credentials.types.has(DS_DATA) || credentials.types.has(DS_CONTEXT);
  const isInPeripheral = isDs || keyModeOf(credentials) === "ecdsa-peripheral";
  return isInPeripheral ? [{ what: "what the chip has for this key mode", flag: "chip" }] : [];
}

function needingSigningKey({ entries }: ReadImage): Unchecked[] {
  const isSigned = entries.some(({ raw }) =>
    raw.value.type === TLV_TYPES.ESP_SECURE_CERT_SIGNATURE_BLOCK_TLV
  );
  return isSigned ? [{ what: "whose key signed the image", flag: "signing-key" }] : [];
}
