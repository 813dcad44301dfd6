import type { Certificate } from "../../crypto/x509/certificate.ts";

/** Why a connection came to nothing. */
export interface Failure {
  /** Which side refused; `network` when there was no TLS to speak of. */
  readonly by: "server" | "client" | "network";
  /** A TLS alert such as `UnknownCA`, a code of this TLS stack or of the system, or one of ours. */
  readonly code: string;
  /** A clause. */
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

type Explained = Pick<Failure, "message" | "hint">;

const ISSUE_AGAIN = "issue a new device certificate, and check the clocks of both machines";
const SERVER_TRUST =
  "give the server the CA that issued the device certificate, and the intermediates in between";
const DEVICE_TRUST =
  "store the CA of the server in the image (--ca-cert of provision and build), or try it with --server-ca";

/** Alerts of the server (RFC 8446 section 6.2) by the name that this TLS stack gives them. */
const ALERTS: Readonly<Record<string, Explained>> = {
  UnknownCA: {
    message: "the server does not know the CA that issued the device certificate",
    hint: SERVER_TRUST,
  },
  CertificateExpired: {
    message: "for the server the device certificate is out of its validity",
    hint: ISSUE_AGAIN,
  },
  CertificateRevoked: {
    message: "for the server the device certificate is revoked",
    hint: "issue a new one",
  },
  CertificateRequired: { message: "the server got no client certificate, and requires one" },
  CertificateUnknown: {
    message: "the server does not accept the device certificate",
    hint: "it may have to be registered and activated there",
  },
  BadCertificate: {
    message: "the server finds the device certificate bad",
    hint:
      "see its log; a certificate without the client usage, or of X.509 v1, is often refused so",
  },
  UnsupportedCertificate: {
    message: "the server does not take this kind of certificate",
    hint: "it may lack the client usage (issue --usage client)",
  },
  AccessDenied: {
    message: "the server knows the device certificate, and denies it access",
    hint: "see the server's rules for this certificate",
  },
  DecryptError: { message: "for the server the signature is not that of the device certificate" },
  HandshakeFailure: {
    message: "the server found nothing that both sides support, or misses a certificate",
    hint: "it may allow only cipher suites, curves or signatures that this TLS stack lacks",
  },
  ProtocolVersion: {
    message: "the server speaks neither TLS 1.2 nor TLS 1.3",
    hint: "this TLS stack speaks no older version",
  },
  InsufficientSecurity: { message: "what this TLS stack offers is too weak for the server" },
  UnrecognisedName: {
    message: "the server does not serve this name",
    hint: "give its name with --server-name",
  },
  NoApplicationProtocol: {
    message: "the server does not speak the protocol of --alpn",
    hint: "give the one that it expects, such as --alpn x-amzn-mqtt-ca for AWS IoT on port 443",
  },
};

const UNKNOWN_ISSUER: Explained = {
  message: "the certificate of the server is not from the CA that the device trusts",
  hint: DEVICE_TRUST,
};

const WRONG_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
const EXPIRED: Explained = {
  message: "the certificate of the server, or its CA, has expired",
  hint: "renew it; a device that does not know the time may not notice",
};
const NOT_YET_VALID: Explained = {
  message: "the certificate of the server, or its CA, is not valid yet",
  hint: "check the clocks of both machines",
};

/** Codes of this TLS stack for what it refuses of the server, and of the system. */
const CODES: Readonly<Record<string, Explained & { readonly by: Failure["by"] }>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: { by: "client", ...UNKNOWN_ISSUER },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: { by: "client", ...UNKNOWN_ISSUER },
  SELF_SIGNED_CERT_IN_CHAIN: { by: "client", ...UNKNOWN_ISSUER },
  DEPTH_ZERO_SELF_SIGNED_CERT: { by: "client", ...UNKNOWN_ISSUER },
  CERT_HAS_EXPIRED: { by: "client", ...EXPIRED },
  CERT_NOT_YET_VALID: { by: "client", ...NOT_YET_VALID },
  [WRONG_NAME]: {
    by: "client",
    message: "the certificate of the server is for another name",
    hint: "give a name that is in it with --server-name, or issue it for this one",
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    by: "network",
    message: "there is no TLS: what answers is another protocol",
    hint: "check the port; MQTT with TLS is usually on 8883, HTTPS on 443",
  },
  ECONNREFUSED: {
    by: "network",
    message: "the connection was refused: nothing listens there",
    hint: "check host and port, and that the server runs",
  },
  ENOTFOUND: { by: "network", message: "the host has no address", hint: "check its name" },
  EHOSTUNREACH: { by: "network", message: "the host cannot be reached" },
  ENETUNREACH: { by: "network", message: "the network of the host cannot be reached" },
  ETIMEDOUT: { by: "network", message: "the connection timed out" },
};

