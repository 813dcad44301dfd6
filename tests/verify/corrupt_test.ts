/** The damaged golden images, checked against what the firmware's C reader did with them. */
import { assertEquals } from "@std/assert";
import { verify } from "../../mod.ts";
import type { FindingCode } from "../../lib/findings/findings.ts";
import { walkPartition } from "../../lib/format/partition.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../vectors.ts";

interface Getter {
  readonly ret?: string;
  readonly event?: string;
}

type Getters = Readonly<Record<string, Getter & { readonly entries?: readonly Getter[] }>>;

const SIGNATURE = 8;
const failed = ({ ret, event }: Getter) =>
  event !== undefined || (ret !== undefined && ret !== "ESP_OK");

/**
 * Whether the C reader refused something that the image holds, left the image, or never returned.
 * Getters of what an image never held do not count.
 */
function isRefused(name: string, image: Uint8Array, creader: Record<string, Getters>): boolean {
  const reader = { ...creader["reader"], ...creader["v2.6.1_build"] };
  if (creader["reader"] === undefined) {
    return Object.values(creader["legacy_build"]!).some(failed);
  }
  if ((reader["is_tlv_partition"] as { value?: boolean } | undefined)?.value === false) return true;
  const asked = (reader["get_tlv"] ?? []) as unknown as readonly (Getter & { type: number })[];
  const integrity = reader["verify_partition_integrity"]!;
  const isSigned = walkPartition(image).entries.some(({ value }) => value.type === SIGNATURE);
  const isVerified = Object.values(creader["signature"] ?? {}).some(({ ret }) => ret === "ESP_OK");
  const ds = creader["ds4096_build"]?.["get_ds_ctx"] as Getter | undefined;
  return asked.some(failed) || reader["list"]!.event !== undefined ||
    integrity.event !== undefined ||
    integrity.ret === "ESP_FAIL" || isSigned && !isVerified ||
    name.includes("_ds_") && ds?.ret !== "ok";
}

/** Where our verdict rightly differs from the reader's behaviour, and why. */
const EXCEPTIONS: Readonly<Record<string, { readonly ok: boolean; readonly why: string }>> = {
  corrupt_hmac_no_key: { ok: true, why: "the eFuse is empty, not the image wrong" },
  corrupt_length_zero_key: { ok: false, why: "the getter returns no bytes, which is no key" },
  corrupt_magic_second: { ok: false, why: "entries that were provisioned are never reached" },
  corrupt_gap: { ok: false, why: "entries that were provisioned are never reached" },
  corrupt_ds_data_short: {
    ok: false,
    why: "the getter trusts the length and returns bytes after the value",
  },
  corrupt_sec_cfg_empty: { ok: false, why: "the getter returns a byte of the checksum as block" },
  corrupt_magic_big_endian: { ok: false, why: "the partition is taken for an empty one" },
  corrupt_empty_file: { ok: false, why: "nothing was provisioned" },
};

sharedTest(
  "damaged images are errors where the C reader fails on them, and where it does not they are none",
  async () => {
    const cases = sharedCases("corrupt");
    let checked = 0;
    for (const { name } of cases) {
      const image = shared(`generated/${name}/expected.bin`);
      const creader = JSON.parse(sharedText(`generated/${name}/creader.json`));
      const alternative = name === "corrupt_hmac_wrong_key" ? "hmac_key_alt.bin" : "hmac_key.bin";
      const hmacKey = name === "corrupt_hmac_no_key"
        ? undefined
        : shared(`generated/inputs/${alternative}`);
      const verdict = await verify(image, hmacKey ? { hmacKey } : {});
      const expected = EXCEPTIONS[name]?.ok ?? !isRefused(name, image, creader);
      const found = verdict.findings.map(({ severity, code }) => `${severity} ${code}`).join(", ");
      assertEquals(verdict.ok, expected, `${name}: ${EXCEPTIONS[name]?.why ?? ""} ${found}`);
      checked++;
    }
    assertEquals(checked, 54);
  },
);

sharedTest("the reason is named by its code", async () => {
  const expected: Readonly<Record<string, FindingCode>> = {
    corrupt_crc_first: "BAD_CHECKSUM",
    corrupt_length_past_end: "TRUNCATED",
    corrupt_length_fff0_hang: "OVER_64K",
    corrupt_derive_no_salt: "NO_KEY",
    corrupt_ds_context_len7: "DS_CONTEXT",
    corrupt_ds_data_short: "DS_BLOB",
    corrupt_sig_curve_id: "BAD_SIGNATURE",
    corrupt_p384_sha256: "BAD_SIGNATURE",
    corrupt_nvs_entry_crc: "BAD_CHECKSUM",
    corrupt_cf_key_crc: "BAD_CHECKSUM",
  };
  for (const [name, code] of Object.entries(expected)) {
    const { findings } = await verify(shared(`generated/${name}/expected.bin`));
    assertEquals(
      findings.some((each) => each.code === code && each.severity === "error"),
      true,
      name,
    );
  }
});
