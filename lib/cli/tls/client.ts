import { concat } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import { checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from "./deps.ts";
import {
  closedFailure,
  type Failure,
  failureOf,
  silentFailure,
  strangeFailure,
} from "./failure.ts";
import { connackText, encodeMqttConnect, MQTT_DISCONNECT, MQTT_TYPES, mqttPacket } from "./mqtt.ts";

/** What is spoken after the handshake. */
export type Protocol = "tls" | "mqtt" | "https";

/** A server, and how to speak with it. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** The name that its certificate is for. */
  readonly serverName: string;
  /** PEM. */
  readonly ca: readonly string[];
  readonly protocol: Protocol;
  readonly alpn: readonly string[];
  readonly clientId: string;
  readonly seconds: number;
}

/** What a client presents, in PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** What was agreed on in a handshake. */
export interface Session {
  /** Such as `TLSv1.3`. */
  readonly protocol: string;
  readonly cipher: string;
  readonly alpn?: string;
  /** The certificate of the server, DER. */
  readonly server: Uint8Array;
}

/** What came after the handshake, or that nothing came. */
export type Answer =
  | { readonly kind: "connack"; readonly code: number }
  | { readonly kind: "http"; readonly status: number }
  | { readonly kind: "silence"; readonly seconds: number };

/** How a connection went: an answer, or a failure. */
export interface Outcome {
  readonly session?: Session;
  readonly answer?: Answer;
  readonly failure?: Failure;
}

/** Statuses by which an HTTP server turns a client away; 495 and 496 are nginx's, for certificates. */
const TURNED_AWAY: readonly number[] = [400, 401, 403, 495, 496];
/** More is not read of an answer, in bytes. */
const MOST_ANSWER = 4096;
/**
 * Connects, and waits for what the server makes of it. In TLS 1.3 it refuses a certificate after the
 * handshake has ended for the client (RFC 8446 section 4.4.2.4): only its answer counts, or with bare TLS
 * that it stays silent.
 *
 * @param target The server.
 * @param identity What the client presents; nothing without it.
 * @returns Rejects with `Deno.errors.NotCapable` where the process lacks the permission.
 */
export function converse(target: Target, identity?: Identity): Promise<Outcome> {
  const { protocol, seconds } = target;
  return new Promise((resolve, reject) => {
    const socket = open(target, identity);
    let session: Session | undefined;
    let outcome: Outcome | undefined;
    let received = new Uint8Array();
    const onTime = () => {
      const isQuiet = session !== undefined && protocol === "tls";
      end(
        isQuiet
          ? { answer: { kind: "silence", seconds } }
          : { failure: silentFailure(seconds, session) },
      );
    };
    let timer = setTimeout(onTime, seconds * 1000);
    /** The first outcome counts; the socket closes after it. */
    const end = (found: Outcome, goodbye: Uint8Array = new Uint8Array()) => {
      clearTimeout(timer);
      outcome ??= { session, ...found };
      if (found.failure === undefined) socket.end(goodbye, () => socket.destroy());
      else socket.destroy();
    };
    socket.on("secureConnect", () => {
      clearTimeout(timer);
      timer = setTimeout(onTime, seconds * 1000);
      session = sessionOf(socket);
      const request = requestFor(target);
      if (request !== undefined) socket.write(request);
    });
    socket.on("data", (data: Uint8Array) => {
      if (protocol === "tls" || outcome !== undefined) return;
      received = concat(received, data);
      const found = answerIn(received, protocol);
      if (found !== undefined) end(found, protocol === "mqtt" ? MQTT_DISCONNECT : undefined);
    });
    socket.on("error", (error: Error & { code?: string }) => {
      if (error.name === "NotCapable") reject(error);
      end({ failure: failureOf(error, session) });
    });
    socket.on("close", () => {
      if (outcome === undefined) end({ failure: closedFailure(session) });
      resolve(outcome!);
    });
  });
}

/** What a server shows of itself to a client that trusts any server. */
export function lookAt(target: Target, identity: Identity): Promise<Session | undefined> {
  return new Promise((resolve) => {
    let session: Session | undefined;
    const socket = open(target, { ...identity, rejectUnauthorized: false });
    const timer = setTimeout(() => socket.destroy(), target.seconds * 1000);
    socket.on("secureConnect", () => {
      session = sessionOf(socket);
      socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(session);
    });
  });
}

function open(
  { host, port, serverName, ca, alpn }: Target,
  options: Identity & { readonly rejectUnauthorized?: false } | undefined,
): TLSSocket {
  return connect({
    host,
    port,
    // An address is in no server_name extension (RFC 6066 section 3).
    ...!isAddress(serverName) && { servername: serverName },
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      checkServerIdentity(serverName, certificate),
    ca: [...ca],
    ...alpn.length > 0 && { ALPNProtocols: [...alpn] },
    ...options,
  });
}

function isAddress(name: string): boolean {
  return name.includes(":") || /^\d+(\.\d+){3}$/.test(name);
}

function sessionOf(socket: TLSSocket): Session {
  const { raw } = socket.getPeerCertificate();
  return {
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().standardName,
    alpn: socket.alpnProtocol || undefined,
    server: new Uint8Array(raw),
  };
}

/** What the client says first. */
function requestFor({ protocol, serverName, clientId }: Target): Uint8Array | undefined {
  switch (protocol) {
    case "mqtt":
      return encodeMqttConnect(clientId);
    case "https": {
      const host = serverName.includes(":") ? `[${serverName}]` : serverName;
      const lines = ["GET / HTTP/1.1", `Host: ${host}`, "Accept: */*", "Connection: close", "", ""];
      return encodeUtf8(lines.join("\r\n"));
    }
    case "tls":
      return undefined;
  }
}

/** What the server answers; undefined while that is not whole. */
function answerIn(received: Uint8Array, protocol: "mqtt" | "https"): Outcome | undefined {
  return protocol === "mqtt" ? connackIn(received) : statusIn(received);
}

function connackIn(received: Uint8Array): Outcome | undefined {
  if (received[0]! >> 4 !== MQTT_TYPES.connack) return { failure: strangeFailure("MQTT") };
  const packet = mqttPacket(received);
  if (packet === undefined) {
    return received.length > MOST_ANSWER ? { failure: strangeFailure("MQTT") } : undefined;
  }
  const code = packet.body[1];
  if (code === undefined) return { failure: strangeFailure("MQTT") };
  const answer = { kind: "connack", code } as const;
  if (code === 0) return { answer };
  const message = `the broker answered ${code}, ${connackText(code)}`;
  const hint = "TLS let the client in; see the broker's rules for this certificate and --client-id";
  return { answer, failure: { by: "server", code: `CONNACK_${code}`, message, hint } };
}

function statusIn(received: Uint8Array): Outcome | undefined {
  const text = String.fromCharCode(...received.subarray(0, MOST_ANSWER));
  const [line, code] = /^HTTP\/\d\.\d (\d{3})[^\n]*\n/.exec(text) ?? [];
  if (line === undefined) {
    const isBegun = "HTTP/".startsWith(text.slice(0, 5)) && !text.includes("\n");
    return isBegun && received.length < MOST_ANSWER
      ? undefined
      : { failure: strangeFailure("HTTP") };
  }
  const status = Number(code);
  const answer = { kind: "http", status } as const;
  if (!TURNED_AWAY.includes(status)) return { answer };
  const message = `the server answered with status ${status}`;
  const hint = "TLS let the client in; see the server's rules for this certificate";
  return { answer, failure: { by: "server", code: `HTTP_${status}`, message, hint } };
}
