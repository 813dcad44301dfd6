import type { Command } from "../command.ts";
import {
  CHIP,
  FLASH_KEY_FLAGS,
  HMAC_KEY,
  JSON_FLAG,
  PASSWORD_FILE,
  PLACE_FLAGS,
} from "../flags.ts";
import type { Protocol } from "../tls/client.ts";

const PROTOCOLS = ["tls", "mqtt", "https"] as const satisfies readonly Protocol[];

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
    const { connect } = await import("../tls/connect.ts");
    return await connect(args, io);
  },
};
