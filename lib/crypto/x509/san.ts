import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import { decodeUtf8, encodeUtf8, formatHex } from "../../bytes/text.ts";
import { type DerNode, derPrimitive, derSequence, readDer } from "../der/read.ts";

/** Tags of GeneralName (RFC 5280 section 4.2.1.6). */
const KINDS = { email: 1, dns: 2, uri: 6, ip: 7 } as const;

type Kind = keyof typeof KINDS;

/**
 * Subject alternative names from texts such as `dns:device.example`, `ip:192.0.2.1`, `ip:2001:db8::1`,
 * `uri:urn:dev:1`, `email:a@example.org`.
 *
 * @param names One text a name, at least one.
 * @returns GeneralNames, DER.
 * @throws {SecureCertError} `ERR_NAME` for an unknown kind or a malformed name.
 */
export function encodeSans(names: readonly string[]): Bytes {
  return derSequence(...names.map((name) => {
    const [, kind = "", value = ""] = /^\s*([a-zA-Z]+):(.*)$/.exec(name) ?? [];
    if (!Object.hasOwn(KINDS, kind.toLowerCase())) {
      throw badSan(name, "need dns:, ip:, uri: or email:");
    }
    return encodeSan(kind.toLowerCase() as Kind, value.trim(), name);
  }));
}

/** The names of a GeneralNames, in the form that {@linkcode encodeSans} reads. */
export function formatSans(der: Uint8Array): string[] {
  return readDer(der, "subject alternative names").children.map(formatSan);
}

function encodeSan(kind: Kind, value: string, name: string): Bytes {
  if (kind === "ip") {
    return derPrimitive(KINDS.ip, parseIp(value) ?? fail(name, "not an IP address"));
  }
  if (!/^[\x21-\x7E]+$/.test(value)) throw badSan(name, "empty, or not printable ASCII");
  const isFit = {
    dns:
      /^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/,
    uri: /^[A-Za-z][A-Za-z0-9+.-]*:/,
    email: /^[^@]+@[^@]+$/,
  }[kind].test(value) && (kind !== "dns" || value.length <= 253);
  if (!isFit) throw badSan(name, kind === "dns" ? "not a host name" : `not a valid ${kind}`);
  return derPrimitive(KINDS[kind], encodeUtf8(value));
}

function formatSan({ tag, content, raw }: DerNode): string {
  const kind = (Object.keys(KINDS) as Kind[]).find((each) => tag === `[${KINDS[each]}]`);
  if (kind === "ip") return `ip:${formatIp(content)}`;
  const text = kind === undefined ? undefined : decodeUtf8(content);
  return text === undefined ? `other:${formatHex(raw)}` : `${kind}:${text}`;
}

function parseIp(text: string): Bytes | undefined {
  if (text.includes(":")) return parseIpv6(text);
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part))) {
    return undefined;
  }
  return parts.every((part) => Number(part) <= 255) ? new Uint8Array(parts.map(Number)) : undefined;
}

function parseIpv6(text: string): Bytes | undefined {
  const halves = text.split("::").map((half) => half === "" ? [] : half.split(":"));
  const groups = halves.flat();
  if (halves.length > 2 || !groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) {
    return undefined;
  }
  if (halves.length === 1 ? groups.length !== 8 : groups.length > 7) return undefined;
  const gap = Array<string>(8 - groups.length).fill("0");
  const all = [...halves[0]!, ...gap, ...halves[1] ?? []].map((group) => parseInt(group, 16));
  return new Uint8Array(all.flatMap((group) => [group >> 8, group & 0xFF]));
}

function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return formatHex(bytes);
  const groups = Array.from(
    { length: 8 },
    (_, at) => (bytes[2 * at]! << 8 | bytes[2 * at + 1]!).toString(16),
  );
  // The host parser of URL compresses zeros as RFC 5952 wants.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function fail(name: string, problem: string): never {
  throw badSan(name, problem);
}

function badSan(name: string, problem: string): SecureCertError {
  return new SecureCertError(
    "ERR_NAME",
    `Cannot encode subject alternative name "${name}": ${problem}`,
  );
}
