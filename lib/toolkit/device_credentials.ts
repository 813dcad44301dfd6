import { SecureCertError } from "../bytes/errors.ts";
import { equalBytes } from "../bytes/pack.ts";
import { isSamePublicKey, keyName, type PrivateKey } from "../crypto/keys/encoding.ts";
import { importPrivateKey, type KeyInput } from "../crypto/keys/keys.ts";
import { completeRsaKey } from "../crypto/rsa.ts";
import { decryptDsParameters } from "../crypto/peripherals/ds.ts";
import { type Certificate, publicKeyOf, readCertificate } from "../crypto/x509/certificate.ts";
import { parseStoredCertificates } from "../device/stored.ts";
import { type KeyMode, TLV_TYPES, tlvTypeTitle } from "../format/names.ts";
import { readStoredKey } from "../image/contents/contents.ts";
import { findImage, kindOf } from "../image/find/locate.ts";
import { openSecureCert, type SecureCert } from "../image/firmware/open.ts";

const {
  ESP_SECURE_CERT_DEV_CERT_TLV: DEVICE_CERTIFICATE,
  ESP_SECURE_CERT_CA_CERT_TLV: CA_CERTIFICATE,
  ESP_SECURE_CERT_DS_DATA_TLV: DS_DATA,
} = TLV_TYPES;

/** How {@linkcode deviceCredentials} opens an image. */
type CredentialOptions = NonNullable<Parameters<typeof deviceCredentials>[1]>;

/**
 * What a device takes out of its image for TLS, ready for a TLS client that stands in for it: read as the
 * firmware reads it, opened as its peripherals would, and checked to belong together.
 *
 * @category Reading and checking
 * @throws {SecureCertError} where the firmware would have no certificate or no key: `ERR_MAGIC`,
 * `ERR_NOT_FOUND`, `ERR_CHECKSUM` and others; `ERR_CERTIFICATE` and `ERR_KEY` for a value that the device
 * refuses; `ERR_KEY` too without the key that the mode needs, and for one that is not the certificate's;
 * `ERR_DECRYPT` for the wrong HMAC key.
 */
export async function deviceCredentials(
  file: Uint8Array,
  options: {
    /** The 32 bytes of the eFuse key, for `rsa-ds` and the HMAC modes. */
    readonly hmacKey?: Uint8Array;
    /** The key in the eFuse, for `ecdsa-peripheral`: it is in no image. */
    readonly privateKey?: KeyInput;
    /** Where the partition table of a flash dump is in flash, in bytes. @default 0x8000 */
    readonly tableOffset?: number;
    /** Where the image begins in the file, in bytes, or its address. @default where it is found */
    readonly offset?: number;
  } = {},
): Promise<{
  /** How the key reaches the device. */
  readonly keyMode: KeyMode;
  /** The device's certificate, and those after it in its entry. */
  readonly chain: readonly Certificate[];
  /** What the device trusts; empty when it stores no CA. */
  readonly ca: readonly Certificate[];
  /** The key of the first certificate, which {@linkcode exportPrivateKey} writes as PEM. */
  readonly key: PrivateKey;
}> {
  const { image, entry } = await findImage(file, options);
  const { hmacKey } = options;
  const partition = entry && kindOf(entry);
  // Only builds with the legacy formats enabled read the others.
  const legacyBuild = openSecureCert(image, { hmacKey }).format !== "tlv";
  const firmware = openSecureCert(image, { hmacKey, partition, legacyBuild });
  const chain = certificatesIn(await firmware.deviceCert(), DEVICE_CERTIFICATE);
  const stored = await unlessAbsent(() => firmware.caCert());
  const ca = stored === undefined ? [] : certificatesIn(stored, CA_CERTIFICATE);
  const { keyMode, key } = await keyOf(firmware, chain[0]!, options);
  if (isSamePublicKey(key.publicKey, chain[0]!.publicKey)) return { keyMode, chain, ca, key };
  const { why = "", field } = MISMATCHES[keyMode] ?? {};
  throw keyError(`the ${keyName(key)} key is not that of the device certificate${why}`, field);
}

/** What may be wrong besides the image. */
const MISMATCHES: Readonly<
  Partial<Record<KeyMode, { readonly why?: string; readonly field: KeyOption }>>
