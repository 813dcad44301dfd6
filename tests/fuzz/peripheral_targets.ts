import * as toolkit from "../../mod.ts";
import { hexHmacKey } from "../../lib/crypto/peripherals/hmac.ts";
import { equalBytes } from "../../lib/bytes/pack.ts";
import { encodeUtf8 } from "../../lib/bytes/text.ts";
import { decryptDump } from "../../lib/image/find/encrypted.ts";
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
      name: "encryptFlash",
      seeds: seeds.dsContext,
      run: (input) => {
        const options = { chip: "esp32", key: hmacKey, address: 16 * (input[0] ?? 0) } as const;
        const encrypted = toolkit.encryptFlash(input, options);
        const plain = toolkit.decryptFlash(encrypted, options).subarray(0, input.length);
        if (!equalBytes(plain, input)) throw new Error("other bytes came back");
      },
    },
    {
      name: "decryptFlash",
      seeds: seeds.dsContext,
      run: (input) => {
        const options = { chip: "esp32s3", key: hmacKey, address: 16 * (input[0] ?? 0) } as const;
        const plain = toolkit.decryptFlash(input, options);
        if (!equalBytes(toolkit.encryptFlash(plain, options), input)) {
          throw new Error("other bytes came back");
        }
      },
    },
    {
      name: "decryptDump",
      seeds: seeds.tlv,
      run: (input) => void decryptDump(input, { chip: "esp32s3", key: hmacKey, address: 0x8000 }),
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
