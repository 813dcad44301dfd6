import { encodeQR } from "./deps.ts";
import type { ManifestRow } from "./manifest.ts";

/** Modules of white around the code (ISO/IEC 18004 section 9.1). */
const QUIET_ZONE = 4;
const LARGEST_TEXT = 3;
/** Width of a character of a monospaced face, as a part of its height. */
const CHARACTER = 0.62;
const LINE = 1.4;

/**
 * What the code of a label says.
 *
 * @param row Name and serial number of the device.
 * @returns JSON without spaces: `{"id":"…","serial":"…"}`.
 */
export function formatLabelPayload({ id, serial }: Pick<ManifestRow, "id" | "serial">): string {
  return JSON.stringify({ id, serial });
}

/**
 * A device's label, an SVG document (SVG 1.1): a QR code (ISO/IEC 18004, 15 % error correction) of the
 * JSON `{"id":"…","serial":"…"}`, with both as text under it. It has no size of its own and fills what
 * the printer gives it.
 *
 * @category Manifest and labels
 * @throws {Error} when id and serial number are longer than the largest QR code holds.
 */
export function formatLabel(row: { readonly id: string; readonly serial: string }): string {
  const modules = encodeQR(formatLabelPayload(row), "raw", { ecc: "medium", border: QUIET_ZONE });
  const side = modules.length;
  const lines = [row.id, row.serial].filter((text) => text !== "");
  const sizes = lines.map((text) => textSize(text, side - 2 * QUIET_ZONE));
  let y = side - QUIET_ZONE + 1;
  const texts = lines.map((text, at) => {
    y += sizes[at]! * LINE;
    return `<text x="${round(side / 2)}" y="${round(y)}" font-size="${round(sizes[at]!)}">${
      escapeXml(text)
    }</text>\n`;
  });
  const height = round(y + 1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side} ${height}" ` +
    `font-family="monospace" text-anchor="middle">\n` +
    `<title>${escapeXml(row.id)}</title>\n` +
    `<rect width="${side}" height="${height}" fill="#fff"/>\n` +
    `<path shape-rendering="crispEdges" d="${outline(modules)}"/>\n` +
    `${texts.join("")}</svg>\n`;
}

/** Dark modules of each row, run by run, as rectangles of a path. */
function outline(modules: readonly (readonly boolean[])[]): string {
  return modules.map((row, y) => {
    let path = "";
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const start = x;
      while (row[x + 1]) x++;
      path += `M${start} ${y}h${x + 1 - start}v1h${start - x - 1}z`;
    }
    return path;
  }).join("");
}

/** As large as fits on one line. */
function textSize(text: string, width: number): number {
  return Math.min(LARGEST_TEXT, width / ([...text].length * CHARACTER));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** XML 1.0 has no way to write most control characters and half surrogates, escaped or not. */
function escapeXml(text: string): string {
  return text.toWellFormed()
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x1F\x7F\uFFFE\uFFFF]/g, "\uFFFD")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
