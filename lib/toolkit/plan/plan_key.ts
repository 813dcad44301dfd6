import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { publicKeyOf, readCertificate } from "../../crypto/x509/certificate.ts";
import { encryptDsParameters } from "../../crypto/peripherals/ds.ts";
import { createDerivedKey, deriveEcdsaKey, encryptEntry } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { randomBytes, type Sources } from "../../crypto/sources.ts";
import type { Curve } from "../../format/chips/chip.ts";
import { type ChipName, CHIPS, isChipName, keyModesOf } from "../../format/chips/chips.ts";
import { type EfuseFacts, type EfusePlan, planEfuse } from "../../format/chips/efuse.ts";
import { type KeyMode, TLV_FLAGS, TLV_TYPES } from "../../format/names.ts";
import { encodeDsContext, encodeDsData, encodeSecurityConfig } from "../../format/peripheral.ts";
import type { Tlv } from "../../format/tlv.ts";
import { storedPrivateKey } from "../../image/stored.ts";

/** How the private key reaches the device. */
export interface KeyPlan {
  /** The way. @default "plaintext" */
  readonly keyMode?: KeyMode;
  /** The chip; needed for every mode but `plaintext`. */
  readonly chip?: ChipName;
  /** The n of the KEYn that holds the eFuse key. @default 1 */
  readonly efuseKeyId?: number;
  /** The eFuse key of the modes with an HMAC, 32 bytes as burned. @default made from `random` */
  readonly hmacKey?: Uint8Array;
  /** `hmac-derived`: the salt with which the certificate's key was derived. @default made anew */
  readonly salt?: Uint8Array;
  /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
  readonly iv?: Uint8Array;
  /** Private key in any encoding; none for `hmac-derived`, and optional for `ecdsa-peripheral`. */
  readonly privateKey?: Uint8Array;
  /** Password of a protected private key. */
  readonly password?: string;
  /** Device certificate. */
  readonly deviceCert?: Uint8Array;
  /** Accept RSA keys of 1024 bits. @default false */
  readonly allowWeak?: boolean;
  /** Path of the key file in the eFuse plan's command. @default "hmac_key.bin" or "device.key.pem" */
  readonly efuseKeyFile?: string;
}

/** What goes into an eFuse block with an image. */
export interface EfuseOutput {
  /** What to burn, and how. */
  readonly plan: EfusePlan;
  /** The 32 bytes to burn, in the modes with an HMAC. Secret: without them the image is worthless. */
  readonly hmacKey?: Bytes;
}

/** The entries that a key mode makes. */
export interface PlannedKey {
  /** Entries that stand before the certificates, as Espressif's tool places them. */
  readonly before: readonly Tlv[];
  /** Entries that stand after them. */
  readonly after: readonly Tlv[];
  /** SubjectPublicKeyInfo of the key, where it is known. */
  readonly publicKey?: Bytes;
  readonly efuse?: EfuseOutput;
}

/** KEY0 is what flash encryption and secure boot like to take. */
const DEFAULT_KEY_ID = 1;
const WEAK_RSA_BITS = 2048;
const NOTHING = new Uint8Array();

/**
 * The entries of a plan's private key.
 *
 * @throws {SecureCertError} with the reason when chip, key and mode do not go together.
 */
export async function planKey(plan: KeyPlan, sources: Sources): Promise<PlannedKey> {
  const { keyMode = "plaintext", chip } = plan;
  if (keyMode === "plaintext") return await planPlaintext(plan);
  if (chip === undefined) throw badPlan(`${keyMode} needs a chip`);
  if (!isChipName(chip)) throw badPlan(`chip ${chip} is not known`);
  if (!keyModesOf(chip).includes(keyMode)) {
    throw badPlan(`${chip} has no ${keyMode} keys; it has ${keyModesOf(chip).join(", ")}`);
  }
  switch (keyMode) {
    case "rsa-ds":
      return await planDs(plan, chip, sources);
    case "ecdsa-peripheral":
      return await planPeripheral(plan, chip);
    case "hmac-encrypted":
      return await planEncrypted(plan, chip, sources);
    case "hmac-derived":
      return await planDerived(plan, chip, sources);
    default:
      return keyMode satisfies never;
  }
}

async function planPlaintext(plan: KeyPlan): Promise<PlannedKey> {
  if (plan.privateKey === undefined) return { before: [], after: [] };
  const data = await storedPrivateKey(plan.privateKey, plan.password);
  return { before: [], after: [keyEntry(0, data)] };
}

async function planDs(plan: KeyPlan, chip: ChipName, sources: Sources): Promise<PlannedKey> {
  const key = await openKey(plan, "rsa-ds");
  if (key.type !== "rsa") throw badPlan(`rsa-ds needs an RSA key, this is a ${key.curve} key`);
  if (key.bits < WEAK_RSA_BITS && plan.allowWeak !== true) {
    throw badPlan(`an RSA key of ${key.bits} bits can be broken; allow weak keys to insist`);
  }
  const efuse = planHmac(plan, chip, sources);
  const { iv } = plan;
  const data = await encryptDsParameters(key, {
    chip,
    hmacKey: efuse.hmacKey!,
    ...iv && { iv },
    ...sources,
  });
  const efuseKeyId = efuse.plan.blocks[0]!.keyId;
  const context = { efuseKeyId, rsaLengthBits: data.rsaLengthBits };
  return {
    before: [
      entry(TLV_TYPES.ESP_SECURE_CERT_DS_DATA_TLV, encodeDsData(data)),
      entry(TLV_TYPES.ESP_SECURE_CERT_DS_CONTEXT_TLV, encodeDsContext(context)),
    ],
    after: [],
    publicKey: key.publicKey,
    efuse,
  };
}

