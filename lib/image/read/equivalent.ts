import { SecureCertError } from "../../bytes/errors.ts";
import type { Bytes } from "../../bytes/pack.ts";
import type { StoredDs } from "../../format/cust_flash/codec.ts";
import { encodeDsContext, encodeDsData } from "../../format/peripheral.ts";

/** DS data as a TLV entry holds it; undefined for numbers that none can hold. */
export function equivalentDsData(ds: StoredDs): Bytes | undefined {
  return attempt(() => encodeDsData(ds));
}

/** The DS context as a TLV entry holds it; undefined for numbers that none can hold. */
export function equivalentDsContext(ds: StoredDs): Bytes | undefined {
  return attempt(() => encodeDsContext(ds));
}

/** Numbers of a damaged image may be none that the encoders take. */
function attempt<T>(encode: () => T): T | undefined {
  try {
    return encode();
  } catch (error) {
    if (error instanceof SecureCertError || error instanceof RangeError) return undefined;
    throw error;
  }
}
