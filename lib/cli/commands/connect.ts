import type { PrivateKey } from "../../crypto/keys/encoding.ts";
import { type Arguments, type Command, refuseIdle } from "../command.ts";
import { CliError } from "../errors.ts";
import {
  CHIP,
  FLASH_KEY_FLAGS,
  HMAC_KEY,
  JSON_FLAG,
  PASSWORD_FILE,
  PLACE_FLAGS,
} from "../flags.ts";
import { flashReader } from "../input/flash.ts";
import { placeOf } from "../input/images.ts";
import { chipOf, readHmacKey, readKey } from "../input/keys.ts";
import type { Io } from "../io.ts";
import { printJson } from "../output/out.ts";
import type { Identity, Protocol, Session, Target } from "../tls/client.ts";
import type { Proof } from "../tls/proof.ts";

const PROTOCOLS = ["tls", "mqtt", "https"] as const satisfies readonly Protocol[];
/** Keys that this TLS stack does not sign with are those of this curve, and RSA under so many bits. */
const UNKNOWN_CURVE = "P-192";
const LEAST_RSA_BITS = 2048;

const OTHER_LIBRARY =
  "note: this TLS stack (rustls) is not the library of the device; verify has checked what that parses";

/** Proves an image by a handshake, as the device would make it. */
export const command: Command = {
  positionals: [
    { name: "IMAGE", help: "image, or dump of flash (raw, Intel HEX or UF2); - is stdin" },
    {
      name: "HOST[:PORT]",
      help: "server that requires client certificates; without a port 8883,\nfor https 443",
    },
  ],
  flags: [
    {
      name: "protocol",
      value: "NAME",
      choices: PROTOCOLS,
      help:
        "what must follow the handshake within --timeout: for tls neither\nan alert nor a close, for mqtt an accepted CONNECT, for https an answer",
      default: "tls",
    },
    {
      name: "server-name",
      value: "NAME",
      help: "name in the server's certificate",
      default: "HOST",
    },
    {
      name: "alpn",
      value: "NAME",
      repeats: true,
      help: "application protocol, such as x-amzn-mqtt-ca for AWS IoT on 443",
    },
    {
      name: "client-id",
      value: "ID",
      help: "MQTT client identifier; a broker drops another client with the\nsame one",
      default: "the common name of the device certificate",
    },
    { name: "server-ca", value: "FILE", help: "what to trust", default: "the CA in the image" },
    HMAC_KEY,
    {
      name: "private-key",
      value: "FILE",
      help: "the key in the eFuse, for ecdsa-peripheral; it is in no image",
    },
    PASSWORD_FILE,
    {
      name: "timeout",
      value: "SECONDS",
      help: "wait for the handshake, and for the answer or an alert",
      default: "3",
    },
    CHIP,
    ...FLASH_KEY_FLAGS,
    ...PLACE_FLAGS,
    JSON_FLAG,
  ],
  exit1: "nothing is proved: a side refused, the server asks for no certificate, or it failed",
  examples: [{
    permissions: "--allow-read=esp_secure_cert.bin --allow-net=broker.example:8883",
    line: "connect esp_secure_cert.bin broker.example:8883 --protocol mqtt",
  }, {
    permissions: "--allow-read=esp_secure_cert.bin,hmac_key.bin --allow-net=api.example:443",
    line: "connect esp_secure_cert.bin api.example --protocol https --hmac-key hmac_key.bin",
  }],
  async run(args, io) {
    const { commonNameIn, targetOf, trustedBy } = await import("../input/target.ts");
    const target = targetOf(args);
    if (!args.has("private-key")) refuseIdle(args, ["password-file"], "goes with --private-key");
    const { bytes: file, offset } = await flashReader(args, io)(args.positionals[0]!);
    const where = { ...placeOf(args), offset };
    const hmacKey = (await readHmacKey(args, io))?.bytes;
    const keyPath = args.get("private-key");
    const privateKey = keyPath === undefined ? undefined : await readKey(keyPath, args, io);
    await noteErrors(file, { ...where, hmacKey, chip: chipOf(args) }, io);
    const { deviceCredentials } = await import("../../toolkit/device_credentials.ts");
    const device = await deviceCredentials(file, { ...where, hmacKey, privateKey });
    refuseUnknownKey(device.key);
    const ca = await trustedBy(device.ca, args, io);
    const named = { ...target, clientId: target.clientId ?? commonNameIn(device.chain[0]!) };
    return await report({ ...named, ca: ca.map(({ pem }) => pem) }, { ...device, ca }, args, io);
  },
};

type Device = Awaited<
  ReturnType<typeof import("../../toolkit/device_credentials.ts").deviceCredentials>
>;

/** Connects, and prints what that proves. */
async function report(target: Target, device: Device, args: Arguments, io: Io): Promise<number> {
  const { exportPrivateKey } = await import("../../crypto/keys/keys.ts");
  const { readCertificate } = await import("../../crypto/x509/certificate.ts");
  const { datedFailure } = await import("../tls/failure.ts");
  const { proofJson, renderProof } = await import("../render/proof.ts");
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
  const { lookAt } = await import("../tls/client.ts");
  return await lookAt(target, identity);
}

/** The permission to connect is one that no other command needs. */
async function permitted(target: Target, identity: Identity): Promise<Proof> {
  const { prove } = await import("../tls/proof.ts");
  try {
    return await prove(target, identity);
  } catch (error) {
    if (!(error instanceof Error && error.name === "NotCapable")) throw error;
    const { formatAddress } = await import("../tls/address.ts");
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
  const { verify } = await import("../../verify/verify.ts");
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
