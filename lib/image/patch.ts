// What an image has beyond its entries - unused pages with headers, markers, leftovers - as the
// runs of bytes in which it differs from what its entries give. It is text, so that people can read it.
import { SecureCertError } from "../bytes/errors.ts";
import type { Bytes } from "../bytes/pack.ts";
import { decodeUtf8, encodeUtf8, formatHex, parseHex } from "../bytes/text.ts";

/** Runs with fewer equal bytes than this between them are written as one. */
const GAP = 8;
const LINE = /^(?:0x([0-9a-f]{1,8}) ([0-9a-f]+)|size ([0-9]{1,8}))$/;

/**
 * The patch that makes one image of another.
 *
 * @param from What the entries give.
 * @param to The image.
 * @returns Lines `0xOFFSET HEX`, and `size N` when the lengths differ.
 */
export function encodePatch(from: Uint8Array, to: Uint8Array): Bytes {
  const lines = from.length === to.length ? [] : [`size ${to.length}`];
  for (let at = 0; at < to.length;) {
    if (to[at] === from[at]) {
      at++;
      continue;
    }
    let end = at + 1;
    for (let next = end; next < to.length && next - end < GAP; next++) {
      if (to[next] !== from[next]) end = next + 1;
    }
    lines.push(`0x${at.toString(16)} ${formatHex(to.subarray(at, end))}`);
    at = end;
  }
  return encodeUtf8(lines.map((line) => `${line}\n`).join(""));
}

/**
 * Applies a patch.
 *
 * @throws {SecureCertError} `ERR_TEXT` with the line, for what is not a patch or does not fit the image.
 */
export function applyPatch(from: Uint8Array, patch: Uint8Array): Bytes {
  let image = new Uint8Array(from);
  for (const [index, text] of (decodeUtf8(patch) ?? "?").split("\n").entries()) {
    if (text === "") continue;
    const [, offset, hex = "", size] = LINE.exec(text) ?? [];
    const at = Number.parseInt(offset ?? "0", 16);
    const isBad = offset === undefined && size === undefined || hex.length % 2 !== 0;
    if (isBad || at + hex.length / 2 > image.length || Number(size ?? 0) > 0x1000000) {
      throw new SecureCertError("ERR_TEXT", `Cannot apply patch: bad line ${index + 1}`, {
        line: index + 1,
      });
    }
    if (size !== undefined) {
      const resized = new Uint8Array(Number(size)).fill(0xFF);
      resized.set(image.subarray(0, resized.length));
      image = resized;
    } else image.set(parseHex(hex), at);
  }
  return image;
}
