import type { Command } from "../../command.ts";
import { BATCH_FOLDER, CHIP, EXPECTED_DEVICES, ISSUED_BY, JSON_FLAG } from "../../flags.ts";

/** Reads every file of a batch back and checks it: exit code 1 when something is wrong. */
export const command: Command = {
  positionals: [BATCH_FOLDER],
  flags: [
    { ...ISSUED_BY, help: "CA that should have issued the device certificates" },
    { ...CHIP, help: "the chip that the images are for" },
    ...EXPECTED_DEVICES,
    { name: "allow-weak", help: "accept RSA keys of 1024 bits" },
    JSON_FLAG,
  ],
  exit1: "something is wrong; it is listed, with --json all of it",
  examples: [{ permissions: "--allow-read=batch,ca", line: "bulk verify batch --ca ca/ca.pem" }],
  async run(args, io) {
    const { bulkVerify } = await import("../../batch/check/verify.ts");
    return await bulkVerify(args, io);
  },
};
