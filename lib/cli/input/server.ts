import { exportPrivateKey, generateKey } from "../../crypto/keys/keys.ts";
import { isSamePublicKey } from "../../crypto/keys/encoding.ts";
import { type Certificate, readCertificates } from "../../crypto/x509/certificate.ts";
import type { Arguments } from "../command.ts";
import { fileError } from "../errors.ts";
import type { Io } from "../io.ts";
import { type Address, isLoopback, parseAddress } from "../tls/address.ts";
import type { ServerIdentity } from "../tls/server.ts";
import { naming } from "./files.ts";
import { readKey } from "./keys.ts";

const STANDARD_ADDRESS = "127.0.0.1:8883";
const STANDARD_PORT = 8883;
const ANY_ADDRESS: readonly string[] = ["0.0.0.0", "::"];

/** Where --listen says. */
export function listenOf(args: Arguments): Address {
  return parseAddress(args.get("listen") ?? STANDARD_ADDRESS, "--listen", STANDARD_PORT, 0);
}

/** What a server works with, and what was made for it. */
export interface ServerFiles extends ServerIdentity {
  /** The CA of a development certificate. */
  readonly madeBy?: Certificate;
  /** What such a certificate is for. */
  readonly names?: readonly string[];
}

/** Certificate, key and CA of a server; a development certificate where none is given. */
export async function serverIdentity(
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
