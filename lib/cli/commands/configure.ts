import type { Command } from "../command.ts";
import { CONFIGURE_FLAGS } from "../configure/arguments.ts";

/** The flags of Espressif's configure_esp_secure_cert.py: what that tool does, done right. */
export const command: Command = {
  raw: true,
  flags: CONFIGURE_FLAGS,
  exit1: "it failed, or the chip could not use the image",
  examples: [{
    permissions: "--allow-read=made --allow-write=esp_secure_cert_data",
    line: "configure --device-cert made/device.pem --private-key made/device.key.pem --skip_flash",
  }],
  async run(args, io) {
    const { configure } = await import("../configure/configure.ts");
    return await configure(args.positionals, io);
  },
};
