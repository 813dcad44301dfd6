import type { Command } from "../command.ts";
import { FORCE, JSON_FLAG, OUT_FILE, PASSWORD_FILE } from "../flags.ts";

/** The other side of connect, for testing firmware. */
export const command: Command = {
  flags: [
    { name: "client-ca", value: "FILE", help: "CA that issued the certificates of the devices" },
    {
      name: "server-cert",
      value: "FILE",
      help: "certificate of the server, with its intermediates",
      default: "a development certificate is made",
    },
    { name: "server-key", value: "FILE", help: "its private key" },
    PASSWORD_FILE,
    {
      ...OUT_FILE,
      help: "where the CA of a development certificate goes, which the\ndevices must trust",
    },
    {
      name: "listen",
      value: "ADDRESS:PORT",
      help: "where to listen; 0.0.0.0 for every network; port 0 for a free one",
      default: "127.0.0.1:8883",
    },
    { name: "once", help: "end when the first device that was let in has left" },
    FORCE,
    { ...JSON_FLAG, help: "a line of JSON for each client; with --once one document" },
  ],
  exit1: "it failed; with --once also when one side refused the other's certificate",
  examples: [{
    permissions: "--allow-read=ca,server.pem,server.key.pem --allow-net=127.0.0.1:8883",
    line: "serve --client-ca ca/ca.pem --server-cert server.pem --server-key server.key.pem",
  }, {
    permissions: "--allow-read=ca --allow-write=server_ca.pem --allow-net=127.0.0.1:8883",
    line: "serve --client-ca ca/ca.pem -o server_ca.pem --once",
  }],
  async run(args, io) {
    const { serve } = await import("../tls/serve.ts");
    return await serve(args, io);
  },
};
