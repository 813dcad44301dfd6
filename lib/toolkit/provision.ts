import { createCa, issueCertificate, type Issuer } from "../crypto/x509/issue.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificates,
} from "../crypto/x509/certificate.ts";
import { createDerivedKey, HMAC_KEY_SIZE } from "../crypto/peripherals/hmac.ts";
import type { EcCurve } from "../crypto/keys/curves.ts";
import { generateKey, type PrivateKey } from "../crypto/keys/keys.ts";
import { randomBytes } from "../crypto/sources.ts";
import { type ChipName, usualChip } from "../format/chips/chips.ts";
import type { KeyMode } from "../format/names.ts";
import { KEY_MODE_RULES } from "../key_modes/modes.ts";
import { keyModeProblems, kindOf, wantedKey } from "../key_modes/requirements.ts";
import { checkStoredCa } from "../verify/certificates.ts";
import { build, type BuildOptions, type BuildResult, planError } from "./build.ts";
import { type BuildPlan, type DataEntry, DEFAULT_EFUSE_KEY_ID } from "./plan/entry.ts";

/** What is made for one device, what else its image holds, and how it is built. */
type ProvisionOptions = Parameters<typeof provision>[0];

/** Subject of the CA that {@linkcode createDevelopmentCa} makes. */
const DEVELOPMENT_CA_SUBJECT = "CN=Development CA,OU=NOT FOR PRODUCTION";

/**
 * A CA for development, as its name says: its key is in memory or in a file, and not in an HSM.
 *
 * @category Building and changing
 */
export async function createDevelopmentCa(
  sources: {
    /** A number of random bytes, which the key is made from. @default `crypto.getRandomValues` */
    readonly random?: (length: number) => Uint8Array;
    /** The time from which it is valid. @default the system clock */
    readonly now?: () => Date;
  } = {},
): Promise<{ readonly certificate: Certificate; readonly key: PrivateKey }> {
  const key = await generateKey(sources);
  return { key, certificate: await createCa({ subject: DEVELOPMENT_CA_SUBJECT, key, ...sources }) };
}

/**
 * Provisions one device: makes its key, issues its certificate, builds its image and checks it.
 *
 * @category Building and changing
 * @throws {SecureCertError} as {@linkcode issueCertificate} and {@linkcode build}.
 */
export async function provision(
  options: BuildOptions & {
    /** The CA that issues the device certificate. */
    readonly issuer: Issuer;
    /** What the image stores as its CA, PEM (a bundle too) or DER. @default the issuer */
    readonly caCert?: CertificateInput;
    /** Subject of the device certificate, such as `CN=device-1`. */
    readonly subject: string;
    /** Subject alternative names. @default [] */
    readonly sans?: readonly string[];
    /** What the certificate is for. @default ["client"] */
    readonly usage?: readonly ("client" | "server")[];
    /** Validity of the certificate in days, or `"forever"`. @default 3650, or until the CA ends */
    readonly days?: number | "forever";
    /** Kind of private key to make. @default an RSA-2048 key for `rsa-ds`, else a P-256 key */
    readonly key?: {
      readonly type?: "ec" | "rsa";
      readonly curve?: EcCurve;
      readonly bits?: 1024 | 2048 | 3072 | 4096;
    };
    /** How the private key reaches the device. @default "plaintext" */
    readonly keyMode?: KeyMode;
    /** The chip; needed for every mode but `plaintext`. */
    readonly chip?: ChipName;
    /** The n of the KEYn that holds the eFuse key. @default 1 */
    readonly efuseKeyId?: number;
    /** The eFuse key of the modes with an HMAC, 32 bytes as burned. @default made from `random` */
    readonly hmacKey?: Uint8Array;
    /** `rsa-ds`: the initialisation vector, 16 bytes. @default made from `random` */
    readonly iv?: Uint8Array;
    /** Further entries. @default [] */
    readonly data?: readonly DataEntry[];
  },
): Promise<
  BuildResult & {
    /** The device's private key. */
    readonly key: PrivateKey;
    /** The device certificate. */
    readonly certificate: Certificate;
  }
> {
  const { issuer, data = [] } = options;
  refuseMode(options);
  const { key, ...made } = await makeKey(options);
  const certificate = await issueCertificate({ ...options, publicKey: key });
  const issuers = readCertificates(issuer.certificate);
  const { caCert = issuers } = options;
  const built = await build(
    { ...options, ...made, deviceCert: certificate, caCert, data },
    { ...options, ca: options.ca ?? issuers },
  );
  if (caCert === issuers) return { ...built, key, certificate };
  const { verdict } = built;
  const findings = [
    ...verdict.findings,
    ...await checkStoredCa([certificate], readCertificates(caCert)),
  ];
  return { ...built, verdict: { ...verdict, findings }, key, certificate };
}

/** What cannot be built is refused before there is a key, which may take seconds. */
function refuseMode({ keyMode = "plaintext", chip, key, efuseKeyId }: ProvisionOptions): void {
  const problems = keyModeProblems({
    keyMode,
    chip: usualChip(chip),
    key: kindOf(wantedKey(keyMode, key)),
    efuseKeyId: efuseKeyId ?? DEFAULT_EFUSE_KEY_ID,
  });
  if (problems.length === 0) return;
  throw planError(problems.map(({ message }) => ({ message: `private key: ${message}` })));
}

interface MadeKey extends Pick<BuildPlan, "privateKey" | "hmacKey" | "salt"> {
  readonly key: PrivateKey;
}

/** The device's key, and what of it goes into the plan: itself, or what it is derived from. */
async function makeKey(options: ProvisionOptions): Promise<MadeKey> {
  const { keyMode = "plaintext", random } = options;
  if (KEY_MODE_RULES[keyMode].privateKey === "derived") {
    const hmacKey = options.hmacKey ?? randomBytes(HMAC_KEY_SIZE, { random });
    const { salt, key } = await createDerivedKey({ hmacKey, random });
    return { key, hmacKey, salt };
  }
  const key = await generateKey({ ...wantedKey(keyMode, options.key), random });
  return { key, privateKey: key };
}
