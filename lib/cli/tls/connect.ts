import { encodeUtf8 } from "../../bytes/text.ts";
import { keyName, type PrivateKey } from "../../crypto/keys/encoding.ts";
import { exportPrivateKey } from "../../crypto/keys/keys.ts";
import {
  type Certificate,
  readCertificate,
  readCertificates,
} from "../../crypto/x509/certificate.ts";
import { commonNameOf } from "../../crypto/x509/names.ts";
import { deviceCredentials } from "../../toolkit/device_credentials.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import { verify } from "../../verify/verify.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { CliError, fileError, usageError, valueError } from "../errors.ts";
import { naming, readFlag } from "../input/files.ts";
import { flashReader } from "../input/flash.ts";
import { placeOf } from "../input/images.ts";
import { chipOf, readHmacKey, readKey } from "../input/keys.ts";
import type { Io } from "../io.ts";
import { printJson } from "../output/out.ts";
import { bold, formatDay, green, printableLine, red, wrap } from "../render/text.ts";
import { formatAddress, parseAddress } from "./address.ts";
import {
  type Answer,
  converse,
  type Identity,
  lookAt,
  type Outcome,
  type Protocol,
  type Session,
  type Target,
} from "./client.ts";
import { CLOSED, datedFailure, type Failure, strangerFailure, UNDECIDED } from "./failure.ts";
import { connackText } from "./mqtt.ts";

/** Keys that this TLS stack does not sign with are those of this curve, and RSA under so many bits. */
const UNKNOWN_CURVE = "P-192";
const LEAST_RSA_BITS = 2048;

const OTHER_LIBRARY =
  "note: this TLS stack (rustls) is not the library of the device; verify has checked what that parses";

/**
 * Connects as the device with an image would.
 *
 * @returns The exit code, 1 when nothing is proved.
 */
export async function connect(args: Arguments, io: Io): Promise<number> {
  const target = targetOf(args);
  if (!args.has("private-key")) refuseIdle(args, ["password-file"], "goes with --private-key");
  const { bytes: file, offset } = await flashReader(args, io)(args.positionals[0]!);
  const where = { ...placeOf(args), offset };
  const hmacKey = (await readHmacKey(args, io))?.bytes;
  const keyPath = args.get("private-key");
  const privateKey = keyPath === undefined ? undefined : await readKey(keyPath, args, io);
  await noteErrors(file, { ...where, hmacKey, chip: chipOf(args) }, io);
  const device = await deviceCredentials(file, { ...where, hmacKey, privateKey });
  refuseUnknownKey(device.key);
  const ca = await trustedBy(device.ca, args, io);
  const named = { ...target, clientId: target.clientId ?? commonNameIn(device.chain[0]!) };
  return await report({ ...named, ca: ca.map(({ pem }) => pem) }, { ...device, ca }, args, io);
}

type Device = Awaited<
  ReturnType<typeof import("../../toolkit/device_credentials.ts").deviceCredentials>
>;

/** Connects, and prints what that proves. */
async function report(target: Target, device: Device, args: Arguments, io: Io): Promise<number> {
  const cert = device.chain.map(({ pem }) => pem).join("");
  const key = new TextDecoder().decode(exportPrivateKey(device.key));
  const identity = { cert, key };
  const proof = await permitted(target, identity);
  const session = await seenSession(target, identity, proof);
  const server = session && readCertificate(session.server);
  const chain = server && [server, ...device.ca.filter(({ subject }) => subject === server.issuer)];
  const failure = chain && proof.failure && datedFailure(proof.failure, chain, new Date());
  const shown = {
    ...proof,
    failure: failure ?? proof.failure,
    target,
    credentials: device,
    server,
  };
  if (args.has("json")) printJson(proofJson(shown), io);
  else io.print(renderProof(shown, io.columns));
  if (shown.failure?.hint !== undefined) io.note(`hint: ${shown.failure.hint}`);
  io.note(OTHER_LIBRARY);
  return proof.isProved ? 0 : 1;
}

/** A handshake that this side ended does not say what the server showed. */
async function seenSession(
  target: Target,
  identity: Identity,
  { device, stranger, failure }: Proof,
): Promise<Session | undefined> {
  const session = device?.session ?? stranger.session;
  if (session !== undefined || failure?.by !== "client") return session;
  return await lookAt(target, identity);
}

