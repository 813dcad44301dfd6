import { importPrivateKey } from "../../../crypto/keys/keys.ts";
import { createSigner } from "../../../crypto/signature.ts";
import { type BulkMakerOptions, createBulkMaker } from "../../../batch/make/maker.ts";
import type { BulkMaker } from "../../../batch/ports.ts";
import { diskFiles } from "../folder/disk.ts";
import { programIssuer } from "../../programs/ca.ts";
import type { AskCa, WorkerStart } from "./messages.ts";

/** Devices under way in a call: while WebCrypto works for one, the thread works for another. */
const LANES = 2;

/**
 * The CA and what signs images, as a thread needs them to make devices.
 *
 * @param ask Asks the program that signs for the CA, where there is one.
 */
export async function openSigning(
  { certificate, key, signingKeys }: Pick<WorkerStart, "certificate" | "key" | "signingKeys">,
  ask?: AskCa,
): Promise<Pick<BulkMakerOptions, "issuer" | "signers">> {
  const signers = (await Promise.all(signingKeys.map((each) => importPrivateKey(each))))
    .map(createSigner);
  if (certificate === undefined) return { signers };
  if (ask !== undefined) return { signers, issuer: programIssuer(certificate, ask) };
  const issuer = key === undefined
    ? { certificate }
    : { certificate, key: await importPrivateKey(key) };
  return { signers, issuer };
}

/** The maker that a thread, or the process itself, works with. */
export async function openMaker(start: WorkerStart, ask?: AskCa): Promise<BulkMaker> {
  const { folder, number, profile, phase, labels, caCert } = start;
  const files = diskFiles(folder, String(number), start);
  return await createBulkMaker({
    profile,
    phase,
    caCert,
    labels,
    files,
    lanes: LANES,
    ...await openSigning(start, ask),
  });
}
