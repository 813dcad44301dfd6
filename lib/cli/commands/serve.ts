import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { CliError, usageError } from "../errors.ts";
import { FORCE, JSON_FLAG, OUT_FILE, PASSWORD_FILE } from "../flags.ts";
import type { ServerFiles } from "../input/server.ts";
import { type Io, textFile } from "../io.ts";
import { forceOf } from "../output/out.ts";
import type { RunningServer } from "../tls/server.ts";
import type { Address } from "../tls/address.ts";

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
    const clientCa = args.need("client-ca");
    if (args.has("server-cert") !== args.has("server-key")) {
      throw usageError("--server-cert and --server-key go together", "server-cert");
    }
    if (args.get("out") === "-") throw usageError("--out is a file here, not stdout", "out");
    if (args.has("server-cert")) {
      refuseIdle(args, ["out"], "is for the CA of a development certificate");
    } else refuseIdle(args, ["password-file"], "goes with --server-key");
    const { listenOf, serverIdentity } = await import("../input/server.ts");
    const address = listenOf(args);
    await needPermission(address);
    const identity = await serverIdentity(clientCa, address.host, args, io);
    return await serve(address, identity, args, io);
  },
};

async function serve(
  address: Address,
  identity: ServerFiles,
  args: Arguments,
  io: Io,
): Promise<number> {
  const { startServer } = await import("../tls/server.ts");
  const { formatAddress, isLoopback } = await import("../tls/address.ts");
  const { guestBook } = await import("../render/guests.ts");
  const { openSignal } = await import("../batch/signal.ts");
  const stop = openSignal(io, "stopping");
  const book = guestBook({ json: args.has("json"), once: args.has("once") }, io);
  let server: RunningServer | undefined;
  try {
    server = await startServer(address, identity, book).catch((error) => {
      throw listenError(error, formatAddress(address));
    });
    await handOut(identity, args, io);
    const where = formatAddress(server.address);
    if (!isLoopback(address.host)) {
      io.note(`warning: anyone who reaches this machine over the network can connect to ${where}`);
    }
    io.note(`listening on ${where}; Ctrl-C ends it`);
    const stopped = new Promise<number>((resolve) =>
      stop.signal.addEventListener("abort", () => resolve(0))
    );
    return await Promise.race([stopped, book.ended]);
  } finally {
    await server?.close();
    stop.close();
  }
}

/** Writes the CA of a development certificate, when clients can connect: a script waits for the file. */
async function handOut(
  { madeBy, names = [] }: ServerFiles,
  args: Arguments,
  io: Io,
): Promise<void> {
  if (madeBy === undefined) return;
  const out = args.get("out");
  if (out !== undefined) await io.write([textFile(out, madeBy.pem)], forceOf(args));
  const where = out === undefined ? `:\n${madeBy.pem.trimEnd()}` : ` ${out}`;
  io.note(`made a development certificate for ${names.join(", ")}; its CA is${where}`);
}

/** Without the permission `listen` throws where nobody can catch it. */
async function needPermission(address: Address): Promise<void> {
  const { formatAddress } = await import("../tls/address.ts");
  const where = formatAddress(address);
  const { state } = await Deno.permissions.request({ name: "net", host: where });
  if (state === "granted") return;
  const message = `Cannot listen on ${where}: Deno was not permitted to`;
  throw new CliError("ERR_PERMISSION", message, { hint: `add --allow-net=${where}` });
}

/** Why nothing can listen, in words. */
function listenError(error: unknown, where: string): unknown {
  if (!(error instanceof Error)) return error;
  const failed = `Cannot listen on ${where}`;
  const { code } = error as Error & { readonly code?: string };
  if (code === "EADDRINUSE") {
    const hint = "give another with --listen; port 0 takes a free one";
    return new CliError("ERR_IO", `${failed}: something listens there`, { hint });
  }
  return new CliError("ERR_IO", `${failed}: ${error.message}`);
}
