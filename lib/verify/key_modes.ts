import { equalBytes } from "../bytes/pack.ts";
import { type CertificateInfo, publicKeyOf } from "../crypto/x509/certificate.ts";
import { WEAK_RSA_BITS } from "../crypto/keys/curves.ts";
import type { DecryptedDsParameters } from "../crypto/peripherals/ds.ts";
import { type ChipName, CHIPS, dsLayout, keyModesOf } from "../format/chips/chips.ts";
import { keyBlockAccepts, keyIdOfEfuseBlock } from "../format/chips/key_blocks.ts";
import { keyStorageOf, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import type { ReadEntry } from "../image/contents.ts";
import { type Credentials, keyModeOf } from "../image/credentials.ts";
import { type Finding, finding, type FindingPlace } from "../findings/findings.ts";

const DS_PURPOSE = "HMAC_DOWN_DIGITAL_SIGNATURE";
const MAX_KEY_ID = 5;

/** What is wrong with how the private key is kept, on a chip where one is named. */
export function judgeKeyMode(
  credentials: Credentials,
  entries: readonly ReadEntry[],
  chip: ChipName | undefined,
): Finding[] {
  return [
    ...judgeChip(credentials, chip),
    ...judgePlaintext(credentials, chip),
    ...judgeDs(credentials, chip),
    ...judgeDsSubtypes(entries, credentials),
    ...judgePeripheralKey(credentials, chip),
    ...judgeEncrypted(entries),
  ];
}

function judgeChip(credentials: Credentials, chip: ChipName | undefined): Finding[] {
  const mode = keyModeOf(credentials);
  if (chip === undefined || mode === undefined || keyModesOf(chip).includes(mode)) return [];
  const modes = keyModesOf(chip).join(", ");
  return [finding("CHIP_UNSUPPORTED", `${chip} has no ${mode} keys; it has ${modes}`)];
}

/** Legal, so a warning, which names what the chip could do instead. */
function judgePlaintext({ keyEntry }: Credentials, chip: ChipName | undefined): Finding[] {
  if (keyEntry?.storage !== "plaintext") return [];
  const better = chip === undefined ? [] : keyModesOf(chip).filter((mode) => mode !== "plaintext");
  const instead = better.length === 0 ? "" : `; ${chip} also has ${better.join(", ")}`;
  const message =
    `the private key lies in flash in plaintext; whoever reads the flash has it${instead}`;
  return [finding("PLAINTEXT_KEY", message, keyEntry.place)];
}

const { ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA, ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT } =
  TLV_TYPES;

/** What cannot be read at all has its finding already. */
function judgeDs(credentials: Credentials, chip: ChipName | undefined): Finding[] {
  const { dsData, dsContext, types } = credentials;
  const findings: Finding[] = [];
  if (types.has(DS_DATA) && !types.has(DS_CONTEXT)) {
    findings.push(
      finding("DS_CONTEXT", "there is DS data and no DS context; the firmware has no key"),
    );
  }
  if (types.has(DS_CONTEXT) && !types.has(DS_DATA)) {
    findings.push(
      finding("DS_BLOB", "there is a DS context and no DS data; the firmware has no key"),
    );
  }
  if (dsContext !== undefined) {
    findings.push(...judgeKeyId(dsContext.context.efuseKeyId, chip, dsContext.place));
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
    ...judgeDsSize(data.rsaLengthBits, data.ciphertext.length, chip, place),
    ...judgeDsCertificate(credentials.deviceCerts[0], data.rsaLengthBits, opened),
    ...opened === undefined ? [] : judgeOpened(opened, place),
  ];
}

/** The firmware asks for subtype 0 of these and of no other. */
function judgeDsSubtypes(entries: readonly ReadEntry[], { types }: Credentials): Finding[] {
  return entries.flatMap(({ raw: { value, offset } }, entry) => {
    const isDs = value.type === DS_DATA || value.type === DS_CONTEXT;
    if (!isDs || value.subtype === 0 || types.has(value.type)) return [];
    const message = `${
      tlvTypeTitle(value.type)
    } with subtype ${value.subtype}; the firmware reads subtype 0 alone`;
    return [finding("DS_CONTEXT", message, { entry, offset })];
  });
}

function judgeKeyId(keyId: number, chip: ChipName | undefined, place: FindingPlace): Finding[] {
  const isFit = chip === undefined || dsLayout(chip) === undefined
    ? keyId <= MAX_KEY_ID
    : keyBlockAccepts(chip, keyId, DS_PURPOSE);
  if (isFit) return [];
  const message = `the DS context names eFuse key ${keyId}, which ${chip ?? "no chip"} ${
    chip ? "cannot use for it" : "has"
  }`;
  return [finding("DS_CONTEXT", message, place)];
}

function judgeDsSize(
  bits: number,
  ciphertextLength: number,
  chip: ChipName | undefined,
  place: FindingPlace,
): Finding[] {
  const findings: Finding[] = [];
  if (bits < WEAK_RSA_BITS) {
    findings.push(finding("CERT_WEAK", `an RSA key of ${bits} bits can be broken`, place));
  }
  const layout = chip === undefined ? undefined : dsLayout(chip);
  if (layout === undefined) return findings;
  if (ciphertextLength !== layout.ciphertextLength) {
    const message =
      `the DS ciphertext has ${ciphertextLength} bytes, ${chip} reads ${layout.ciphertextLength}`;
    findings.push(finding("DS_SIZE", message, place));
  }
  if (!layout.rsaBits.includes(bits)) {
    const message = `an RSA key of ${bits} bits; ${chip} takes ${layout.rsaBits.join(", ")}`;
    findings.push(finding("DS_SIZE", message, place));
  }
  return findings;
}

/** Without the HMAC key only the size can be compared, with it the key itself. */
function judgeDsCertificate(
  certificate: CertificateInfo | undefined,
  bits: number,
  opened: DecryptedDsParameters | undefined,
): Finding[] {
  if (certificate === undefined) return [];
  const key = publicKeyOf(certificate);
  if (key?.type !== "rsa" || key.bits !== bits) {
    const message =
      `the DS peripheral holds an RSA-${bits} key, the device certificate is for ${certificate.key}`;
    return [finding("KEY_MISMATCH", message)];
  }
  if (opened?.checks.digest !== true || equalBytes(opened.modulus, key.modulus)) return [];
  return [
    finding("KEY_MISMATCH", "the key in the DS data is not that of the device certificate"),
  ];
}

function judgeOpened({ checks }: DecryptedDsParameters, place: FindingPlace): Finding[] {
  if (!checks.digest) {
    const message = "the DS data does not open with this HMAC key: another key, or changed bytes";
    return [finding("DS_BLOB", message, place)];
  }
  const wrong = Object.entries(checks).filter(([, holds]) => !holds).map(([name]) => name);
  if (wrong.length === 0) return [];
  return [finding("DS_BLOB", `inside the DS data, ${wrong.join(", ")} do not hold`, place)];
}

function judgePeripheralKey(credentials: Credentials, chip: ChipName | undefined): Finding[] {
  const { keyEntry, securityConfig, types, deviceCerts: [certificate] } = credentials;
  if (keyEntry?.storage !== "ecdsa-peripheral") return [];
  const findings: Finding[] = [];
  if (!types.has(TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG)) {
    const message = "the key is in an eFuse, and no security configuration says in which";
    findings.push(finding("NO_KEY", message, keyEntry.place, "error"));
  } else if (securityConfig !== undefined) {
    findings.push(...judgeEfuseBlock(securityConfig.config.efuseBlock, chip, securityConfig.place));
  }
  if (certificate !== undefined) findings.push(...judgeCurve(certificate, chip));
  return findings;
}

function judgeEfuseBlock(
  block: number,
  chip: ChipName | undefined,
  place: FindingPlace,
): Finding[] {
  const keyId = chip === undefined ? block - 4 : keyIdOfEfuseBlock(chip, block) ?? -1;
  const isFit = keyId >= 0 && keyId <= MAX_KEY_ID &&
    (chip === undefined || CHIPS[chip].ecdsaCurves.length === 0 ||
      keyBlockAccepts(chip, keyId, "ECDSA_KEY"));
  if (isFit) return [];
  const message = `the security configuration names eFuse block ${block}, which holds no ECDSA key${
    chip ? ` on ${chip}` : ""
  }`;
  return [finding("CHIP_UNSUPPORTED", message, place)];
}

function judgeCurve(certificate: CertificateInfo, chip: ChipName | undefined): Finding[] {
  const key = publicKeyOf(certificate);
  if (key?.type !== "ec") {
    const message =
      `the ECDSA peripheral holds the key, the device certificate is for ${certificate.key}`;
    return [finding("KEY_MISMATCH", message)];
  }
  const curves: readonly string[] = chip === undefined
    ? ["P-192", "P-256", "P-384"]
    : CHIPS[chip].ecdsaCurves;
  if (curves.length > 0 && !curves.includes(key.curve)) {
    const message = `the ECDSA peripheral${chip ? ` of ${chip}` : ""} takes ${
      curves.join(", ")
    }, not ${key.curve}`;
    return [finding("CHIP_UNSUPPORTED", message)];
  }
  if (key.curve !== "P-384") return [];
  const message =
    "a P-384 key takes two eFuse blocks; the image names the low one alone, the firmware must be told the high one";
  return [finding("CHIP_UNSUPPORTED", message, {}, "warning")];
}

/** The key and the nonce of AES-GCM are constants of the device. */
function judgeEncrypted(entries: readonly ReadEntry[]): Finding[] {
  const encrypted = entries.flatMap(({ raw: { value, offset } }, entry) =>
    keyStorageOf(value.flags) === "hmac-encrypted" &&
      value.type !== TLV_TYPES.ESP_SECURE_CERT_INTEGRITY_TLV
      ? [{ entry, offset }]
      : []
  );
  if (encrypted.length === 0) return [];
  const reader =
    "esp_secure_cert_mgr 2.7.0 to 2.9.3 cannot read HMAC-encrypted entries; 2.6.1 and older can";
  const findings = [finding("GCM_READER_VERSION", reader, encrypted[0])];
  if (encrypted.length > 1) {
    const message =
      "a second HMAC-encrypted entry uses the same key and nonce, which gives both contents away";
    findings.push(finding("GCM_NONCE_REUSE", message, encrypted[1]));
  }
  return findings;
}
