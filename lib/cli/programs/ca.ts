import { SecureCertError } from "../../bytes/errors.ts";
import { formatBase64, parseBase64 } from "../../bytes/text.ts";
import { decodeSpki, keyName } from "../../crypto/keys/encoding.ts";
import { type CertificateInput, readCertificates } from "../../crypto/x509/certificate.ts";
import type { Issuer } from "../../crypto/x509/issue.ts";
import { usageError } from "../errors.ts";
import { isRefusal, openPrograms, type ProgramOptions, type Programs } from "./pool.ts";

/** What a program that signs is called in messages. */
const CA_COMMAND = "the CA command";
/** How algorithms are written in a request. */
const ALGORITHMS: Readonly<Record<string, string>> = {
  "ec SHA-256": "ecdsa-sha256",
  "ec SHA-384": "ecdsa-sha384",
  "rsa SHA-256": "rsa-pkcs1-sha256",
};
/** A request with four bytes to sign, to try a program by hand. */
const EXAMPLE = " dGVzdA==";
const CURVES = ["P-256", "P-384"];

/**
 * Prepares the programs of `--ca-command`.
 *
 * @throws {CliError} `ERR_USAGE` for a CA with a key of another kind; as {@linkcode openPrograms}.
 */
export async function openCaPrograms(
  certificate: CertificateInput,
  options: Omit<ProgramOptions, "what" | "flag" | "example">,
): Promise<Programs> {
  const flag = "ca-command";
  const key = decodeSpki(readCertificates(certificate)[0]!.publicKey);
  if (key.type === "ec" && !CURVES.includes(key.curve)) {
    const message = `--${flag} signs with RSA, ${CURVES.join(" and ")}; the key of the CA is ${
      keyName(key)
    }`;
    throw usageError(message, flag);
  }
  const hash = key.type === "ec" && key.curve === "P-384" ? "SHA-384" : "SHA-256";
  const example = ALGORITHMS[`${key.type} ${hash}`] + EXAMPLE;
  return await openPrograms({ what: CA_COMMAND, flag, example, ...options });
}

/**
 * A CA whose signatures a program makes: a line with the algorithm, a blank, and the bytes to be signed in
 * base64; answered by the signature in base64, or `error` and a text that is not passed on.
 *
 * @param ask Gives the answer to a line.
 */
export function programIssuer(
  certificate: CertificateInput,
  ask: (line: string) => Promise<string>,
): Issuer {
  return {
    certificate,
    rsaHash: "SHA-256",
    sign: async (signedPart, { type, hash }) => {
      const answer = await ask(`${ALGORITHMS[`${type} ${hash}`]} ${formatBase64(signedPart)}`);
      if (isRefusal(answer)) throw unsigned("refused to sign");
      try {
        return parseBase64(answer);
      } catch (cause) {
        throw unsigned("did not answer with a signature in base64", cause);
      }
    },
  };
}

function unsigned(problem: string, cause?: unknown): SecureCertError {
  const message = `Cannot issue certificate: ${CA_COMMAND} ${problem}`;
  return new SecureCertError("ERR_CERTIFICATE", message, {}, { cause });
}
