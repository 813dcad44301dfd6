import { type Bytes, concat, viewOf } from "../../bytes/pack.ts";
import { decodeUtf8, encodeUtf8 } from "../../bytes/text.ts";

/** The last packet of a client, MQTT 3.1.1 section 3.14. */
export const MQTT_DISCONNECT: Bytes = Uint8Array.of(0xE0, 0);
/** Types of packets, the upper half of their first byte. */
export const MQTT_TYPES = {
  connect: 1,
  connack: 2,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const;

const CLEAN_SESSION = 2;
const LEVEL_5 = 5;
const KEEP_ALIVE_SECONDS = 60;
/** Of a remaining length, MQTT 3.1.1 section 2.2.3. */
const MOST_LENGTH_BYTES = 4;

/** What the return codes of a CONNACK mean, MQTT 3.1.1 table 3.1. */
const RETURN_CODES: readonly string[] = [
  "accepted",
  "unacceptable protocol version",
  "client identifier rejected",
  "server unavailable",
  "bad user name or password",
  "not authorized",
];

/** What a return code of a CONNACK means. */
export function connackText(code: number): string {
  return RETURN_CODES[code] ?? "unknown return code";
}

/**
 * A CONNECT of MQTT 3.1.1 with a clean session, without user name and will.
 *
 * @param clientId In UTF-8 at most 65,535 bytes.
 * @returns 14 bytes and the client identifier; from 116 bytes of that on, one or two more.
 */
export function encodeMqttConnect(clientId: string): Bytes {
  const id = encodeUtf8(clientId);
  const body = concat(
    mqttString(encodeUtf8("MQTT")),
    Uint8Array.of(4, CLEAN_SESSION, 0, KEEP_ALIVE_SECONDS),
    mqttString(id),
  );
  return concat(Uint8Array.of(MQTT_TYPES.connect << 4), remainingLength(body.length), body);
}

/**
 * A CONNACK that accepts a CONNECT; that of MQTT 5 has a length of properties as well.
 *
 * @param body The CONNECT after its fixed header.
 */
export function encodeMqttConnack(body: Uint8Array): Bytes {
  // After the name of the protocol, "MQTT" with its length.
  return body[6] === LEVEL_5 ? Uint8Array.of(0x20, 3, 0, 0, 0) : Uint8Array.of(0x20, 2, 0, 0);
}

/** A packet at the start of some bytes: its type and its length as a whole; undefined for a part of one. */
export function mqttPacket(
  bytes: Uint8Array,
): { readonly type: number; readonly size: number; readonly body: Uint8Array } | undefined {
  let length = 0;
  for (let at = 1; at < bytes.length && at <= MOST_LENGTH_BYTES; at++) {
    length += (bytes[at]! & 0x7F) << (7 * (at - 1));
    if ((bytes[at]! & 0x80) !== 0) continue;
    const size = at + 1 + length;
    if (bytes.length < size) return undefined;
    return { type: bytes[0]! >> 4, size, body: bytes.subarray(at + 1, size) };
  }
  return undefined;
}

/** The client identifier in a CONNECT, of MQTT 3.1.1 or 5; undefined where it is cut off. */
export function mqttClientId(body: Uint8Array): string | undefined {
  // Name, level, flags and keep-alive are 10 bytes; MQTT 5 has properties after them, under 128 bytes here.
  const at = 10 + (body[6] === LEVEL_5 ? 1 + (body[10] ?? 0) : 0);
  if (at + 2 > body.length) return undefined;
  const length = viewOf(body).getUint16(at);
  return at + 2 + length > body.length
    ? undefined
    : decodeUtf8(body.subarray(at + 2, at + 2 + length));
}

function mqttString(bytes: Uint8Array): Bytes {
  const length = new Uint8Array(2);
  viewOf(length).setUint16(0, bytes.length);
  return concat(length, bytes);
}

function remainingLength(length: number): Bytes {
  const bytes: number[] = [];
  for (let rest = length; rest > 0 || bytes.length === 0; rest >>= 7) {
    bytes.push((rest & 0x7F) | (rest > 0x7F ? 0x80 : 0));
  }
  return Uint8Array.from(bytes);
}
