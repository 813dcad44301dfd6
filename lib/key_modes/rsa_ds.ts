import { countOf } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { WEAK_RSA_BITS } from "../crypto/keys/curves.ts";
import { keyName } from "../crypto/keys/encoding.ts";
import type { DecryptedDsParameters } from "../crypto/peripherals/ds.ts";
import { type Certificate, fitInBundle, publicKeyOf } from "../crypto/x509/certificate.ts";
import { type ChipName, dsLayout } from "../format/chips/chips.ts";
import { keyBlockAccepts, MOST_KEY_BLOCKS } from "../format/chips/key_blocks.ts";
import { TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { encodeDsContext, encodeDsData } from "../format/peripheral.ts";
import { type Finding, finding, type FindingPlace } from "../findings/findings.ts";
import type { KeyModeRules, ModeEntries, ModeImage, ModeRequest } from "./mode.ts";

const { ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA, ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT } =
  TLV_TYPES;
const PURPOSE = "HMAC_DOWN_DIGITAL_SIGNATURE";

/**
 * The RSA key is encrypted for the DS peripheral, which signs with it; only the hardware sees the key
 * that opens it (FORMAT: RSA Digital-Signature parameters).
 */
export const rsaDs: KeyModeRules = {
  isOn: ({ ds }) => ds !== null,
  privateKey: "needed",
  efuseKey: "hmac key",
  standardKey: { type: "rsa" },
  keyProblem: (key, chip) => {
    if (key.type !== "rsa") return `rsa-ds needs an RSA key, this is a ${keyName(key)} key`;
    const sizes = dsLayout(chip)!.rsaBits;
    if (sizes.includes(key.bits)) return undefined;
    return `the DS peripheral of ${chip} takes ${sizes.join(", ")} bits, not ${key.bits}`;
  },
  purposes: () => [PURPOSE],
  makeEntries,
  open: async (content, _entry, { hmacKey }) => {
    if (content.kind !== "dsData" || hmacKey === undefined) return content;
    const { decryptDsParameters } = await import("../crypto/peripherals/ds.ts");
    return { ...content, opened: await decryptDsParameters(content.data, { hmacKey }) };
  },
  check: (image) => [...checkDs(image), ...checkSubtypes(image)],
};

async function makeEntries(request: ModeRequest): Promise<ModeEntries> {
  const { subtype, key, chip, efuseKeyId, hmacKey, iv, random } = request;
  const { encryptDsParameters } = await import("../crypto/peripherals/ds.ts");
  const data = await encryptDsParameters(key!, { chip, hmacKey: hmacKey!, iv, random });
  const context = { efuseKeyId: efuseKeyId!, rsaLengthBits: data.rsaLengthBits };
  return {
    first: [
      { type: DS_DATA, subtype, flags: 0, data: encodeDsData(data) },
      { type: DS_CONTEXT, subtype, flags: 0, data: encodeDsContext(context) },
    ],
  };
}

/** What cannot be read at all has its finding already. */
function checkDs({ credentials, chip }: ModeImage): Finding[] {
  const { dsData, dsContext, types } = credentials;
  const findings: Finding[] = [];
  if (types.has(DS_DATA) && !types.has(DS_CONTEXT)) {
    const message = "there is DS data but no DS context: the firmware has no key";
    findings.push(finding("DS_CONTEXT", message));
  }
  if (types.has(DS_CONTEXT) && !types.has(DS_DATA)) {
    const message = "there is a DS context but no DS data: the firmware has no key";
    findings.push(finding("DS_BLOB", message));
  }
  if (dsContext !== undefined) {
    findings.push(...checkKeyId(dsContext.context.efuseKeyId, chip, dsContext.place));
  }
  if (dsData === undefined) return findings;
  const { data, opened, place } = dsData;
  if (dsContext !== undefined && dsContext.context.rsaLengthBits !== data.rsaLengthBits) {
    const message =
      `the DS context says ${dsContext.context.rsaLengthBits} bits, the DS data ${data.rsaLengthBits}`;
    findings.push(finding("DS_CONTEXT", message, dsContext.place));
  }
  return [
    ...findings,
    ...checkSize(data.rsaLengthBits, data.ciphertext.length, chip, place),
    ...checkCertificate(credentials.deviceCerts, data.rsaLengthBits, opened),
    ...opened === undefined ? [] : checkOpened(opened, place),
  ];
}

/** The firmware asks for subtype 0 of these and for no other. */
function checkSubtypes({ entries, credentials: { types } }: ModeImage): Finding[] {
  return entries.flatMap(({ raw: { value, offset } }, entry) => {
    const isDs = value.type === DS_DATA || value.type === DS_CONTEXT;
    if (!isDs || value.subtype === 0 || types.has(value.type)) return [];
    const title = tlvTypeTitle(value.type);
    const message = `${title} with subtype ${value.subtype}: the firmware reads only subtype 0`;
    return [finding("DS_CONTEXT", message, { entry, offset })];
  });
}

function checkKeyId(keyId: number, chip: ChipName | undefined, place: FindingPlace): Finding[] {
  const isFit = chip === undefined || dsLayout(chip) === undefined
    ? keyId < MOST_KEY_BLOCKS
    : keyBlockAccepts(chip, keyId, PURPOSE);
  if (isFit) return [];
  const why = chip === undefined ? "which no chip has" : `which ${chip} cannot use for it`;
  return [finding("DS_CONTEXT", `the DS context names eFuse key ${keyId}, ${why}`, place)];
}

function checkSize(
  bits: number,
  ciphertextLength: number,
  chip: ChipName | undefined,
  place: FindingPlace,
): Finding[] {
  const findings: Finding[] = [];
  if (bits < WEAK_RSA_BITS) {
    findings.push(
      finding("CERT_WEAK", `an RSA key of ${bits} bits can be broken`, place, "warning"),
    );
  }
  const layout = chip === undefined ? undefined : dsLayout(chip);
  if (layout === undefined) return findings;
  if (ciphertextLength !== layout.ciphertextLength) {
    const message = `the DS ciphertext has ${
      countOf(ciphertextLength, "byte")
    }, ${chip} reads ${layout.ciphertextLength}`;
    findings.push(finding("DS_SIZE", message, place));
  }
  if (!layout.rsaBits.includes(bits)) {
    const message = `an RSA key of ${bits} bits; ${chip} takes ${layout.rsaBits.join(", ")}`;
    findings.push(finding("DS_SIZE", message, place));
  }
  return findings;
}

/** Without the HMAC key only the size can be compared, with it the key itself. */
function checkCertificate(
  deviceCerts: readonly Certificate[],
  bits: number,
  opened: DecryptedDsParameters | undefined,
): Finding[] {
  const [certificate] = deviceCerts;
  if (certificate === undefined) return [];
  const modulus = opened?.checks.digest === true ? opened.modulus : undefined;
  const isFor = (each: Certificate) => {
    const key = publicKeyOf(each);
    return key?.type === "rsa" && key.bits === bits &&
      (modulus === undefined || equalBytes(modulus, key.modulus));
  };
  if (isFor(certificate)) return [];
  const message = certificate.key === `RSA-${bits}`
    ? "the key in the DS data is not that of the device certificate"
    : `the DS peripheral holds an RSA-${bits} key, the device certificate is for ${certificate.key}`;
  return [finding("KEY_MISMATCH", message + fitInBundle(deviceCerts, isFor))];
}

function checkOpened({ checks }: DecryptedDsParameters, place: FindingPlace): Finding[] {
  if (!checks.digest) {
    const message = "the DS data does not open with this HMAC key: another key, or changed bytes";
    return [finding("DS_BLOB", message, place)];
  }
  const wrong = Object.entries(checks).filter(([, holds]) => !holds).map(([name]) => name);
  if (wrong.length === 0) return [];
  const message = `inside the DS data, these checks fail: ${wrong.join(", ")}`;
  return [finding("DS_BLOB", message, place)];
}
