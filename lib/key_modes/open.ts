import { SecureCertError } from "../bytes/errors.ts";
import { decryptEntry } from "../crypto/peripherals/hmac.ts";
import {
  type Content,
  readable,
  readContents,
  type ReadEntry,
  type Reading,
  readValue,
  type Secrets,
} from "../image/contents/contents.ts";
import type { ImageEntry } from "../image/read/entry.ts";
import { KEY_MODE_RULES } from "./modes.ts";

/**
 * Reads the value of each entry, and opens what can be opened with the HMAC key that is given.
 *
 * @param image The image that the entries are from.
 * @param entries Its entries.
 * @param reading The HMAC key, and how certificates are read.
 * @returns The entries in their order; what cannot be read has a content that says why.
 */
export async function openContents(
  image: Uint8Array,
  entries: readonly ImageEntry[],
  reading: Reading & Secrets,
): Promise<ReadEntry[]> {
  const read = await readContents(image, entries, reading);
  return await Promise.all(read.map(async ({ raw, content }) => ({
    raw,
    content: await readable(() => open(image, { raw, content }, entries, reading)),
  })));
}

async function open(
  image: Uint8Array,
  { raw, content }: ReadEntry,
  entries: readonly ImageEntry[],
  reading: Reading & Secrets,
): Promise<Content> {
  const { hmacKey } = reading;
  const context = { entries, hmacKey, reading };
  switch (content.kind) {
    case "privateKey":
      return await KEY_MODE_RULES[content.storage].open(content, raw, context);
    case "dsData":
      return await KEY_MODE_RULES["rsa-ds"].open(content, raw, context);
    case "encrypted": {
      if (hmacKey === undefined) return content;
      const data = await decrypted(raw, hmacKey);
      if (data instanceof SecureCertError) return { ...content, problem: data.message };
      const opened = await readValue(image, raw, data, reading);
      const { open: openDs } = KEY_MODE_RULES["rsa-ds"];
      return opened.kind === "dsData" ? await openDs(opened, raw, context) : opened;
    }
    default:
      return content;
  }
}

/** The value of an encrypted entry, or why it does not open. */
async function decrypted(
  { value }: ImageEntry,
  hmacKey: Uint8Array,
): Promise<Uint8Array | SecureCertError> {
  try {
    return await decryptEntry(value.data, { hmacKey });
  } catch (error) {
    if (error instanceof SecureCertError) return error;
    throw error;
  }
}
