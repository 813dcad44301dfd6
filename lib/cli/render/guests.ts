import { readCertificate } from "../../crypto/x509/certificate.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import type { Io } from "../io.ts";
import type { Guest, Request, ServerEvents } from "../tls/server.ts";
import { printableLine } from "./text.ts";

/** A server's events, as they are printed, and when it is to end. */
export interface GuestBook extends ServerEvents {
  /** The exit code, once the first client has come and gone; never without `once`. */
  readonly ended: Promise<number>;
}

/** Prints who comes. */
export function guestBook(
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
