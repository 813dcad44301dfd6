import { isFilledWith } from "../../bytes/pack.ts";
import { decodeNvs } from "./decode.ts";
import type { DecodedNvs } from "./decoded.ts";
import { NVS_PAGE_SIZE } from "./page.ts";

/** Partitions of credentials have some 64 KiB; a million small items would take a gigabyte. */
const MOST_READ = 0x100000;

/** What was read of an NVS image. */
export interface BoundedNvs extends DecodedNvs {
  /** Where reading ended, when something other than erased flash follows. */
  readonly cutAt?: number;
}

/**
 * As {@linkcode decodeNvs}, but of no more than the first MiB, so that any image takes bounded memory.
 *
 * @throws {SecureCertError} as {@linkcode decodeNvs}.
 */
export function decodeBoundedNvs(image: Uint8Array): BoundedNvs {
  if (image.length <= MOST_READ || image.length % NVS_PAGE_SIZE !== 0) return decodeNvs(image);
  const decoded = decodeNvs(image.subarray(0, MOST_READ));
  // Whether a page is in reserve shows only at the end.
  const problems = decoded.problems.filter(({ kind }) => kind !== "reserve");
  const isWhole = isFilledWith(image.subarray(MOST_READ), 0xFF);
  return { ...decoded, problems, cutAt: isWhole ? undefined : MOST_READ };
}
