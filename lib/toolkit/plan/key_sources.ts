import { equalBytes } from "../../bytes/pack.ts";
import { encryptDsParameters } from "../../crypto/peripherals/ds.ts";
import { deriveEcdsaKey, encryptEntry } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { keyName } from "../../crypto/keys/encoding.ts";
import { importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { randomBytes } from "../../crypto/sources.ts";
import { type ChipName, CHIPS, keyModesOf } from "../../format/chips/chips.ts";
import { type KeyMode, TLV_FLAGS, TLV_TYPES } from "../../format/names.ts";
import { encodeDsContext, encodeDsData, encodeSecurityConfig } from "../../format/peripheral.ts";
import type { EfuseKey, EntrySource, SourcePlan } from "./entry_source.ts";
import { problemAt, storedEntry } from "./entry_source.ts";
import { storedPrivateKey } from "../../image/stored.ts";

const { ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA, ESP_SECURE_CERT_DS_CONTEXT_TLV: DS_CONTEXT } =
  TLV_TYPES;
const { ESP_SECURE_CERT_TLV_SEC_CFG: SECURITY_CONFIG } = TLV_TYPES;
const { ESP_SECURE_CERT_HMAC_ECDSA_KEY_SALT: SALT } = TLV_TYPES;
const NO_DATA = new Uint8Array();

/** Plans the entries of a private key. */
export async function planKey(source: EntrySource, plan: SourcePlan): Promise<void> {
  const { keyMode = "plaintext" } = source;
  if (keyMode === "hmac-derived") return await planDerived(source, plan);
  const { password } = plan.options;
  const key = await importPrivateKey(source.data, password === undefined ? {} : { password });
  const before = plan.problems.length;
  plan.publicKeys.set(source.subtype, key.publicKey);
  if (keyMode === "plaintext") {
    plan.ordinary.push(storedEntry(source, await storedPrivateKey(source.data, password)));
    return;
  }
  checkKind(source, key, plan);
  const efuseId = checkEfuse(source, keyMode, plan);
  const chip = checkChip(source, keyMode, key, plan);
  if (plan.problems.length > before || efuseId === undefined || chip === undefined) return;
  switch (keyMode) {
    case "rsa-ds":
      return await planDs(source, key, { efuseId, chip }, plan);
    case "ecdsa-peripheral":
      return planPeripheral(source, key, efuseId, plan);
    case "hmac-encrypted":
      return await planEncrypted(source, efuseId, plan);
    default:
      return keyMode satisfies never;
  }
}

async function planDs(
  source: EntrySource,
  key: PrivateKey,
  { efuseId, chip }: { efuseId: number; chip: ChipName },
  plan: SourcePlan,
): Promise<void> {
  const hmacKey = hmacKeyFor(source, "rsa-ds", efuseId, plan);
  if (hmacKey === undefined) return;
  const { random } = plan.options;
  const ds = await encryptDsParameters(key, { chip, hmacKey, ...random && { random } });
  const { subtype } = source;
  const context = encodeDsContext({ efuseKeyId: efuseId, rsaLengthBits: ds.rsaLengthBits });
  plan.peripheral.push({ type: DS_DATA, subtype, flags: 0, data: encodeDsData(ds) });
  plan.peripheral.push({ type: DS_CONTEXT, subtype, flags: 0, data: context });
}

/** The key lies in the eFuse alone: its entry is empty (FORMAT: flags). */
function planPeripheral(
  source: EntrySource,
  privateKey: PrivateKey,
  efuseId: number,
  plan: SourcePlan,
): void {
  const keyMode = "ecdsa-peripheral";
  const { subtype } = source;
  const same = plan.efuseKeys.find((each) => each.efuseId === efuseId);
  if (same?.privateKey && equalBytes(same.privateKey.publicKey, privateKey.publicKey)) {
    replace(plan, same, { ...same, subtypes: [...same.subtypes, subtype] });
  } else if (same !== undefined) {
    plan.problems.push(problemAt(source, "efuse_id", `KEY${efuseId} is taken by another key`));
    return;
  } else {
    plan.efuseKeys.push({ keyMode, efuseId, subtypes: [subtype], privateKey, isNew: false });
  }
  const config = encodeSecurityConfig({ efuseKeyId: efuseId });
  plan.peripheral.push({ type: SECURITY_CONFIG, subtype, flags: 0, data: config });
  plan.ordinary.push(storedEntry(source, NO_DATA, TLV_FLAGS.ecdsaPeripheral));
}

async function planEncrypted(
  source: EntrySource,
  efuseId: number,
  plan: SourcePlan,
): Promise<void> {
  const hmacKey = hmacKeyFor(source, "hmac-encrypted", efuseId, plan);
  if (hmacKey === undefined) return;
  const plain = await storedPrivateKey(source.data, plan.options.password);
  const data = await encryptEntry(plain, { hmacKey });
  plan.ordinary.push(storedEntry(source, data, TLV_FLAGS.hmacEncrypted));
}

/** A derived key has no value of its own; its salt is an entry beside it. */
async function planDerived(source: EntrySource, plan: SourcePlan): Promise<void> {
  const { subtype } = source;
  if (source.data.length > 0) {
    const message = "a derived key has no value: write empty hex, and its salt in a row of type 5";
    plan.problems.push(problemAt(source, "data_value", message));
  }
  const salt = plan.sources.find((each) => each.type === SALT && each.subtype === subtype);
  if (salt === undefined) {
    const message = `no row of type 5 with subtype ${subtype} holds its salt`;
    plan.problems.push(problemAt(source, "tlv_subtype", message));
  }
  const hmacKey = source.hmacKey ?? plan.options.hmacKey;
  if (salt !== undefined && hmacKey !== undefined) {
    const { publicKey } = await deriveEcdsaKey(hmacKey, salt.data);
    plan.publicKeys.set(subtype, publicKey);
  }
  plan.ordinary.push(storedEntry(source, NO_DATA, TLV_FLAGS.hmacDerived));
}

/** What the row says of the key must be so: the eFuse is burned for it. */
function checkKind(source: EntrySource, key: PrivateKey, { problems }: SourcePlan): void {
  const { keyMode, algorithm, keySize } = source;
  const kind = key.type === "rsa" ? "RSA" : "ECDSA";
  const needed = keyMode === "rsa-ds" ? "RSA" : keyMode === "ecdsa-peripheral" ? "ECDSA" : kind;
  if (kind !== needed || kind !== (algorithm ?? kind)) {
    const message = `needs ${algorithm ?? needed}, the key is ${keyName(key)}`;
    problems.push(problemAt(source, "algorithm", message));
  } else if (keySize !== undefined && keySize !== key.bits) {
    problems.push(problemAt(source, "key_size", `${keySize}, the key is ${keyName(key)}`));
  }
}

function checkEfuse(
  source: EntrySource,
  keyMode: KeyMode,
  { problems, options: { chip } }: SourcePlan,
): number | undefined {
  const { efuseId } = source;
  const blocks = chip === undefined ? 6 : CHIPS[chip].keyBlocks.length;
  if (efuseId === undefined) {
    problems.push(problemAt(source, "efuse_id", `missing; ${keyMode} needs 0 to ${blocks - 1}`));
  } else if (efuseId >= blocks && blocks > 0) {
    problems.push(problemAt(source, "efuse_id", `${chip} has KEY0 to KEY${blocks - 1}`));
  } else if (
    efuseId === 5 && keyMode === "ecdsa-peripheral" && chip !== undefined &&
    CHIPS[chip].block9Refuses.includes("ecdsa")
  ) {
    problems.push(problemAt(source, "efuse_id", `KEY5 of ${chip} must not hold an ECDSA key`));
  }
  return efuseId;
}

function checkChip(
  source: EntrySource,
  keyMode: KeyMode,
  key: PrivateKey,
  { problems, options: { chip } }: SourcePlan,
): ChipName | undefined {
  const fail = (message: string) => void problems.push(problemAt(source, "priv_key_type", message));
  if (chip === undefined) {
    fail(`${keyMode} needs to know the chip`);
  } else if (!keyModesOf(chip).includes(keyMode)) {
    fail(`${chip} has no peripheral for ${keyMode}`);
  } else if (keyMode === "ecdsa-peripheral" && key.type === "ec") {
    const curves: readonly string[] = CHIPS[chip].ecdsaCurves;
    if (!curves.includes(key.curve!)) {
      fail(`${chip} signs on ${curves.join(", ")}, the key is on ${key.curve}`);
    }
  }
  return chip;
}

/** The HMAC key for a block: every source that names the block must have the same one. */
function hmacKeyFor(
  source: EntrySource,
  keyMode: Exclude<KeyMode, "plaintext">,
  efuseId: number,
  plan: SourcePlan,
): Uint8Array | undefined {
  const { subtype } = source;
  const given = source.hmacKey ?? plan.options.hmacKey;
  const same = plan.efuseKeys.find((each) => each.efuseId === efuseId);
  if (given !== undefined && given.length !== HMAC_KEY_SIZE) {
    const message = `the eFuse key has ${given.length} bytes, need ${HMAC_KEY_SIZE}`;
    plan.problems.push(problemAt(source, "efuse_key", message));
    return undefined;
  }
  if (same !== undefined) {
    const isSame = same.keyMode === keyMode && same.hmacKey !== undefined &&
      (given === undefined ? same.isNew : equalBytes(given, same.hmacKey));
    if (isSame) {
      replace(plan, same, { ...same, subtypes: [...same.subtypes, subtype] });
      return same.hmacKey;
    }
    plan.problems.push(problemAt(source, "efuse_id", `KEY${efuseId} is taken by another key`));
    return undefined;
  }
  if (given === undefined && plan.options.makeHmacKeys !== true) {
    const message = `missing; ${keyMode} needs the file with the 32 bytes of the eFuse key`;
    plan.problems.push(problemAt(source, "efuse_key", message));
    return undefined;
  }
  const hmacKey = given ?? randomBytes(HMAC_KEY_SIZE, plan.options);
  const isNew = given === undefined;
  const file = source.efuseKeyFile === undefined ? {} : { file: source.efuseKeyFile };
  plan.efuseKeys.push({ keyMode, efuseId, subtypes: [subtype], hmacKey, isNew, ...file });
  return hmacKey;
}

function replace({ efuseKeys }: SourcePlan, old: EfuseKey, by: EfuseKey): void {
  efuseKeys.splice(efuseKeys.indexOf(old), 1, by);
}
