import { SecureCertError } from "../../../bytes/errors.ts";
import { formatBase64 } from "../../../bytes/text.ts";
import { chainBehind, followChain } from "../../../crypto/x509/chain.ts";
import { type Certificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import { commonNameOf } from "../../../crypto/x509/names.ts";
import { explain, joinPath } from "../../io.ts";
import type { DatabaseSync } from "../deps.ts";
import {
  type FolderJournal,
  type IssuedCertificate,
  ownerOf,
  STRANGER,
} from "../journal/journal.ts";
import { transaction } from "../journal/meta.ts";

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
 * those of the CA behind a device's own. One that the CA did not issue is no device's, so that a right
 * one may take its place.
 *
 * @param ca The certificate of the CA, PEM or DER.
 * @param work Is told of each file, and ends the taking early.
 */
export async function takeCertificates(
  folder: string,
  ca: Uint8Array,
  journal: FolderJournal,
  database: DatabaseSync,
  { signal, onFile = () => {} }: TakingWork = {},
): Promise<TakenCertificates> {
  const refused: string[] = [];
  const strangers: string[] = [];
  let fitting = 0;
  const all = namesIn(folder);
  const names = all.filter((name) => ENDINGS.test(name));
  const trusted = readCertificates(ca);
  for (let at = 0; at < names.length && signal?.aborted !== true; at += CHUNK) {
    const files: CertificateFile[] = [];
    for (const name of names.slice(at, at + CHUNK)) {
      files.push(await readFile(joinPath(folder, name), trusted, database));
      onFile();
    }
    transaction(database, () => {
      for (const { path, certificates } of files) {
        const problems = certificates.map((each) =>
          typeof each === "string" ? each : journal.certify(each)
        );
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

interface TakingWork {
  readonly signal?: AbortSignal;
  readonly onFile?: () => void;
}

interface CertificateFile {
  readonly path: string;
  /** Each with what it is, or what is wrong with it. */
  readonly certificates: readonly (IssuedCertificate | string)[];
}

async function readFile(
  path: string,
  trusted: readonly Certificate[],
  database: DatabaseSync,
): Promise<CertificateFile> {
  let bytes;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw explain("read", path, error);
  }
  try {
    const all = readCertificates(bytes);
    const judge = (certificate: Certificate) => issuedOf(certificate, all, trusted, database);
    return { path, certificates: await Promise.all(all.map(judge)) };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { path, certificates: [error.message] };
  }
}

async function issuedOf(
  certificate: Certificate,
  others: readonly Certificate[],
  trusted: readonly Certificate[],
  database: DatabaseSync,
): Promise<IssuedCertificate | string> {
  const publicKey = formatBase64(certificate.publicKey);
  const id = ownerOf(database, publicKey);
  if (id === undefined) return STRANGER;
  const { problem } = await followChain(certificate, [...others, ...trusted], trusted);
  if (problem !== undefined) return `the CA did not issue it for ${id}: ${problem}`;
  const chain = [certificate, ...chainBehind(certificate, others)];
  return {
    publicKey,
    certificate: chain.map(({ pem }) => pem).join(""),
    ...commonNameField(certificate),
  };
}

function commonNameField(certificate: Certificate): { commonName?: string } {
  const commonName = commonNameOf(certificate.subjectDer);
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
