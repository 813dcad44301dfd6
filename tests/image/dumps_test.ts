/** Every verb finds the image in a dump of any encoding. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  append,
  convert,
  createDevelopmentCa,
  decodePartition,
  diff,
  encodePartitionTable,
  extract,
  generateKey,
  inspect,
  provision,
  SecureCertError,
  signingDigest,
  signPartition,
  verify,
} from "../../mod.ts";
import { intelHex, uf2 } from "../dumps.ts";

const ENTRY = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD000, size: 0x2000 };

/** An image, and flash of 256 KiB with it, the table at an offset, and an application after it. */
async function flashed(tableAt = 0x8000): Promise<{ image: Uint8Array; flash: Uint8Array }> {
  const issuer = await createDevelopmentCa();
  const { image } = await provision({ issuer, subject: "CN=dev", fill: true });
  const flash = new Uint8Array(0x40000).fill(0xFF);
  flash.set(encodePartitionTable([ENTRY]), tableAt);
  flash.set(image, 0xD000);
  flash.set(crypto.getRandomValues(new Uint8Array(0x10000)), 0x10000);
  flash[0x10000] = 0xE9;
  return { image, flash };
}

Deno.test("a dump is raw, Intel HEX or UF2, whole or in part", async () => {
  const { image, flash } = await flashed();
  const part = flash.subarray(0x8000, 0xF000);
  const files = [
    flash,
    intelHex(0, flash),
    uf2(0, flash),
    intelHex(0x8000, part),
    uf2(0x8000, part),
  ];
  for (const [index, file] of files.entries()) {
    const report = await inspect(file);
    assertEquals([report.format, report.size], ["tlv", 0x2000], `${index}`);
    assertEquals(report.location?.offset, 0xD000);
    assertEquals(report.encoding, [undefined, "intel_hex", "uf2", "intel_hex", "uf2"][index]);
    assertEquals((await verify(file)).ok, true);
    assertEquals((await diff(file, image)).same, true);
  }
  // An image on its own, at its address or at none.
  for (const file of [intelHex(0, image), intelHex(0xD000, image), uf2(0xD000, image)]) {
    const { format, size, location, findings } = await inspect(file);
    assertEquals([format, size, location], ["tlv", 0x2000, undefined]);
    assertEquals(findings.map(({ code }) => code), ["PLAINTEXT_KEY"]);
  }
  const bad = intelHex(0, image);
  bad[30] = bad[30] === 0x30 ? 0x31 : 0x30;
  const [found] = (await verify(bad)).findings;
  assertEquals(found?.code, "NOT_AN_IMAGE");
  assertEquals(
    found?.message.startsWith("looks like Intel HEX: Cannot decode Intel HEX: line 1"),
    true,
  );
});

Deno.test("what is written of a dump is the partition in its size", async () => {
  const { image, flash } = await flashed();
  const key = await generateKey();
  for (const file of [flash, intelHex(0, flash)]) {
    const added = await append(file, { entries: [{ type: "user1", data: new Uint8Array(9) }] });
    assertEquals(added.image.length, 0x2000);
    assertEquals(
      decodePartition(added.image).entries.length,
      decodePartition(image).entries.length + 1,
    );
    const signed = await signPartition(file, [key]);
    assertEquals(signed.length, 0x2000);
    const { message } = await signingDigest(file);
    assertEquals(message, image.slice(0, message.length));
    for (const [to, size] of [["tlv", 0x2000], ["nvs", 0x3000], ["cust_flash", 0x6000]] as const) {
      const { image, verdict } = await convert(file, { to });
      assertEquals([image.length, verdict.ok], [size, true], to);
    }
    const names = (await extract(file)).map(({ name, bytes }) => [name, bytes.length]);
    assertEquals(names, (await extract(image)).map(({ name, bytes }) => [name, bytes.length]));
  }
  const cut = flash.subarray(0, 0xE000);
  for (const act of [() => extract(cut), () => append(cut, { integrity: true })]) {
    assertEquals((await assertRejects(act, SecureCertError)).code, "ERR_TRUNCATED");
  }
  const none = flash.slice().fill(0xFF, 0xD000, 0xF000);
  none.set(encodePartitionTable([{ ...ENTRY, name: "other" }]), 0x8000);
  assertEquals((await assertRejects(() => extract(none), SecureCertError)).code, "ERR_MAGIC");
});

Deno.test("offset and tableOffset say where image and table are", async () => {
  const { image, flash } = await flashed(0x9000);
  const where = { tableOffset: 0x9000 };
  assertEquals((await inspect(flash, where)).location?.kind, "table");
  assertEquals((await extract(flash, where)).length, (await extract(image)).length);
  // Without a table the image ends with its sector, because an application follows it.
  const { format, size, findings } = await inspect(flash, { offset: 0xD000 });
  assertEquals([format, size], ["tlv", 0x1000]);
  assertEquals(findings.map(({ code }) => code), ["PLAINTEXT_KEY"]);
  const both = await inspect(flash, { offset: 0xD000, ...where });
  assertEquals([both.size, both.location?.offset], [0x2000, 0xD000]);
  assertEquals((await verify(intelHex(0, flash), { offset: 0xD000 })).ok, true);
  // Another partition than the firmware's, and a dump within a larger file.
  flash.set(encodePartitionTable([{ ...ENTRY, name: "spare" }]), 0x8000);
  assertEquals((await inspect(flash, { offset: 0xD000 })).size, 0x2000);
  flash.set(encodePartitionTable([ENTRY]), 0x8000);
  const larger = new Uint8Array(flash.length + 100);
  larger.set(flash, 100);
  assertEquals((await inspect(larger, { offset: 100 })).location?.offset, 0xD000 + 100);
  for (const act of [inspect, verify]) {
    await assertRejects(() => act(image, { offset: image.length }), RangeError, "past the file's");
  }
});

Deno.test("a partition table in Intel HEX or UF2 is one, and with more after it a dump", async () => {
  const table = encodePartitionTable([ENTRY]);
  const sector = new Uint8Array(0x1000).fill(0xFF);
  sector.set(table);
  const plain = await inspect(sector);
  for (const encode of [intelHex, uf2]) {
    for (const [address, bytes] of [[0, table], [0x8000, sector], [0x10000, sector]] as const) {
      const { format, partitionTable } = await inspect(encode(address, bytes), {
        tableOffset: address,
      });
      assertEquals(format, "partition_table", `${address}`);
      assertEquals(partitionTable?.entries, plain.partitionTable?.entries);
    }
    const more = new Uint8Array(0x2000).fill(0xFF);
    more.set(table);
    const { format, findings } = await inspect(encode(0x8000, more));
    assertEquals([format, findings[0]?.code], ["unknown", "TRUNCATED"]);
  }
});
