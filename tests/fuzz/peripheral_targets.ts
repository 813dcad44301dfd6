import * as toolkit from "../../mod.ts";
import { hexHmacKey } from "../../lib/crypto/peripherals/hmac_key.ts";
import { encodeUtf8 } from "../../lib/bytes/text.ts";
import { formatListing } from "../../lib/cli/configure/listing.ts";
import { fixTlv } from "./guards.ts";
import type { Seeds } from "./seeds.ts";
import type { Target } from "./target.ts";

/** What is computed with an eFuse key, and what `configure` lists. */
export function peripheralTargets(seeds: Seeds): readonly Target[] {
  const { hmacKey } = seeds;
  return [
    {
      name: "decryptDsParameters",
      seeds: seeds.dsData,
      run: (input) => toolkit.decryptDsParameters(input, { chip: "esp32s3", hmacKey }),
    },
    {
      name: "decryptEntry",
      seeds: seeds.dsContext,
      run: (input) => toolkit.decryptEntry(input, { hmacKey }),
    },
    {
      name: "encryptEntry",
      seeds: seeds.dsContext,
      run: async (input) => {
        await toolkit.decryptEntry(await toolkit.encryptEntry(input, { hmacKey }), { hmacKey });
      },
    },
    {
      name: "deriveEcdsaKey",
      seeds: seeds.dsContext,
      run: (input) => toolkit.deriveEcdsaKey(hmacKey, input),
    },
    {
      name: "hexHmacKey",
      seeds: [encodeUtf8(hmacKey.toHex())],
      run: (input) => hexHmacKey(input),
    },
    {
      name: "formatListing of configure",
      seeds: seeds.tlv,
      guard: fixTlv,
      run: (input) => formatListing("a.bin", input),
    },
  ];
}
