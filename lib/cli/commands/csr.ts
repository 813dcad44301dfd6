import { createRequest } from "../../crypto/x509/request.ts";
import { pemBytes, readKey, sansOf } from "../inputs.ts";
import { outOf, tell, writeOut } from "../outputs.ts";
import type { Command } from "../run.ts";

/** Makes a certificate signing request. */
export const csr: Command = async (args, io) => {
  const path = args.need("key");
  const subject = args.need("subject");
  const out = outOf(args, { standard: "-" }, io);
  const key = await readKey(path, args, io);
  const request = await createRequest({ key, subject, sans: sansOf(args) });
  await writeOut(out, { bytes: pemBytes("CERTIFICATE REQUEST", request) }, args, io);
  tell(out, { subject, out }, `signing request "${subject}": ${out}`, args, io);
  return 0;
};