/** The permission to connect is one that no other command needs. */
async function permitted(target: Target, identity: Identity): Promise<Proof> {
  try {
    return await prove(target, identity);
  } catch (error) {
    if (!(error instanceof Error && error.name === "NotCapable")) throw error;
    const address = formatAddress(target);
    const message = `Cannot connect to ${address}: Deno was not permitted to`;
    throw new CliError("ERR_PERMISSION", message, { hint: `add --allow-net=${address}` });
  }
}

/** What verify finds wrong: the device may not come as far as this. */
async function noteErrors(
  file: Uint8Array,
  options: NonNullable<Parameters<typeof import("../../verify/verify.ts").verify>[1]>,
  io: Io,
): Promise<void> {
  const { findings } = await verify(file, options);
  for (const { severity, code, message } of findings) {
    if (severity === "error") io.note(`verify: error ${code}: ${message}`);
  }
}

/** This TLS stack makes no signatures with some keys that the device works with. */
function refuseUnknownKey({ type, curve, bits }: PrivateKey): void {
  const isKnown = type === "rsa" ? bits >= LEAST_RSA_BITS : curve !== UNKNOWN_CURVE;
  if (isKnown) return;
  const name = type === "rsa" ? `RSA-${bits}` : curve;
  const message =
    `this TLS stack (rustls) does not sign with ${name} keys: nothing is proved, but the key may be right`;
  throw new CliError("ERR_IO", message, {
    hint: "prove it with the board itself, and serve as the other side",
  });
}

const PORTS: Readonly<Record<Protocol, number>> = { tls: 8883, mqtt: 8883, https: 443 };
const STANDARD_SECONDS = 3;
const MOST_SECONDS = 600;
/** MQTT 3.1.1 section 1.5.3, in bytes. */
const MOST_CLIENT_ID = 0xFFFF;

/** The server that the command line names, and how to speak with it. */
function targetOf(
  args: Arguments,
): Omit<Target, "ca" | "clientId"> & { readonly clientId?: string } {
  const protocol = (args.get("protocol") ?? "tls") as Protocol;
  const { host, port } = parseAddress(args.positionals[1]!, "HOST[:PORT]", PORTS[protocol]);
  return {
    host,
    port,
    protocol,
    serverName: args.get("server-name") ?? host,
    alpn: args.all("alpn"),
    clientId: clientIdOf(args, protocol),
    seconds: secondsOf(args),
  };
}

/** What --server-ca names, or else what the image has. */
async function trustedBy(
  stored: readonly Certificate[],
  args: Arguments,
  io: Io,
): Promise<readonly Certificate[]> {
  const given = await readFlag("server-ca", args, io);
  if (given !== undefined) {
    return await naming(args.need("server-ca"), () => readCertificates(given));
  }
  if (stored.length > 0) return stored;
  const message = "the image stores no CA, so there is nothing to check the server against";
  const hint = "give the firmware's own CA with --server-ca";
  throw fileError("ERR_IO", args.positionals[0]!, message, hint);
}

/** What names the device; a broker gives a client without a name one of its own. */
function commonNameIn({ subjectDer }: Certificate): string {
  return commonNameOf(subjectDer) ?? "";
}

function secondsOf(args: Arguments): number {
  const text = args.get("timeout");
  if (text === undefined) return STANDARD_SECONDS;
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds;
  const rule = `--timeout is a number of seconds over 0, up to ${MOST_SECONDS}`;
  throw valueError(rule, text, "timeout");
}

function clientIdOf(args: Arguments, protocol: Protocol): string | undefined {
  const id = args.get("client-id");
  if (id === undefined) return undefined;
  if (protocol !== "mqtt") refuseIdle(args, ["client-id"], "goes with --protocol mqtt");
  if (encodeUtf8(id).length <= MOST_CLIENT_ID) return id;
  throw usageError(`--client-id has at most ${MOST_CLIENT_ID} bytes`, "client-id");
}

/** What two connections showed: one without a client certificate, and one with it. */
interface Proof {
  /** Whether the server takes this certificate, and no client without one. */
  readonly isProved: boolean;
  /** How the connection with the certificate went; absent where the other one failed for both. */
  readonly device?: Outcome;
  /** How the connection without a certificate went. */
  readonly stranger: Outcome;
  /** Whether the server refused that one. */
  readonly refusesStrangers: boolean;
  /** Why nothing is proved. */
  readonly failure?: Failure;
}

/**
 * Connects without a certificate, which a server that asks for one refuses, and then with it. The first
 * connection also shows what would fail for both.
 *
 * @returns Rejects with `Deno.errors.NotCapable` where the process lacks the permission.
 */
