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
import type { OpenContext } from "./mode.ts";
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
  const opened: ReadEntry[] = [];
  for (const closed of await readContents(image, entries, reading)) {
    const content = readable(() => open(image, closed, entries, reading));
    opened.push({
      raw: closed.raw,
      content: content instanceof Promise ? await content : content,
    });
  }
  return opened;
}

function open(
  image: Uint8Array,
  closed: ReadEntry,
  entries: readonly ImageEntry[],
  reading: Reading & Secrets,
): Content | Promise<Content> {
  const { raw, content } = closed;
  const { hmacKey } = reading;
  switch (content.kind) {
    case "privateKey":
      return KEY_MODE_RULES[content.storage].open(content, raw, { entries, hmacKey, reading });
    case "dsData":
      return KEY_MODE_RULES["rsa-ds"].open(content, raw, { entries, hmacKey, reading });
    case "encrypted":
      return hmacKey === undefined
        ? content
        : openEncrypted(image, closed, { entries, hmacKey, reading });
    default:
      return content;
  }
}

async function openEncrypted(
  image: Uint8Array,
  { raw }: ReadEntry,
  context: OpenContext & { readonly hmacKey: Uint8Array },
): Promise<Content> {
  const data = await decrypted(raw, context.hmacKey);
  if (data instanceof SecureCertError) return { kind: "encrypted", problem: data.message };
  const opened = await readValue(image, raw, data, context.reading);
  const { open: openDs } = KEY_MODE_RULES["rsa-ds"];
  return opened.kind === "dsData" ? await openDs(opened, raw, context) : opened;
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