/** The server ended the connection without an alert. */
export const CLOSED = "CLOSED";
/** Nothing came in time. */
const NO_ANSWER = "NO_ANSWER";
/** Something answered, and not as it should. */
const STRANGE_ANSWER = "STRANGE_ANSWER";
/** A client without a certificate was let in. */
const NO_CERTIFICATE_ASKED = "NO_CERTIFICATE_ASKED";
/** Codes of failures that show neither a refusal nor an answer. */
export const UNDECIDED: readonly string[] = [NO_ANSWER, STRANGE_ANSWER, NO_CERTIFICATE_ASKED];

/**
 * Why a connection failed.
 *
 * @param error What the socket reported.
 * @param session What was agreed on, once the handshake has ended on this side.
 */
export function failureOf(
  error: Error & { readonly code?: string },
  session: object | undefined,
): Failure {
  const [, alert] = /fatal alert: (\w+)/.exec(error.message) ?? [];
  if (alert !== undefined) {
    const known = ALERTS[alert] ?? { message: "the server refused the handshake" };
    return { by: "server", code: alert, ...known, message: `${known.message} (alert ${alert})` };
  }
  const { code = "UNKNOWN" } = error;
  const known = CODES[code];
  if (known !== undefined) return { code, ...known };
  if (code === "ECONNRESET" || code === "EPIPE") return closedFailure(session);
  const { message } = error;
  return {
    by: "client",
    code,
    message: `this TLS stack gave up: ${message}`,
    hint: "the device's own TLS library may take what this one does not",
  };
}

/** The server closed the connection and gave no reason. */
export function closedFailure(session: object | undefined): Failure {
  if (session !== undefined) {
    const message = "the server closed the connection after the handshake, and gave no reason";
    return { by: "server", code: CLOSED, message, hint: "see the server's log" };
  }
  return {
    by: "server",
    code: CLOSED,
    message: "the server closed the connection during the handshake, and gave no reason",
    hint: "there may be no TLS on this port; see the server's log",
  };
}

/** Nothing came within some seconds. */
export function silentFailure(seconds: number, session: object | undefined): Failure {
  const isSecure = session !== undefined;
  const message = isSecure
    ? `the handshake ended, and no answer came within ${seconds} s`
    : `no answer came within ${seconds} s`;
  const hint = isSecure
    ? "check --protocol: the server may wait for another"
    : "check host, port and firewall, or give more time with --timeout";
  return { by: isSecure ? "server" : "network", code: NO_ANSWER, message, hint };
}

/** What came after the handshake is not what the protocol expects. */
export function strangeFailure(protocol: string): Failure {
  const message = `what answered after the handshake does not speak ${protocol}`;
  return { by: "server", code: STRANGE_ANSWER, message, hint: "check port and --protocol" };
}

/**
 * Why the connection without a certificate leaves nothing proved; undefined where it was refused.
 *
 * @param failure How it failed, if it did.
 */
export function strangerFailure(failure: Failure | undefined): Failure | undefined {
  const by = "server";
  const hint = "set the server up to require a client certificate";
  if (failure === undefined) {
    const message = "a connection without a certificate was accepted in the same way: the server " +
      "asks for none, or does not require one";
    return { by, code: NO_CERTIFICATE_ASKED, message, hint };
  }
  if (!UNDECIDED.includes(failure.code)) return undefined;
  const message = `without a certificate the server refused nothing: ${failure.message}`;
  return { by, code: NO_CERTIFICATE_ASKED, message, hint };
}

/**
 * The failure, or that a certificate is out of its validity: this TLS stack may not say so.
 *
 * @param failure Why this side ended the handshake.
 * @param certificates That of the server, and those of the CA that issued it.
 */
export function datedFailure(
  failure: Failure,
  certificates: readonly Pick<Certificate, "notBefore" | "notAfter">[],
  now: Date,
): Failure {
  if (failure.by !== "client" || failure.code === WRONG_NAME) return failure;
  if (certificates.some(({ notAfter }) => notAfter < now)) {
    return { by: "client", code: "CERT_HAS_EXPIRED", ...EXPIRED };
  }
  if (certificates.some(({ notBefore }) => notBefore > now)) {
    return { by: "client", code: "CERT_NOT_YET_VALID", ...NOT_YET_VALID };
  }
  return failure;
}
