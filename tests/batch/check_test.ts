import { assertEquals, assertMatch } from "@std/assert";
import { createDuplicateFinder, judgeDevice } from "../../lib/batch/check/device.ts";
import type { ManifestRow } from "../../lib/batch/manifest.ts";
import { createDevelopmentCa, provision } from "../../mod.ts";
import { formatBase64 } from "../../lib/bytes/text.ts";
import { makeDevice, sha256 } from "../cli/batch/batch.ts";

const issuer = await createDevelopmentCa();
const device = await makeDevice("dev-1", { ids: [], issuer });
const other = await makeDevice("dev-1", { ids: [], issuer });

const codes = (problems: readonly { code: string }[]) => problems.map(({ code }) => code);

Deno.test("a device whose files are its own is good, at a time when its certificate is", async () => {
  assertEquals(await judgeDevice(device.row, device, { ca: issuer.certificate }), []);
  const upper = { ...device.row, imageSha256: device.row.imageSha256.toUpperCase() };
  assertEquals(await judgeDevice(upper, device), []);
  const late = await judgeDevice(device.row, device, { now: () => new Date("2099-01-01") });
  assertEquals(codes(late), ["BAD_IMAGE", "BAD_IMAGE"]);
  assertMatch(late[0]!.message, /^CERT_EXPIRED: /);
});

Deno.test("whose files are another's is told for each of them", async () => {
  const { image, certificate } = other;
  assertEquals(codes(await judgeDevice(device.row, {})), ["MISSING_FILE", "MISSING_FILE"]);
  assertEquals(codes(await judgeDevice(device.row, { ...device, image })), [
    "WRONG_IMAGE",
    "WRONG_CERTIFICATE",
  ]);
  assertEquals(codes(await judgeDevice(device.row, { ...device, certificate })), [
    "WRONG_CERTIFICATE",
    "WRONG_CERTIFICATE",
  ]);
  const erased = new Uint8Array(8192).fill(0xFF);
  const bad = await judgeDevice({ ...device.row, imageSha256: await sha256(erased) }, {
    ...device,
    image: erased,
  });
  assertEquals(codes(bad), ["BAD_IMAGE"]);
});

Deno.test("a key in an eFuse is judged with the eFuse key", async () => {
  const made = await provision({
    issuer,
    subject: "CN=ds",
    chip: "esp32c3",
    keyMode: "hmac-derived",
  });
  const info = made.certificate;
  const row: ManifestRow = {
    id: "ds",
    serial: info.serial,
    fingerprint: await sha256(info.der),
    publicKey: formatBase64(info.publicKey),
    imageSha256: await sha256(made.image),
    keyMode: "hmac-derived",
    efuseKeyId: 1,
    status: "verified",
  };
  const files = { image: made.image, certificate: new TextEncoder().encode(made.certificate.pem) };
  assertEquals(await judgeDevice(row, files, { chip: "esp32c3" }), []);
  const { hmacKey } = made.efuse!;
  assertEquals(await judgeDevice(row, files, { hmacKey: hmacKey! }), []);
  const wrong = await judgeDevice(row, files, { hmacKey: new Uint8Array(32) });
  assertEquals(codes(wrong), ["WRONG_KEY"]);
  assertEquals(codes(await judgeDevice(row, files, { chip: "esp32c2" })), ["BAD_IMAGE"]);
});

Deno.test("names that differ in case or composition alone are one file on some disks", () => {
  const find = createDuplicateFinder();
  const row = (id: string, serial: string): ManifestRow => ({
    ...device.row,
    id,
    serial,
    publicKey: serial,
  });
  assertEquals(find(row("Dev-\u00e9", "1")), []);
  assertEquals(codes(find(row("dev-e\u0301", "2"))), ["DUPLICATE_ID"]);
  assertEquals(codes(find(row("x", "1"))), ["DUPLICATE_SERIAL", "DUPLICATE_KEY"]);
  // Failed devices have neither, and are no duplicates of one another.
  assertEquals(find(row("y", "")), []);
  assertEquals(find(row("z", "")), []);
});
