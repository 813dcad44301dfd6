import { type Bytes, concat } from "../../bytes/pack.ts";
import { encodeUtf8 } from "../../bytes/text.ts";
import type { Address } from "./address.ts";
import { createServer, type TLSSocket } from "./deps.ts";
import { encodeMqttConnack, MQTT_TYPES, mqttClientId, mqttPacket } from "./mqtt.ts";

/** What a server presents and trusts, in PEM. */
export interface ServerIdentity {
  readonly cert: string;
  readonly key: string;
  /** The CA of its clients. */
  readonly clientCa: readonly string[];
}

/** A client that was let in. */
export interface Guest {
  /** Its certificate, DER. */
  readonly certificate: Uint8Array;
  /** Such as `TLSv1.3`. */
  readonly protocol: string;
  readonly cipher: string;
  /** Address and port, where they are known. */
  readonly from?: string;
}

/** What a client asked for. */
export type Request =
  | { readonly kind: "mqtt"; readonly clientId?: string }
  | { readonly kind: "https"; readonly line: string };

/** Why a client was not let in. */
export interface Refusal {
  /**
   * `stranger` showed no certificate, `refused` one that is not good, `refusing` did not take that of the
   * server, and `other` is not a TLS client, or left.
   */
  readonly kind: "stranger" | "refused" | "refusing" | "other";
  readonly reason: string;
  /** Address, where it is known. */
  readonly from?: string;
}

/** What happens at a server. */
export interface ServerEvents {
  /** Answers an HTTPS request: what is said of the guest, JSON. */
  describe(guest: Guest): unknown;
  /** A handshake ended well. */
  onGuest(guest: Guest): void;
  /** A client was answered. */
  onRequest(guest: Guest, request: Request): void;
  /** The connection of a guest ended. */
  onLeave(guest: Guest): void;
  /** A handshake failed. */
  onRefusal(refusal: Refusal): void;
}

/** A server that runs. */
export interface RunningServer {
  readonly address: Address;
  /** Ends every connection, and listens no more. */
  close(): Promise<void>;
}

/** More is not kept of what a client sends, in bytes. */
const MOST_REQUEST = 0x10000;
const PINGRESP: Bytes = Uint8Array.of(MQTT_TYPES.pingresp << 4, 0);
const END_OF_HEAD = "\r\n\r\n";

/**
 * Listens, and lets in every client with a certificate of the CA.
 *
 * @returns Rejects when the address cannot be had; the permission for it must be there.
 */
export function startServer(
  { host, port }: Address,
  { cert, key, clientCa }: ServerIdentity,
  events: ServerEvents,
): Promise<RunningServer> {
  const open = new Set<TLSSocket>();
  const identity = { cert, key, ca: [...clientCa], requestCert: true, rejectUnauthorized: true };
  const server = createServer(identity, (socket) => {
    open.add(socket);
    serve(socket, events, () => open.delete(socket));
  });
  server.on("tlsClientError", (error: TlsError, socket: TLSSocket) => {
    events.onRefusal(refusalOf(error, socket));
    socket.destroy();
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      const address = server.address() as { readonly port: number };
      resolve({ address: { host, port: address.port }, close });
    });
  });
}

/** Answers one client, until it leaves. */
function serve(socket: TLSSocket, events: ServerEvents, onEnd: () => void): void {
  const guest: Guest = {
    certificate: new Uint8Array(socket.getPeerCertificate().raw),
    protocol: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().standardName,
    from: fromOf(socket),
  };
  events.onGuest(guest);
  let received: Bytes = new Uint8Array();
  socket.on("data", (data: Uint8Array) => {
    received = concat(received, data);
    received = isMqtt(received)
      ? answerMqtt(socket, received, guest, events)
      : answerHttp(socket, received, guest, events);
    if (received.length > MOST_REQUEST) socket.destroy();
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    onEnd();
    events.onLeave(guest);
  });
}

/** No method of HTTP begins with the byte of a CONNECT, nor with that of any packet after it. */
function isMqtt(received: Uint8Array): boolean {
  return received[0]! >> 4 === MQTT_TYPES.connect || received[0]! >= 0x80;
}

/** Answers the packets that are whole; gives the rest. */
function answerMqtt(
  socket: TLSSocket,
  received: Bytes,
  guest: Guest,
  events: ServerEvents,
): Bytes {
  let rest = received;
  for (let packet = mqttPacket(rest); packet !== undefined; packet = mqttPacket(rest)) {
    const { type, size, body } = packet;
    rest = rest.slice(size);
    if (type === MQTT_TYPES.connect) {
      socket.write(encodeMqttConnack(body));
      events.onRequest(guest, { kind: "mqtt", clientId: mqttClientId(body) });
    } else if (type === MQTT_TYPES.pingreq) socket.write(PINGRESP);
    else if (type === MQTT_TYPES.disconnect) socket.end();
  }
  return rest;
}

/** Answers a request with who asks, and closes; gives what is not answered yet. */
function answerHttp(
  socket: TLSSocket,
  received: Bytes,
  guest: Guest,
  events: ServerEvents,
): Bytes {
  const text = String.fromCharCode(...received.subarray(0, MOST_REQUEST));
  if (!text.includes(END_OF_HEAD)) return received;
  const [line = ""] = text.split("\r\n");
  const isHttp = /^[A-Z]+ \S+ HTTP\/1\.[01]$/.test(line);
  const body = encodeUtf8(`${JSON.stringify(isHttp ? events.describe(guest) : {}, null, 2)}\n`);
  const head = [
    `HTTP/1.1 ${isHttp ? "200 OK" : "400 Bad Request"}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
  ].join("\r\n");
  socket.end(
    concat(encodeUtf8(head + END_OF_HEAD), line.startsWith("HEAD ") ? new Uint8Array() : body),
  );
  if (isHttp) events.onRequest(guest, { kind: "https", line });
  return new Uint8Array();
}

function fromOf({ remoteAddress, remotePort }: TLSSocket): string | undefined {
  return remoteAddress === undefined ? undefined : `${remoteAddress}:${remotePort}`;
}

type TlsError = Error & { readonly code?: string };

/** This TLS stack lets a handshake with a bad certificate end, and closes then. */
function refusalOf({ code, message }: TlsError, socket: TLSSocket): Refusal {
  const from = fromOf(socket);
  const { authorizationError } = socket as { readonly authorizationError?: unknown };
  if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") {
    return { kind: "stranger", reason: "it showed no certificate", from };
  }
  if (authorizationError) {
    const problem = REFUSED[`${authorizationError}`] ?? `is refused: ${authorizationError}`;
    return { kind: "refused", reason: `its certificate ${problem}`, from };
  }
  const [, alert] = /fatal alert: (\w+)/.exec(message) ?? [];
  if (alert !== undefined) {
    const reason = `it refused this server's certificate or offer (alert ${alert})`;
    return { kind: "refusing", reason, from };
  }
  return { kind: "other", reason: OTHERS[code ?? ""] ?? message, from };
}

const NOT_THEIRS = "is not from the client CA, or is out of its validity";
const REFUSED: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_THEIRS,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_THEIRS,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_THEIRS,
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_THEIRS,
  CERT_HAS_EXPIRED: "has expired",
  CERT_NOT_YET_VALID: "is not valid yet",
};
const OTHERS: Readonly<Record<string, string>> = {
  ECONNRESET: "it left during the handshake",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS",
};
