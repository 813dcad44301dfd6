/** The packets of MQTT that connect and serve exchange, and the addresses that they take. */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isLoopback, parseAddress } from "../../../lib/cli/tls/address.ts";
import {
  encodeMqttConnack,
  encodeMqttConnect,
  mqttClientId,
  mqttPacket,
} from "../../../lib/cli/tls/mqtt.ts";

const SEED = 20261127;

Deno.test("a CONNECT is 14 bytes and the client identifier, and is read again", () => {
  const bytes = encodeMqttConnect("sensor");
  assertEquals(bytes.toHex(), "101200044d5154540402003c000673656e736f72");
  for (const length of [0, 1, 115, 116, 16_371, 16_372, 65_535]) {
    const id = "x".repeat(length);
    const connect = encodeMqttConnect(id);
    const packet = mqttPacket(connect)!;
    assertEquals([packet.type, packet.size], [1, connect.length]);
    assertEquals(mqttClientId(packet.body), id);
    assertEquals(mqttPacket(connect.subarray(0, -1)), undefined);
  }
});

Deno.test("any bytes are a packet, or the start of one", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
      const packet = mqttPacket(bytes);
      if (packet === undefined) return;
      assertEquals(packet.size <= bytes.length && packet.size >= 2, true);
      mqttClientId(packet.body);
      assertEquals(encodeMqttConnack(packet.body)[0], 0x20);
    }),
    { seed: SEED },
  );
});

Deno.test("hosts have ports, or get the usual one", () => {
  for (
    const [text, host, port] of [
      ["broker.example", "broker.example", 8883],
      ["broker.example:443", "broker.example", 443],
      ["10.0.0.1:1", "10.0.0.1", 1],
      ["::1", "::1", 8883],
      ["[::1]", "::1", 8883],
      ["[fe80::1]:65535", "fe80::1", 65535],
    ] as const
  ) {
    assertEquals(parseAddress(text, "HOST", 8883), { host, port });
  }
  assertEquals(["127.0.0.1", "127.1.2.3", "::1", "localhost"].every(isLoopback), true);
  assertEquals(["0.0.0.0", "::", "10.0.0.1", "127.example"].some(isLoopback), false);
});
