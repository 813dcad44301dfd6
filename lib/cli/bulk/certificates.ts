import { SecureCertError } from "../../bytes/errors.ts";
import { formatBase64 } from "../../bytes/text.ts";
import { readCertificate } from "../../crypto/certificate_info.ts";
import { certificateParts } from "../../crypto/der_walk.ts";
import { explain, joinPath } from "../io.ts";
import type { DatabaseSync } from "./deps.ts";
import { type FolderJournal, STRANGER } from "./journal.ts";
import { transaction } from "./meta.ts";

const CHUNK = 500;

/** What became of certificates from elsewhere. */
export interface TakenCertificates {
  readonly fitting: number;
  /** What does not fit, one line each. */
  readonly refused: readonly string[];
  /** Those whose key is no device's here, one line each. */
  readonly strangers: readonly string[];
}

/** Gives each certificate of a folder to the device that has its key. */
export function takeCertificates(
  folder: string,
  journal: FolderJournal,
  database: DatabaseSync,
): TakenCertificates {
  const refused: string[] = [];
  const strangers: string[] = [];
  let fitting = 0;
  const names = namesIn(folder);
  for (let at = 0; at < names.length; at += CHUNK) {
    transaction(database, () => {
      for (const name of names.slice(at, at + CHUNK)) {
        const path = joinPath(folder, name);
        const problem = takeOne(path, journal);
        if (problem === undefined) fitting++;
        else (problem === STRANGER ? strangers : refused).push(`${path}: ${problem}`);
      }
    });
  }
  return { fitting, refused, strangers };
}

function takeOne(path: string, journal: FolderJournal): string | undefined {
  let bytes;
  try {
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw explain("read", path, error);
  }
  try {
    const { publicKey } = certificateParts(readCertificate(bytes).der);
    return journal.certify(formatBase64(publicKey), path);
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return error.message;
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)]
      .filter(({ isFile, name }) => isFile && /\.(pem|crt|cer|der)$/i.test(name))
      .map(({ name }) => name).sort();
  } catch (error) {
    throw explain("read", folder, error);
  }
}
