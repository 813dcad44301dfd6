import { usageError, valueError } from "../errors.ts";

/** Where something listens. */
export interface Address {
  /** A name or an address, IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
}

/** The largest number of a port. */
const MOST_PORT = 0xFFFF;

/**
 * A host with a port, such as `broker.example:8883`, `[::1]:8883` or `::1`.
 *
 * @param text What was given.
 * @param name What messages call it.
 * @param port The port, where the text has none.
 * @param least The smallest port that it may have.
 */
export function parseAddress(text: string, name: string, port: number, least = 1): Address {
  const isBareIpv6 = /^[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*$/i.test(text);
  const [, bracketed, plain, given] = isBareIpv6
    ? [text, text]
    : /^(?:\[([^\]/]+)\]|([^:/[\]\s@]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) {
    if (/^[a-z]+:\/\//i.test(text)) {
      throw usageError(
        `${name} is a host with a port, not a URL`,
        undefined,
        "leave out the scheme and the path",
      );
    }
    throw valueError(
      `${name} is a host with a port, such as broker.example:8883 or [::1]:8883`,
      text,
    );
  }
  const number = given === undefined ? port : Number(given);
  if (number >= least && number <= MOST_PORT) return { host, port: number };
  throw valueError(`the port of ${name} is a number from ${least} to ${MOST_PORT}`, given ?? "");
}

/** An address as it is written before a port. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d+){3}$/.test(host);
}
