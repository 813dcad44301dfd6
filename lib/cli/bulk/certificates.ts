import { SecureCertError } from "../../bytes/errors.ts";
import { formatPem } from "../../bytes/pem.ts";
import { formatBase64 } from "../../bytes/text.ts";
import { chainBehind } from "../../crypto/certificate_chain.ts";
import { type CertificateInfo, readCertificates } from "../../crypto/certificate_info.ts";
import { commonNameOf } from "../../provision/export_device.ts";
import { explain, joinPath } from "../io.ts";
import type { DatabaseSync } from "./deps.ts";
import { type FolderJournal, STRANGER } from "./journal.ts";
import { transaction } from "./meta.ts";

const CHUNK = 500;
const ENDINGS = /\.(pem|crt|cer|cert|der)$/i;

/** What became of certificates from elsewhere. */
export interface TakenCertificates {
  readonly fitting: number;
  /** What does not fit, one line each. */
  readonly refused: readonly string[];
  /** Those whose key is no device's here, one line each. */
  readonly strangers: readonly string[];
  /** Files whose names end as no certificate's does. */
  readonly others: number;
}

/**
 * Gives each certificate of a folder to the device that has its key. A file may hold several, such as
 * those of the CA behind a device's own.
 */
export function takeCertificates(
  folder: string,
  journal: FolderJournal,
  database: DatabaseSync,
): TakenCertificates {
  const refused: string[] = [];
  const strangers: string[] = [];
  let fitting = 0;
  const all = namesIn(folder);
  const names = all.filter((name) => ENDINGS.test(name));
  for (let at = 0; at < names.length; at += CHUNK) {
    transaction(database, () => {
      for (const name of names.slice(at, at + CHUNK)) {
        const path = joinPath(folder, name);
        const problems = takeFile(path, journal);
        fitting += problems.filter((problem) => problem === undefined).length;
        const wrong = problems.filter((problem) => problem !== undefined);
        const isStranger = wrong.length > 0 && problems.every((problem) => problem === STRANGER);
        if (isStranger) strangers.push(`${path}: ${STRANGER}`);
        for (const problem of wrong) if (problem !== STRANGER) refused.push(`${path}: ${problem}`);
      }
    });
  }
  return { fitting, refused, strangers, others: all.length - names.length };
}

/** What is wrong with each certificate of a file; undefined for one that fits. */
function takeFile(path: string, journal: FolderJournal): (string | undefined)[] {
  let bytes;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw explain("read", path, error);
  }
  try {
    const all = readCertificates(bytes);
    return all.map((certificate) => takeOne(certificate, all, journal));
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return [error.message];
  }
}

function takeOne(
  certificate: CertificateInfo,
  others: readonly CertificateInfo[],
  journal: FolderJournal,
): string | undefined {
  const chain = [certificate, ...chainBehind(certificate, others)];
  return journal.certify({
    publicKey: formatBase64(certificate.publicKey),
    certificate: chain.map(({ der }) => formatPem("CERTIFICATE", der)).join(""),
    ...commonNameField(certificate),
  });
}

function commonNameField(certificate: CertificateInfo): { commonName?: string } {
  const commonName = commonNameOf(certificate);
  return commonName === undefined ? {} : { commonName };
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].filter(({ isDirectory, name }) =>
      !isDirectory && name[0] !== "."
    )
      .map(({ name }) => name).sort();
  } catch (error) {
    throw explain("read", folder, error);
  }
}
