// How mbedTLS finds PEM in what it is handed, and decodes it (`mbedtls_pem_read_buffer`,
// `mbedtls_base64_decode`): in some ways stricter than RFC 7468, in others laxer.

import type { Bytes } from "../bytes/pack.ts";

/** What the device makes of the text from an offset on, when it looks for a block with a label. */
export type DeviceBlock =
  /** There is no such block; `reason` where there is its BEGIN line, which the device then ignores. */
  | { readonly kind: "none"; readonly reason?: string }
  /** A block that it cannot decode, up to an offset. */
  | { readonly kind: "refused"; readonly reason: string; readonly end: number }
  /** A block without bytes, which ends the reading of everything around it. */
  | { readonly kind: "empty"; readonly end: number }
  | { readonly kind: "decoded"; readonly bytes: Bytes; readonly end: number };

const LATIN1 = new TextDecoder("latin1");
const ENCRYPTED = "Proc-Type: 4,ENCRYPTED";

/**
 * The text in which the device looks for PEM: what is before the first NUL, a character a byte. Undefined
 * when the last byte is not NUL; the device then looks for none.
 */
export function deviceText(stored: Uint8Array): string | undefined {
  return stored.at(-1) === 0 ? LATIN1.decode(stored.subarray(0, stored.indexOf(0))) : undefined;
}

/**
 * The first block with a label, as the device reads it.
 *
 * @param text The text of {@linkcode deviceText}.
 * @param label The words after BEGIN.
 * @param from Offset at which the device begins to look.
 */
export function readDeviceBlock(text: string, label: string, from = 0): DeviceBlock {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const beginAt = text.indexOf(begin, from);
  if (beginAt < 0) return { kind: "none" };
  const endAt = text.indexOf(end, from);
  if (endAt < 0) return { kind: "none", reason: `no END ${label} line` };
  if (endAt < beginAt) {
    return { kind: "none", reason: `an END ${label} line before the BEGIN line` };
  }
  const bodyAt = skipLineBreak(text, beginAt + begin.length);
  if (bodyAt === undefined) return { kind: "none", reason: `no line break after BEGIN ${label}` };
  return { ...decodeBody(text.slice(bodyAt, endAt)), end: endAt + end.length };
}

/** After the header at most one space and at most one CR, then an LF, which must be there. */
function skipLineBreak(text: string, after: number): number | undefined {
  let at = after;
  if (text[at] === " ") at++;
  if (text[at] === "\r") at++;
  return text[at] === "\n" ? at + 1 : undefined;
}

/** Spaces may be before a line break and before the END line; a CR only before an LF. */
const BODY = /^(?:[A-Za-z0-9+/=]* *\r?\n)*[A-Za-z0-9+/=]* *$/;

type DecodedBody =
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "empty" }
  | { readonly kind: "decoded"; readonly bytes: Bytes };

function decodeBody(body: string): DecodedBody {
  const refused = (reason: string) => ({ kind: "refused", reason }) as const;
  if (body === "") return refused("an empty PEM block");
  if (body.startsWith(ENCRYPTED)) return refused("encrypted PEM");
  if (!BODY.test(body)) return refused(whyNotBase64(body));
  const text = body.replace(/[ \r\n]+/g, "");
  if (text === "") return { kind: "empty" };
  if (text.length % 4 !== 0 || !/^[^=]+={0,2}$/.test(text)) {
    return refused("base64 that is cut off or wrongly padded");
  }
  // Bits left over in the last digit do not matter.
  return { kind: "decoded", bytes: Uint8Array.fromBase64(text) };
}

/** Without the spaces at the end of a line, and in linear time, which a regular expression may not take. */
function trimEnd(line: string): string {
  let end = line.length;
  while (line[end - 1] === " ") end--;
  return line.slice(0, end);
}

/** What is wrong with the first line that is not base64, without showing what may be a key. */
function whyNotBase64(body: string): string {
  const lines = body.split("\n");
  const last = lines.pop()!;
  const line = lines.map((each) => trimEnd(each.endsWith("\r") ? each.slice(0, -1) : each))
    .concat(trimEnd(last)).find((each) => !/^[A-Za-z0-9+/=]*$/.test(each))!;
  if (line.startsWith("-----")) return "a PEM block within another";
  if (line.includes(":")) return "header lines in the PEM block";
  if (line.includes("\t")) return "a tab in the base64";
  if (line.startsWith(" ")) return "indented base64";
  if (line.includes(" ")) return "a space within a line of base64";
  if (line.includes("\r")) return "a CR without LF in the base64";
  return "a character that is not base64";
}
