import type { Certificate } from "../../crypto/x509/certificate.ts";
import type { Proof } from "../tls/proof.ts";
import { keyName, type PrivateKey } from "../../crypto/keys/encoding.ts";
import { reportCertificate } from "../../toolkit/inspect.ts";
import { formatAddress } from "../tls/address.ts";
import type { Answer, Target } from "../tls/client.ts";
import { type Failure, UNDECIDED } from "../tls/failure.ts";
import { connackText } from "../tls/mqtt.ts";
import { bold, formatDay, green, printableLine, red, wrap } from "./text.ts";

/** A proof, and what is shown with it. */
export interface ShownProof extends Proof {
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
export function proofJson(proof: ShownProof): unknown {
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
export function renderProof(proof: ShownProof, columns: number): string {
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