async function prove(target: Target, identity: Identity): Promise<Proof> {
  const stranger = await converse(target);
  if (stranger.failure !== undefined && stranger.failure.by !== "server") {
    return { isProved: false, stranger, refusesStrangers: false, failure: stranger.failure };
  }
  const device = await converse(target, identity);
  const accepted = strangerFailure(stranger.failure);
  const failure = device.failure ?? accepted ?? await unexplained(stranger, target, identity);
  const refusesStrangers = accepted === undefined;
  return { isProved: failure === undefined, device, stranger, refusesStrangers, failure };
}

/** A connection that just closed may have closed for any reason: the certificate must work once more. */
async function unexplained(
  { failure }: Outcome,
  target: Target,
  identity: Identity,
): Promise<Failure | undefined> {
  return failure?.code === CLOSED ? (await converse(target, identity)).failure : undefined;
}

/** A proof, and what is shown with it. */
interface ShownProof extends Proof {
  readonly target: Target;
  /** What the client presented, and what it trusts. */
  readonly credentials: {
    readonly keyMode: string;
    readonly chain: readonly Certificate[];
    readonly ca: readonly Certificate[];
    readonly key: PrivateKey;
  };
  /** The certificate of the server, where it was seen. */
  readonly server?: Certificate;
}

/** What --json prints. */
function proofJson(proof: ShownProof): unknown {
  const { isProved, target, credentials, device, stranger, refusesStrangers, failure } = proof;
  const { host, port, serverName, protocol } = target;
  const session = device?.session;
  return {
    proved: isProved,
    host,
    port,
    serverName,
    protocol,
    keyMode: credentials.keyMode,
    device: reportCertificate(credentials.chain[0]!),
    tls: session && { protocol: session.protocol, cipher: session.cipher, alpn: session.alpn },
    server: proof.server && reportCertificate(proof.server),
    answer: device?.answer,
    withoutCertificate: { refused: refusesStrangers, ...stranger.failure },
    failure,
  };
}

/** Which side refused, where one did. */
function whoRefused({ by, code }: Failure): string {
  const isRefusal = !UNDECIDED.includes(code);
  if (by === "network") return ": no TLS connection";
  if (!isRefusal) return "";
  return by === "server" ? ": the server refuses" : ": this side refuses";
}

const INDENT = 13;
const LEAST_WIDTH = 40;

/** A proof as lines for people. */
function renderProof(proof: ShownProof, columns: number): string {
  const { isProved, target, failure, server, credentials, device, stranger } = proof;
  const { chain: [certificate], ca, key, keyMode } = credentials;
  const session = device?.session ?? stranger.session;
  const answer = device?.answer;
  const head = isProved
    ? `${bold(green("proved"))}: ${formatAddress(target)} takes this device, ` +
      "and no client without a certificate"
    : `${bold(red("NOT PROVED"))}${failure === undefined ? "" : whoRefused(failure)}`;
  const who = `${certificateLine(certificate!)}, serial ${certificate!.serial}`;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["why", failure?.message],
    [
      "handshake",
      session && [session.protocol, session.cipher, session.alpn].filter(Boolean).join(", "),
    ],
    ["server", server && certificateLine(server)],
    ["trusted", ca.map(({ subject }) => subject).join("; ")],
    ["device", `${who}, ${keyName(key)} key (${keyMode})`],
    ["answer", answer && answerText(answer)],
    ["stranger", failure === stranger.failure ? undefined : strangerText(stranger.failure)],
  ];
  const width = Math.max(LEAST_WIDTH, columns) - INDENT;
  const lines = rows.flatMap(([name, text]) =>
    text === undefined
      ? []
      : wrap(printableLine(text), width).map((line, at) =>
        `  ${(at === 0 ? name : "").padEnd(INDENT - 2)}${line}`
      )
  );
  return [head, ...lines].join("\n");
}

function certificateLine({ subject, issuer, sans, notAfter }: Certificate): string {
  const names = sans.length === 0 ? "" : ` (${sans.join(", ")})`;
  const end = formatDay(notAfter.toISOString());
  return `${subject}${names}, issued by ${issuer}, ${end === "no expiry" ? end : `until ${end}`}`;
}

/** What came after the handshake, in words. */
function answerText(answer: Answer): string {
  switch (answer.kind) {
    case "connack":
      return `MQTT CONNACK ${answer.code}, ${connackText(answer.code)}`;
    case "http":
      return `HTTP status ${answer.status}`;
    case "silence":
      return `no alert within ${answer.seconds} s`;
  }
}

function strangerText(failure: Failure | undefined): string {
  return failure === undefined
    ? "without a certificate: accepted"
    : `without a certificate: ${failure.message}`;
}
