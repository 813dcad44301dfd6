import { equalBytes } from "../../bytes/pack.ts";
import { parsePem } from "../../bytes/pem.ts";
import { decodeUtf8, formatBase64 } from "../../bytes/text.ts";
import { decodeKeyParts, encodeEcSpki, encodeRsaSpki } from "../../crypto/keys/encoding.ts";
import { exportPrivateKey, importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { deriveEcdsaKey } from "../../crypto/peripherals/hmac.ts";
import { HMAC_KEY_SIZE } from "../../crypto/peripherals/hmac_key.ts";
import { ecdsaEfuseKey } from "../../format/chips/key_blocks.ts";
import { paths } from "../files.ts";
import type { ManifestRow } from "../manifest.ts";
import { attempt, type BatchProblem, problem } from "./problem.ts";
import { rulesOf } from "./needed.ts";

/** The files of a device in `secret`, as far as they are there. */
export interface DeviceSecrets {
  /** The private key, PEM. */
  readonly key?: Uint8Array;
  /** The halves of a P-384 key, 32 bytes each, as espefuse takes them. */
  readonly keyHalves?: readonly (Uint8Array | undefined)[];
  /** The eFuse key, 32 bytes. */
  readonly hmacKey?: Uint8Array;
  /** What a derived key is derived with. */
  readonly salt?: Uint8Array;
}

/** How {@linkcode checkSecrets} checks. */
export interface SecretCheckOptions {
  /** A key that was opened already, such as that of the image; its file need not be opened again. */
  readonly known?: PrivateKey;
  /** Whether a key is what its file says, and no derived key is derived again. @default false */
  readonly isQuick?: boolean;
}

/**
 * Whether the secrets of a device are those of its row. Whether an HMAC key opens the image shows in the
 * image; only a derived key follows from it.
 *
 * @param row Its row of the manifest.
 * @param secrets What was read.
 * @param options How much is done.
 */
export async function checkSecrets(
  row: ManifestRow,
  { key, keyHalves = [], hmacKey, salt }: DeviceSecrets,
  { known, isQuick = false }: SecretCheckOptions = {},
): Promise<BatchProblem[]> {
  const { id, publicKey } = row;
  const wrong = (path: string, what: string) => problem("WRONG_KEY", id, `${path} ${what}`);
  const problems: BatchProblem[] = [];
  if (key !== undefined) {
    const found = await attempt(() => isQuick ? statedKey(key) : readKey(key, known));
    if (typeof found === "string") problems.push(wrong(paths.key(id), `is not a key: ${found}`));
    else if (formatBase64(found.publicKey) !== publicKey) {
      problems.push(wrong(paths.key(id), "is not the key that the manifest lists"));
    } else {
      const names = [paths.keyLow(id), paths.keyHigh(id)];
      for (const at of wrongHalves(found, keyHalves)) {
        problems.push(wrong(names[at]!, `is not that half of ${paths.key(id)}`));
      }
    }
  }
  const isDerived = rulesOf(row)?.privateKey === "derived";
  if (hmacKey !== undefined && hmacKey.length !== HMAC_KEY_SIZE) {
    const what = `has ${hmacKey.length} bytes, an eFuse block holds ${HMAC_KEY_SIZE}`;
    problems.push(wrong(paths.hmacKey(id), what));
  } else if (!isQuick && isDerived && hmacKey !== undefined && salt !== undefined) {
    const found = await attempt(async () => (await deriveEcdsaKey(hmacKey, salt)).publicKey);
    if (typeof found === "string" || formatBase64(found) !== publicKey) {
      problems.push(wrong(paths.salt(id), "and the HMAC key give another key than the manifest's"));
    }
  }
  return problems;
}

/** The private key of a file, which need not be opened when it is written as a batch writes a known one. */
async function readKey(file: Uint8Array, known: PrivateKey | undefined): Promise<PrivateKey> {
  const isKnown = known !== undefined && equalBytes(file, exportPrivateKey(known));
  return isKnown ? known : await importPrivateKey(file);
}

/**
 * A private key with the public key that its file states, as those of a batch do. That the two belong
 * together is not checked, which is quick.
 */
async function statedKey(file: Uint8Array): Promise<Pick<PrivateKey, "pkcs8" | "publicKey">> {
  const pem = parsePem(decodeUtf8(file) ?? "").find(({ label }) => label === "PRIVATE KEY");
  if (pem === undefined) return await importPrivateKey(file);
  const parts = decodeKeyParts(pem.bytes);
  if (parts.type === "rsa") {
    return { pkcs8: pem.bytes, publicKey: encodeRsaSpki(parts) };
  }
  if (parts.point === undefined) return await importPrivateKey(file);
  return { pkcs8: pem.bytes, publicKey: encodeEcSpki(parts.curve, parts.point) };
}

/** Which of the files of the halves of a P-384 key, low before high, hold something else. */
function wrongHalves(
  key: Pick<PrivateKey, "pkcs8">,
  halves: readonly (Uint8Array | undefined)[],
): readonly number[] {
  const parts = decodeKeyParts(key.pkcs8);
  if (parts.type !== "ec" || parts.curve !== "P-384") return [];
  const right = ecdsaEfuseKey(parts.scalar, parts.curve);
  return right.flatMap(({ bigEndian }, at) =>
    halves[at] === undefined || equalBytes(halves[at], bigEndian) ? [] : [at]
  );
}
