/** Types of the parts of `@std/encoding` that deps.ts re-exports. */
export function decodeHex(text: string): Uint8Array<ArrayBuffer>;
export function encodeHex(bytes: Uint8Array): string;
export function decodeBase64(text: string): Uint8Array<ArrayBuffer>;
export function encodeBase64(bytes: Uint8Array): string;