/** No byte of the private key goes into the image. */
async function planPeripheral(plan: KeyPlan, chip: ChipName): Promise<PlannedKey> {
  const key = plan.privateKey === undefined ? undefined : await openKey(plan, "ecdsa-peripheral");
  const curve = key === undefined
    ? certificateCurve(plan.deviceCert)
    : key.curve ?? `RSA-${key.bits}`;
  const { ecdsaCurves } = CHIPS[chip];
  if (!ecdsaCurves.some((each) => each === curve)) {
    throw badPlan(`the ECDSA peripheral of ${chip} takes ${ecdsaCurves.join(", ")}, not ${curve}`);
  }
  const keyFile = plan.efuseKeyFile ?? "device.key.pem";
  const request = { keyMode: "ecdsa-peripheral", curve: curve as Curve, keyFile } as const;
  const efuse = planEfuse(
    { ...request, keyId: plan.efuseKeyId ?? DEFAULT_KEY_ID },
    efuseFacts(chip),
  );
  const config = encodeSecurityConfig({ efuseKeyId: efuse.blocks[0]!.keyId });
  return {
    before: [entry(TLV_TYPES.ESP_SECURE_CERT_TLV_SEC_CFG, config)],
    after: [keyEntry(TLV_FLAGS.ecdsaPeripheral, NOTHING)],
    ...key === undefined ? {} : { publicKey: key.publicKey },
    efuse: { plan: efuse },
  };
}

async function planEncrypted(plan: KeyPlan, chip: ChipName, sources: Sources): Promise<PlannedKey> {
  const key = await openKey(plan, "hmac-encrypted");
  const efuse = planHmac(plan, chip, sources);
  const stored = await storedPrivateKey(plan.privateKey!, plan.password);
  const data = await encryptEntry(stored, { hmacKey: efuse.hmacKey! });
  const after = [keyEntry(TLV_FLAGS.hmacEncrypted, data)];
  return { before: [], after, publicKey: key.publicKey, efuse };
}

async function planDerived(plan: KeyPlan, chip: ChipName, sources: Sources): Promise<PlannedKey> {
  if (plan.privateKey !== undefined) {
    throw badPlan("hmac-derived makes its key; it takes no private key");
  }
  if (plan.deviceCert !== undefined && (plan.salt === undefined || plan.hmacKey === undefined)) {
    throw badPlan(
      "hmac-derived needs the HMAC key and the salt that the certificate's key was derived with",
    );
  }
  const efuse = planHmac(plan, chip, sources);
  const hmacKey = efuse.hmacKey!;
  const { salt, publicKey } = plan.salt === undefined
    ? await createDerivedKey({ hmacKey, ...sources })
    : { salt: plan.salt, ...await deriveEcdsaKey(hmacKey, plan.salt) };
  return {
    before: [],
    after: [
      entry(TLV_TYPES.ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT, salt),
      keyEntry(TLV_FLAGS.hmacDerived, NOTHING),
    ],
    publicKey,
    efuse,
  };
}

function planHmac(plan: KeyPlan, chip: ChipName, sources: Sources): EfuseOutput {
  const hmacKey = plan.hmacKey === undefined
    ? randomBytes(HMAC_KEY_SIZE, sources)
    : new Uint8Array(plan.hmacKey);
  if (hmacKey.length !== HMAC_KEY_SIZE) {
    throw badPlan(
      `the HMAC key has ${hmacKey.length} bytes, an eFuse block holds ${HMAC_KEY_SIZE}`,
    );
  }
  const keyMode = plan.keyMode as Exclude<KeyMode, "plaintext">;
  const keyFile = plan.efuseKeyFile ?? "hmac_key.bin";
  const keyId = plan.efuseKeyId ?? DEFAULT_KEY_ID;
  return { plan: planEfuse({ keyMode, keyId, keyFile }, efuseFacts(chip)), hmacKey };
}

async function openKey({ privateKey, password }: KeyPlan, keyMode: KeyMode): Promise<PrivateKey> {
  if (privateKey === undefined) throw badPlan(`${keyMode} needs a private key`);
  return await importPrivateKey(privateKey, password === undefined ? {} : { password });
}

function certificateCurve(deviceCert: Uint8Array | undefined): string {
  if (deviceCert === undefined) {
    throw badPlan("ecdsa-peripheral needs a private key or a device certificate");
  }
  const key = publicKeyOf(readCertificate(deviceCert));
  return key?.type === "ec" ? key.curve : readCertificate(deviceCert).key;
}

/** The chip table's row in the terms of the eFuse plan. */
export function efuseFacts(chip: ChipName): EfuseFacts {
  const { keyBlocks, block9Refuses, hmac, ds, ecdsaCurves, purposes } = CHIPS[chip];
  return {
    chip,
    keyBlocks: keyBlocks.length,
    block9Quirk: (block9Refuses as readonly string[]).includes("ecdsa"),
    hmac,
    ds: ds !== null,
    ecdsaCurves,
    ecdsaCurvePurposes: Object.hasOwn(purposes, "ECDSA_KEY_P192"),
  };
}

function entry(type: number, data: Uint8Array): Tlv {
  return { type, subtype: 0, flags: 0, data };
}

function keyEntry(flags: number, data: Uint8Array): Tlv {
  return { type: TLV_TYPES.ESP_SECURE_CERT_PRIV_KEY_TLV, subtype: 0, flags, data };
}

function badPlan(problem: string): SecureCertError {
  return new SecureCertError("ERR_PLAN", problem);
}
