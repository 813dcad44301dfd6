import { isSamePublicKey } from "../../crypto/keys/encoding.ts";
import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import {
  type Certificate,
  readCertificate,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import { openSignal } from "../batch/signal.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { CliError, fileError, usageError } from "../errors.ts";
import { naming } from "../input/files.ts";
import { readKey } from "../input/keys.ts";
import { type Io, textFile } from "../io.ts";
import { forceOf } from "../output/out.ts";
import { printableLine } from "../render/text.ts";
import { type Address, formatAddress, isLoopback, parseAddress } from "./address.ts";
import {
  type Guest,
  type Request,
  type RunningServer,
  type ServerEvents,
  type ServerIdentity,
  startServer,
} from "./server.ts";

/**
 * Serves until Ctrl-C, or with --once until the first device that was let in has left.
 *
 * @returns The exit code.
 */
export async function serve(args: Arguments, io: Io): Promise<number> {
  const clientCa = args.need("client-ca");
  if (args.has("server-cert") !== args.has("server-key")) {
    throw usageError("--server-cert and --server-key go together", "server-cert");
  }
  if (args.get("out") === "-") throw usageError("--out is a file here, not stdout", "out");
  if (args.has("server-cert")) {
    refuseIdle(args, ["out"], "is for the CA of a development certificate");
  } else refuseIdle(args, ["password-file"], "goes with --server-key");
  const address = listenOf(args);
  await needPermission(address);
  const identity = await serverIdentity(clientCa, address.host, args, io);
  return await listen(address, identity, args, io);
}

async function listen(
  address: Address,
  identity: ServerFiles,
  args: Arguments,
  io: Io,
): Promise<number> {
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

/** Without the permission `listen` throws where it cannot be caught. */
async function needPermission(address: Address): Promise<void> {
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

const STANDARD_ADDRESS = "127.0.0.1:8883";
const STANDARD_PORT = 8883;
const ANY_ADDRESS: readonly string[] = ["0.0.0.0", "::"];

/** Where --listen says. */
function listenOf(args: Arguments): Address {
  return parseAddress(args.get("listen") ?? STANDARD_ADDRESS, "--listen", STANDARD_PORT, 0);
}

/** What a server works with, and what was made for it. */
interface ServerFiles extends ServerIdentity {
  /** The CA of a development certificate. */
  readonly madeBy?: Certificate;
  /** What such a certificate is for. */
  readonly names?: readonly string[];
}

/** Certificate, key and CA of a server; a development certificate where none is given. */
async function serverIdentity(
  clientCaPath: string,
  host: string,
  args: Arguments,
  io: Io,
): Promise<ServerFiles> {
  const clientCa = (await certificatesOf(clientCaPath, io)).map(({ pem }) => pem);
  const path = args.get("server-cert");
  if (path === undefined) {
    return { clientCa, ...await developmentIdentity(host) };
  }
  const chain = await certificatesOf(path, io);
  const keyPath = args.need("server-key");
  const key = await readKey(keyPath, args, io);
  if (!isSamePublicKey(key.publicKey, chain[0]!.publicKey)) {
    throw fileError(
      "ERR_IO",
      keyPath,
      `${keyPath} is not the key of the first certificate in ${path}`,
    );
  }
  return { clientCa, cert: pemOf(chain), key: new TextDecoder().decode(exportPrivateKey(key)) };
}

async function certificatesOf(path: string, io: Io): Promise<readonly Certificate[]> {
  const bytes = await io.read(path);
  return await naming(path, () => readCertificates(bytes));
}

function pemOf(chain: readonly Certificate[]): string {
  return chain.map(({ pem }) => pem).join("");
}

/** A certificate for the bench, of a CA whose key is not kept. */
async function developmentIdentity(
  host: string,
): Promise<Omit<ServerFiles, "clientCa">> {
  const { createDevelopmentCa } = await import("../../toolkit/provision.ts");
  const { issueCertificate } = await import("../../crypto/x509/issue.ts");
  const issuer = await createDevelopmentCa();
  const key = await generateKey();
  const own = ANY_ADDRESS.includes(host) || isLoopback(host) ? [] : [`${kindOf(host)}:${host}`];
  const certificate = await issueCertificate({
    issuer,
    publicKey: key,
    subject: "CN=localhost,OU=NOT FOR PRODUCTION",
    sans: ["dns:localhost", "ip:127.0.0.1", "ip:::1", ...own],
    usage: ["server"],
  });
  const pem = new TextDecoder().decode(exportPrivateKey(key));
  return { cert: certificate.pem, key: pem, madeBy: issuer.certificate, names: certificate.sans };
}

function kindOf(host: string): "dns" | "ip" {
  return /^[0-9.]+$/.test(host) || host.includes(":") ? "ip" : "dns";
}

/** A server's events, as they are printed, and when it is to end. */
interface GuestBook extends ServerEvents {
  /** The exit code, once the first client has come and gone; never without `once`. */
  readonly ended: Promise<number>;
}

/** Prints who comes. */
function guestBook(
  { json, once }: { readonly json: boolean; readonly once: boolean },
  io: Io,
): GuestBook {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const requests = new Map<Guest, Request>();
  const print = (value: unknown) => io.print(JSON.stringify(value));
  return {
    ended,
    describe,
    onGuest: (guest) => {
      if (!json) io.print(`${fromOf(guest)} ${guestLine(guest)}`);
    },
    onRequest: (guest, request) => {
      requests.set(guest, request);
      if (!json) io.print(`${fromOf(guest)} ${requestLine(request)}`);
    },
    onLeave: (guest) => {
      if (json) print({ accepted: true, ...describe(guest), request: requests.get(guest) });
      requests.delete(guest);
      if (once) resolve(0);
    },
    onRefusal: (refusal) => {
      const { kind, reason, from } = refusal;
      // One without a certificate does not end it: connect begins with such a connection.
      const ends = once && (kind === "refused" || kind === "refusing");
      if (!json) io.print(`${fromOf(refusal)} not let in: ${printableLine(reason)}`);
      else if (!once || ends) print({ accepted: false, from, kind, reason });
      if (ends) resolve(1);
    },
  };
}

function fromOf({ from }: { readonly from?: string }): string {
  return from ?? "a client";
}

/** Who a client is. */
function describe({ certificate, protocol, cipher, from }: Guest) {
  return { from, protocol, cipher, ...reportCertificate(readCertificate(certificate)) };
}

function guestLine({ certificate, protocol, cipher }: Guest): string {
  const { subject, serial } = readCertificate(certificate);
  return printableLine(`${subject}, serial ${serial}, ${protocol}, ${cipher}`);
}

function requestLine(request: Request): string {
  return request.kind === "https"
    ? `HTTPS ${printableLine(request.line)}: answered 200`
    : `MQTT CONNECT as ${printableLine(JSON.stringify(request.clientId ?? ""))}: accepted`;
}
