import { encodeUtf8 } from "../../bytes/text.ts";
import { type Certificate, readCertificates } from "../../crypto/x509/certificate.ts";
import { commonNameOf } from "../../crypto/x509/names.ts";
import { type Arguments, refuseIdle } from "../command.ts";
import { fileError, usageError, valueError } from "../errors.ts";
import type { Io } from "../io.ts";
import { parseAddress } from "../tls/address.ts";
import type { Protocol, Target } from "../tls/client.ts";
import { naming, readFlag } from "./files.ts";

const PORTS: Readonly<Record<Protocol, number>> = { tls: 8883, mqtt: 8883, https: 443 };
const STANDARD_SECONDS = 3;
const MOST_SECONDS = 600;
/** MQTT 3.1.1 section 1.5.3, in bytes. */
const MOST_CLIENT_ID = 0xFFFF;

/** The server that the command line names, and how to speak with it. */
export function targetOf(
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
export async function trustedBy(
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
export function commonNameIn({ subjectDer }: Certificate): string {
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
