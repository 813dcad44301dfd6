import { exportPrivateKey, importPrivateKey, type PrivateKey } from "../../crypto/keys/keys.ts";
import { type Certificate, readCertificates } from "../../crypto/x509/certificate.ts";
import { createDevelopmentCa } from "../../toolkit/provision.ts";
import type { Arguments } from "../command.ts";
import { fileError } from "../errors.ts";
import { type Io, joinPath, type OutputFile, textFile } from "../io.ts";
import { passwordOf } from "./keys.ts";

/** A CA, from its folder or just made. */
export interface OpenCa {
  readonly path: string;
  readonly issuer: { readonly certificate: readonly Certificate[]; readonly key: PrivateKey };
  /** The files of a CA that was made just now, not yet written. */
  readonly files: readonly OutputFile[];
}

/** The CA of a folder; a development CA when the folder is empty. */
export async function openCa(path: string, args: Arguments, io: Io): Promise<OpenCa> {
  const [certificatePath, keyPath] = [joinPath(path, "ca.pem"), joinPath(path, "ca.key.pem")];
  const certificate = await io.readIfExists(certificatePath);
  const key = await io.readIfExists(keyPath);
  if (certificate !== undefined && key !== undefined) {
    const password = await passwordOf(args, io, key, keyPath);
    const issuer = {
      certificate: readCertificates(certificate),
      key: await importPrivateKey(key, { password }),
    };
    return { path, issuer, files: [] };
  }
  if (certificate !== undefined || key !== undefined) {
    const missing = certificate === undefined ? certificatePath : keyPath;
    const message = `Cannot use CA in ${path}: ${missing} is missing`;
    throw fileError("ERR_FILE_NOT_FOUND", missing, message);
  }
  io.note(
    `making a development CA in ${path}: for tests, not for products`,
  );
  const issuer = await createDevelopmentCa();
  return {
    path,
    issuer: { certificate: [issuer.certificate], key: issuer.key },
    files: [
      { path: keyPath, bytes: exportPrivateKey(issuer.key), secret: true, keep: true },
      textFile(certificatePath, issuer.certificate.pem),
    ],
  };
}