> = {
  "hmac-derived": { why: ": another HMAC key, or another salt", field: "hmacKey" },
  "ecdsa-peripheral": { field: "privateKey" },
};

type KeyOption = "hmacKey" | "privateKey";

function certificatesIn(stored: Uint8Array, type: number): readonly Certificate[] {
  const parsed = parseStoredCertificates(stored);
  if (parsed.kind === "used") return parsed.certificates.map((der) => readCertificate(der));
  const message = `the device refuses the ${tlvTypeTitle(type)}: ${parsed.refusal.reason}`;
  throw new SecureCertError("ERR_CERTIFICATE", message);
}

interface OpenedKey {
  readonly keyMode: KeyMode;
  readonly key: PrivateKey;
}

async function keyOf(
  firmware: SecureCert,
  certificate: Certificate,
  { hmacKey, privateKey }: CredentialOptions,
): Promise<OpenedKey> {
  const dsData = await unlessAbsent(() => firmware.entry(DS_DATA));
  if (dsData !== undefined) {
    return { keyMode: "rsa-ds", key: await dsKey(firmware, certificate, hmacKey) };
  }
  switch (await firmware.privateKeyType()) {
    case "DEFAULT_FORMAT":
      return { keyMode: "plaintext", key: await storedKey(firmware) };
    case "HMAC_ENCRYPTED":
      return { keyMode: "hmac-encrypted", key: await storedKey(firmware) };
    case "HMAC_DERIVED_ECDSA":
      return { keyMode: "hmac-derived", key: await storedKey(firmware) };
    case "ECDSA_PERIPHERAL":
      if (privateKey === undefined) {
        throw keyError(
          "need the private key: it is in an eFuse, and not in the image",
          "privateKey",
        );
      }
      return { keyMode: "ecdsa-peripheral", key: await importPrivateKey(privateKey) };
  }
}

/** The key that the DS peripheral signs with. */
async function dsKey(
  firmware: SecureCert,
  certificate: Certificate,
  hmacKey: Uint8Array | undefined,
): Promise<PrivateKey> {
  const { dsData } = await firmware.dsContext();
  if (hmacKey === undefined) throw keyError("need the HMAC key: it is in DS data", "hmacKey");
  const { modulus, privateExponent, checks, rsaLengthBits } = await decryptDsParameters(dsData, {
    hmacKey,
  });
  if (!checks.digest) {
    const message = "Cannot use private key: the DS data does not open with this HMAC key: " +
      "another key, or changed bytes";
    throw new SecureCertError("ERR_DECRYPT", message, { field: "hmacKey" });
  }
  const wrong = Object.entries(checks).filter(([, holds]) => !holds).map(([name]) => name);
  if (wrong.length > 0) {
    throw keyError(`inside the DS data, these checks fail: ${wrong.join(", ")}`);
  }
  const publicKey = publicKeyOf(certificate);
  if (publicKey?.type !== "rsa") {
    throw keyError(`DS data is for RSA, the device certificate is for ${certificate.key}`);
  }
  if (!equalBytes(modulus, publicKey.modulus)) {
    throw keyError(`the RSA-${rsaLengthBits} key is not that of the device certificate`);
  }
  const numbers = { modulus, privateExponent, publicExponent: publicKey.exponent };
  return await importPrivateKey(completeRsaKey(numbers));
}

/** The key that the firmware's getter gives, opened. */
async function storedKey(firmware: SecureCert): Promise<PrivateKey> {
  const content = await readStoredKey(await firmware.privateKey(), {});
  if (content.refusal !== undefined) {
    throw keyError(`the device refuses it: ${content.refusal.reason}`);
  }
  if ("kind" in content) throw keyError(content.problem);
  if (content.key !== undefined) return content.key;
  if (content.isBroken) throw keyError("its numbers contradict each other");
  if (content.agreement !== undefined) throw keyError(`${content.agreement} keys cannot sign`);
  throw new SecureCertError(
    "ERR_UNSUPPORTED",
    "Cannot use private key: its curve is not known here",
  );
}

async function unlessAbsent<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof SecureCertError && error.code === "ERR_NOT_FOUND") return undefined;
    throw error;
  }
}

function keyError(problem: string, field?: KeyOption): SecureCertError {
  return new SecureCertError("ERR_KEY", `Cannot use private key: ${problem}`, { field });
}
