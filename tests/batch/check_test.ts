import { assertEquals, assertMatch } from "@std/assert";
import { checkDevice, type DeviceCheckOptions } from "../../lib/batch/check/device.ts";
import { createDuplicateFinder } from "../../lib/batch/check/duplicates.ts";
import {
  bulk,
  type BulkProfile,
  countDevices,
  type ManifestRow,
  memoryBatch,
} from "../../lib/batch/mod.ts";
import { createDevelopmentCa } from "../../mod.ts";
import { sha256 } from "../cli/batch/batch.ts";

const issuer = await createDevelopmentCa();
const ID = "dev-1";

interface Made {
  readonly row: ManifestRow;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

async function make(profile: BulkProfile = {}): Promise<Made> {
  const { journal, files } = memoryBatch();
  for await (const { row } of bulk(countDevices(1, ID), { profile, issuer, journal, files })) {
    return { row, files: files.all };
  }
  throw new Error("no device was made");
}

const device = await make();
const other = await make();

/** The codes of what is wrong with a device, with some of its files replaced or taken away. */
async function check(
  { row, files }: Made,
  changes: Readonly<Record<string, Uint8Array | undefined>> = {},
  options: Partial<DeviceCheckOptions> = {},
): Promise<string[]> {
  const changed = new Map<string, Uint8Array | undefined>([...files, ...Object.entries(changes)]);
  const problems = await checkDevice(row, {
    name: "memory",
    read: (path) => changed.get(path),
    has: (path) => changed.get(path) !== undefined,
  }, { kept: { secrets: true, labels: false }, ...options });
  return problems.map(({ code, message }) => `${code}: ${message}`);
}

const codes = (problems: readonly string[]) => problems.map((problem) => problem.split(":")[0]);

Deno.test("a device whose files are its own is good, at a time when its certificate is", async () => {
  assertEquals(await check(device, {}, { ca: issuer.certificate }), []);
  const upper = { ...device.row, imageSha256: device.row.imageSha256.toUpperCase() };
  assertEquals(await check({ ...device, row: upper }), []);
  const late = await check(device, {}, { now: () => new Date("2099-01-01") });
  assertEquals(codes(late), ["BAD_IMAGE", "BAD_IMAGE"]);
  assertMatch(late[0]!, /^BAD_IMAGE: CERT_EXPIRED: /);
});

Deno.test("a device with files of another has each of them reported", async () => {
  const [image, certificate] = [`images/${ID}.bin`, `certificates/${ID}.pem`];
  const from = (name: string) => ({ [name]: other.files.get(name) });
  assertEquals(codes(await check(device, { [image]: undefined, [certificate]: undefined })), [
    "MISSING_FILE",
    "MISSING_FILE",
  ]);
  assertEquals(codes(await check(device, from(image))), ["WRONG_IMAGE", "WRONG_CERTIFICATE"]);
  assertEquals(codes(await check(device, from(certificate))), [
    "WRONG_CERTIFICATE",
    "WRONG_CERTIFICATE",
  ]);
  assertEquals(codes(await check(device, from(`secret/${ID}.key.pem`))), ["WRONG_KEY"]);
  const erased = new Uint8Array(8192).fill(0xFF);
  const row = { ...device.row, imageSha256: await sha256(erased) };
  assertEquals(codes(await check({ ...device, row }, { [image]: erased })), ["BAD_IMAGE"]);
});

Deno.test("a key in an eFuse is checked with the eFuse key", async () => {
  const made = await make({ chip: "esp32c3", keyMode: "hmac-derived" });
  assertEquals(await check(made), []);
  assertEquals(await check(made, {}, { kept: { secrets: false, labels: false } }), []);
  const wrong = await check(made, { [`secret/${ID}.hmac.bin`]: new Uint8Array(32) });
  assertEquals(codes(wrong), ["WRONG_KEY", "WRONG_KEY"]);
  const chip = await check(made, {}, { chip: "esp32c2" });
  assertEquals(codes(chip), ["BAD_IMAGE", "WRONG_EFUSE_PLAN"]);
  assertEquals(codes(await check(made, { [`efuse/${ID}.json`]: undefined })), ["MISSING_FILE"]);
});

Deno.test("a P-384 key in two eFuse blocks has its halves in files", async () => {
  const key = { curve: "P-384" } as const;
  const made = await make({ chip: "esp32p4", keyMode: "ecdsa-peripheral", key });
  assertEquals(await check(made), []);
  const [low, high] = [`secret/${ID}.key_low.bin`, `secret/${ID}.key_high.bin`];
  const plan = JSON.parse(new TextDecoder().decode(made.files.get(`efuse/${ID}.json`)));
  assertMatch(plan.command, new RegExp(`${low} ECDSA_KEY_P384_L BLOCK_KEY\\d ${high} `));
  const swapped = { [low]: made.files.get(high), [high]: made.files.get(low) };
  assertEquals(codes(await check(made, swapped)), ["WRONG_KEY", "WRONG_KEY"]);
  assertEquals(codes(await check(made, { [low]: undefined })), ["MISSING_FILE"]);
  const row = { ...made.row, publicKey: "AAAA" };
  assertEquals(codes(await check({ ...made, row })).includes("MISSING_FILE"), false);
  assertEquals(codes(await check(device, { [low]: new Uint8Array(32) })), ["STRAY_FILE"]);
});

Deno.test("names that differ only in case or composition are one file on some disks", () => {
  const find = (finder: ReturnType<typeof createDuplicateFinder>, id: string, serial: string) =>
    finder({ ...device.row, id, serial, publicKey: serial }).map(({ code }) => code);
  const finder = createDuplicateFinder();
  assertEquals(find(finder, "Dev-\u00e9", "1"), []);
  assertEquals(find(finder, "dev-e\u0301", "2"), ["DUPLICATE_ID"]);
  assertEquals(find(finder, "x", "1"), ["DUPLICATE_SERIAL", "DUPLICATE_KEY"]);
  // Failed devices have neither, and are no duplicates of one another.
  assertEquals(find(finder, "y", ""), []);
  assertEquals(find(finder, "z", ""), []);
});
