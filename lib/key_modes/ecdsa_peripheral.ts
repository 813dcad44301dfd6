import { keyName } from "../crypto/keys/encoding.ts";
import { type Certificate, publicKeyOf } from "../crypto/x509/certificate.ts";
import type { Curve } from "../format/chips/chip.ts";
import { type ChipName, CHIPS } from "../format/chips/chips.ts";
import { keyBlockAccepts, keyIdOfEfuseBlock, MOST_KEY_BLOCKS } from "../format/chips/key_blocks.ts";
import { TLV_FLAGS, TLV_TYPES } from "../format/names.ts";
import { encodeSecurityConfig, FIRST_KEY_BLOCK } from "../format/peripheral.ts";
import { type Finding, finding, type FindingPlace } from "../findings/findings.ts";
import type { KeyModeRules, ModeImage } from "./mode.ts";

const { ESP_SECURE_CERT_PRIV_KEY_TLV: KEY, ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG } =
  TLV_TYPES;
const ANY_CURVE: readonly Curve[] = ["P-192", "P-256", "P-384"];

/**
 * The private key is in an eFuse, where the ECDSA peripheral signs with it. No byte of it goes into
 * the image: its entry is empty, and the security configuration names the block (FORMAT: flags).
 */
export const ecdsaPeripheral: KeyModeRules = {
  isOn: ({ ecdsaCurves }) => ecdsaCurves.length > 0,
  privateKey: "optional",
  efuseKey: "private key",
  standardKey: { type: "ec" },
  keyProblem: (key, chip) => {
    const curves: readonly string[] = CHIPS[chip].ecdsaCurves;
    if (key.type === "ec" && curves.includes(keyName(key))) return undefined;
    return `the ECDSA peripheral of ${chip} takes ${curves.join(", ")}, not ${keyName(key)}`;
  },
  purposes,
  notes: ([, high]) =>
    high === undefined ? [] : [
      `the image names only the block of the low half; the firmware needs the number of the other, ${high}`,
      "espefuse knows the purposes of the halves from 5.3 on, and from 4.11 on for esp32c5 and esp32p4",
    ],
  makeEntries: ({ subtype, efuseKeyId }) => {
    const config = encodeSecurityConfig({ efuseKeyId: efuseKeyId! });
    return Promise.resolve({
      first: [{ type: SECURITY_CONFIG, subtype, flags: 0, data: config }],
      inPlace: [{ type: KEY, subtype, flags: TLV_FLAGS.ecdsaPeripheral, data: new Uint8Array() }],
    });
  },
  // The eFuse does not give its key away.
  open: (content) => content,
  check,
};

/** P-192 has a purpose of its own on some chips; P-384 takes two blocks, the low half first. */
function purposes(chip: ChipName, curve: Curve | undefined): readonly string[] {
  if (curve === "P-384") return ["ECDSA_KEY_P384_L", "ECDSA_KEY_P384_H"];
  const isOwn = curve === "P-192" && Object.hasOwn(CHIPS[chip].purposes, "ECDSA_KEY_P192");
  return [isOwn ? "ECDSA_KEY_P192" : "ECDSA_KEY"];
}

function check({ credentials, chip }: ModeImage): Finding[] {
  const { keyEntry, securityConfig, types, deviceCerts: [certificate] } = credentials;
  if (keyEntry?.storage !== "ecdsa-peripheral") return [];
  const findings: Finding[] = [];
  if (!types.has(SECURITY_CONFIG)) {
    const message = "the key is in an eFuse, and no security configuration says which";
    findings.push(finding("NO_KEY", message, keyEntry.place, "error"));
  } else if (securityConfig !== undefined) {
    findings.push(...checkEfuseBlock(securityConfig.config.efuseBlock, chip, securityConfig.place));
  }
  if (certificate !== undefined) findings.push(...checkCurve(certificate, chip));
  return findings;
}

function checkEfuseBlock(
  block: number,
  chip: ChipName | undefined,
  place: FindingPlace,
): Finding[] {
  const keyId = chip === undefined ? block - FIRST_KEY_BLOCK : keyIdOfEfuseBlock(chip, block) ?? -1;
  const isFit = keyId >= 0 && keyId < MOST_KEY_BLOCKS &&
    (chip === undefined || CHIPS[chip].ecdsaCurves.length === 0 ||
      keyBlockAccepts(chip, keyId, "ECDSA_KEY"));
  if (isFit) return [];
  const where = chip === undefined ? "" : ` on ${chip}`;
  const message =
    `the security configuration names eFuse block ${block}, which holds no ECDSA key${where}`;
  return [finding("CHIP_UNSUPPORTED", message, place)];
}

function checkCurve(certificate: Certificate, chip: ChipName | undefined): Finding[] {
  const key = publicKeyOf(certificate);
  if (key?.type !== "ec") {
    const message =
      `the ECDSA peripheral holds the key, the device certificate is for ${certificate.key}`;
    return [finding("KEY_MISMATCH", message)];
  }
  const curves: readonly string[] = chip === undefined ? ANY_CURVE : CHIPS[chip].ecdsaCurves;
  if (curves.length > 0 && !curves.includes(key.curve)) {
    const where = chip === undefined ? "" : ` of ${chip}`;
    const message = `the ECDSA peripheral${where} takes ${curves.join(", ")}, not ${key.curve}`;
    return [finding("CHIP_UNSUPPORTED", message)];
  }
  if (key.curve !== "P-384") return [];
  const message = "a P-384 key takes two eFuse blocks; the image names only the low one, " +
    "the firmware needs the number of the high one";
  return [finding("CHIP_UNSUPPORTED", message, {}, "warning")];
}
