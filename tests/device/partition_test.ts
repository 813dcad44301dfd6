import { assertEquals } from "@std/assert";
import { buildsThatRead } from "../../lib/device/partition.ts";
import { IMAGE_FORMATS } from "../../lib/format/names.ts";

Deno.test("each layout is read in its own kind of partition only, and by its own builds", () => {
  const partitions = [
    { type: 0x3F, label: "esp_secure_cert" },
    { type: 0x3F, label: "pre_prov" },
    { type: 0x01, label: "esp_secure_cert" },
    { type: 0x01, label: "pre_prov" },
  ];
  const table = IMAGE_FORMATS.map((format) => [
    format,
    ...partitions.map((partition) => buildsThatRead(format, partition)),
  ]);
  assertEquals(table, [
    ["tlv", "every build", "no build", "no build", "no build"],
    ["cust_flash", "legacy build", "no build", "no build", "no build"],
    ["cust_flash_legacy", "no build", "legacy build", "no build", "no build"],
    ["nvs", "no build", "no build", "legacy build", "no build"],
    ["nvs_legacy", "no build", "no build", "legacy build", "legacy build"],
  ]);
});

Deno.test("a partition of another type or label is read by no build", () => {
  assertEquals(buildsThatRead("tlv", { type: 0x40, label: "esp_secure_cert" }), "no build");
  assertEquals(buildsThatRead("tlv", { type: 0x3F, label: "secure_cert" }), "no build");
});
