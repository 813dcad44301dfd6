import { readPlainSync } from "../../input/limited.ts";
import type { BulkShard } from "../../../batch/list/list.ts";
import { countOf, SecureCertError } from "../../../bytes/errors.ts";
import { formatBase64 } from "../../../bytes/text.ts";
import { type Certificate, readCertificates } from "../../../crypto/x509/certificate.ts";
import { chainAfter, followChain } from "../../../crypto/x509/chain.ts";
import { commonNameOf } from "../../../crypto/x509/names.ts";
import { explain, type Io, joinPath } from "../../io.ts";
import { startCounter } from "../../terminal/progress_line.ts";
import type { DatabaseSync } from "../deps.ts";
import type { HeldFolder } from "../journal/hold.ts";
import { type FolderJournal, type IssuedCertificate, STRANGER } from "../journal/journal.ts";
import { ownerOf, transaction } from "../journal/rows.ts";

const CHUNK = 500;
const ENDINGS = /\.(pem|crt|cer|cert|der)$/i;

/** What takes certificates from elsewhere. */
export interface TakingWork {
  readonly folder: Pick<HeldFolder, "database">;
  readonly journal: FolderJournal;
  /** The part of the list that is made here. */
  readonly shard?: BulkShard;
  /** Ends the taking early. */
  readonly signal?: AbortSignal;
}

/** Takes certificates as {@linkcode takeCertificates} does, and says which were refused. */
export async function takeIssued(
  from: string,
  ca: Uint8Array | undefined,
  work: TakingWork,
  io: Io,
): Promise<void> {
  const counter = startCounter(io, ["read", "certificates"]);
  const taken = await takeCertificates(from, ca, work, () => counter.add(1)).finally(counter.end);
  const { refused, strangers, others } = taken;
  for (const line of refused) io.note(`refused ${line}`);
  if (others > 0) {
    io.note(
      `skipped ${
        countOf(others, "file that is", "files that are")
      } not .pem, .crt, .cer, .cert or .der`,
    );
  }
  // In a shard, certificates of the other shards are to be expected.
  if (work.shard === undefined) { for (const line of strangers) io.note(`refused ${line}`); }
  else if (strangers.length > 0) {
    const what = countOf(strangers.length, "certificate is", "certificates are");
    io.note(`${what} for no device of this shard`);
  }
}

/** What became of certificates from elsewhere. */
export interface TakenCertificates {
  readonly fitting: number;
  /** What does not fit, one line each. */
  readonly refused: readonly string[];
  /** Those whose key no device here has, one line each. */
  readonly strangers: readonly string[];
  /** Files whose names do not end as a certificate's does. */
  readonly others: number;
}

/**
 * Gives each certificate of a folder to the device that has its key. A file may hold several, such as
 * those of the CA after a device's own. One that the CA did not issue is not given to a device, so that
 * a right one may take its place; one whose signature cannot be checked is.
 *
 * @param from The folder.
 * @param ca The certificate of the CA, PEM or DER; any CA may have issued them without it.
 * @param onFile Called for each file.
 */
export async function takeCertificates(
  from: string,
  ca: Uint8Array | undefined,
  { folder: { database }, journal, signal }: TakingWork,
  onFile: () => void,
): Promise<TakenCertificates> {
  const refused: string[] = [];
  const strangers: string[] = [];
  let fitting = 0;
  const all = namesIn(from);
  const names = all.filter((name) => ENDINGS.test(name));
  const trusted = ca && readCertificates(ca);
  for (let at = 0; at < names.length && signal?.aborted !== true; at += CHUNK) {
    const files: CertificateFile[] = [];
    for (const name of names.slice(at, at + CHUNK)) {
      files.push(await readFile(joinPath(from, name), trusted, database));
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

interface CertificateFile {
  readonly path: string;
  /** Each with what it is, or what is wrong with it. */
  readonly certificates: readonly (IssuedCertificate | string)[];
}

async function readFile(
  path: string,
  trusted: readonly Certificate[] | undefined,
  database: DatabaseSync,
): Promise<CertificateFile> {
  let bytes;
  try {
    bytes = readPlainSync(path);
  } catch (error) {
    throw explain("read", path, error);
  }
  try {
    const all = readCertificates(bytes);
    const issued = (certificate: Certificate) => issuedOf(certificate, all, trusted, database);
    return { path, certificates: await Promise.all(all.map(issued)) };
  } catch (error) {
    if (!(error instanceof SecureCertError)) throw error;
    return { path, certificates: [error.message] };
  }
}

async function issuedOf(
  certificate: Certificate,
  others: readonly Certificate[],
  trusted: readonly Certificate[] | undefined,
  database: DatabaseSync,
): Promise<IssuedCertificate | string> {
  const publicKey = formatBase64(certificate.publicKey);
  const id = ownerOf(database, publicKey);
  if (id === undefined) return STRANGER;
  const { fault, problem } = trusted === undefined
    ? {}
    : await followChain(certificate, [...others, ...trusted], trusted);
  if (fault !== undefined && fault !== "unchecked") {
    return `the CA did not issue it for ${id}: ${problem}`;
  }
  const chain = [certificate, ...chainAfter(certificate, others)];
  return {
    publicKey,
    certificate: chain.map(({ pem }) => pem).join(""),
    commonName: commonNameOf(certificate.subjectDer),
  };
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
