import { SecureCertError } from "../../../bytes/errors.ts";
import { readCertificate } from "../../../crypto/x509/certificate.ts";
import { certificatesAsPem } from "../../../image/stored.ts";
import type { Arguments } from "../../command.ts";
import { CliError, fileError } from "../../errors.ts";
import { type OpenCa, openCa } from "../../input/ca.ts";
import { type Io, joinPath } from "../../io.ts";
import { syncFile } from "../folder/write.ts";
import type { FolderJournal } from "../journal/journal.ts";
import type { RunPlan } from "./plan.ts";

/** The CA; only its certificate when it does not sign here, and none before there are requests. */
export interface BatchCa {
  readonly certificate?: Uint8Array;
  /** PKCS#8. */
  readonly key?: Uint8Array;
  /**
   * Writes one that was made just now; a list that turns out to be wrong leaves none.
   *
   * @throws {CliError} as {@linkcode isCaTaken} knows when another run has made one in between.
   */
  keep(): Promise<void>;
}

/** Whether an error says that another run made a CA at the same time, which this one is to take. */
export function isCaTaken(error: unknown): boolean {
  return error instanceof CliError && error.message.endsWith(TAKEN);
}

const TAKEN = "has got a CA from another run in between";

/**
 * The CA of a batch, which is made where there is none and no other run needs the same. Where no device
 * wants a certificate, only that of the CA is read, and with `--ca-cert` not even that.
 *
 * @throws {CliError} `ERR_FILE_NOT_FOUND` when there is none, and an earlier run or another shard has one.
 */
export async function batchCa(
  plan: RunPlan,
  journal: FolderJournal,
  args: Arguments,
  io: Io,
): Promise<BatchCa> {
  const { phase, profile, shard, caCert, namesCa, list } = plan;
  const keep = () => Promise.resolve();
  if (phase === "requests") return { keep };
  const isSigned = args.has("ca-command");
  const isIssued = phase === "certificates" || !isSigned && await list.allCertified();
  // The CA of a cloud may be nowhere to be had.
  if (isIssued && caCert !== undefined && !namesCa) return { keep };
  const path = args.get("ca") ?? profile.ca ?? "ca";
  const certificate = joinPath(path, "ca.pem");
  if (isIssued || isSigned) {
    const bytes = await io.readIfExists(certificate);
    if (bytes !== undefined) return { certificate: bytes, keep };
    const which = isIssued
      ? "issued them; for those of a cloud give --ca-cert, the CA of its servers"
      : "--ca-command signs for";
    const hint = `--ca is a folder with ca.pem, the certificate of the CA that ${which}`;
    throw fileError("ERR_FILE_NOT_FOUND", certificate, `no CA in ${path}`, hint);
  }
  const isBegun = journal.fact("ca") !== undefined;
  if ((isBegun || shard !== undefined) && await io.readIfExists(certificate) === undefined) {
    const [why, hint] = isBegun
      ? ["the first run of this batch had one", "give its folder with --ca"]
      : ["the shards of a batch share one", "make it first, with the ca command"];
    throw fileError("ERR_FILE_NOT_FOUND", certificate, `no CA in ${path}: ${why}`, hint);
  }
  const { issuer, files } = await openCa(path, args, io);
  if (!readCertificate(issuer.certificate).isCa) {
    const message = "Cannot use CA: its certificate is not a CA's";
    throw new SecureCertError("ERR_CERTIFICATE", message);
  }
  return {
    certificate: certificatesAsPem(issuer.certificate),
    key: issuer.key.pkcs8,
    keep: () => keepCa(path, files, io),
  };
}

async function keepCa(path: string, files: OpenCa["files"], io: Io): Promise<void> {
  try {
    await io.write(files, false, { makeFolders: true });
    for (const file of files) await syncFile(file.path);
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== "ERR_FILE_EXISTS") throw error;
    throw fileError("ERR_FILE_EXISTS", path, `${path} ${TAKEN}`, "run the same command again");
  }
}
