/** `configure` against the images that Espressif's tool made, byte for byte where that was right. */
import { assert, assertEquals } from "@std/assert";
import { decodeTlv } from "../../../lib/format/tlv.ts";
import { equalBytes } from "../../../lib/bytes/pack.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../../vectors.ts";
import { expected, IMAGE, runCase, worldWith } from "./world.ts";

/** The layout nvs keeps a protected key that no firmware can open; ours honours --pwd. */
const OURS_DIFFERS = ["nvs_encrypted_key_stored"];

sharedTest("images of the reference come out byte for byte", async () => {
  const compared: Record<string, number> = {};
  const kinds = ["plain", "csv", "sizes", "rsa_ds", "ecdsa_peripheral", "cust_flash", "nvs"];
  for (const each of sharedCases(...kinds)) {
    if (each.known_bad || each.expect_error || each.args === undefined) continue;
    if (OURS_DIFFERS.includes(each.name)) continue;
    const { world, outcome } = await runCase(each, "--no-verify");
    assertEquals(outcome.code, 0, `${each.name}: ${outcome.stderr}`);
    assert(equalBytes(world.bytes(IMAGE), expected(each.name)), `${each.name}: the image differs`);
    assertEquals(world.files.get(IMAGE)?.secret, true);
    compared[each.kind] = (compared[each.kind] ?? 0) + 1;
  }
  assertEquals(compared, {
    plain: 16,
    csv: 15,
    sizes: 7,
    rsa_ds: 15,
    cust_flash: 3,
    nvs: 2,
  });
});

sharedTest("what the reference refuses is refused, and nothing written", async () => {
  let refused = 0;
  for (const each of sharedCases()) {
    if (!each.expect_error || each.args?.includes("--secure-sign")) continue;
    if (each.name === "err_encrypted_key_pwd" || each.name === "err_integ_18_times") continue;
    // NVS holds only text; ours stores DER as PEM.
    if (each.name === "err_nvs_der") continue;
    const { world, outcome } = await runCase(each, "--no-verify");
    assertEquals(outcome.code !== 0, true, each.name);
    assertEquals(world.files.has(IMAGE), false, each.name);
    refused++;
  }
  assertEquals(refused, 17);
});

sharedTest("the lines that scripts look for are printed, to stdout", async () => {
  const world = worldWith("ca.pem", "ecp256.crt.pem", "ecp256.pkcs8.pem");
  const flags = ["--ca-cert", "ca.pem", "--device-cert", "ecp256.crt.pem"];
  const outcome = await world.run(
    "configure",
    ...flags,
    "--private-key=ecp256.pkcs8.pem",
    "--target_chip",
    "esp32s3",
    "--skip_flash",
  );
  assertEquals(outcome.code, 0, outcome.stderr);
  const image = world.bytes(IMAGE);
  const lengths: number[] = [];
  for (let at = 0; at < image.length; at += lengths.at(-1)!) {
    lengths.push(decodeTlv(image.subarray(at)).size);
  }
  const hash = image.subarray(-36, -4).toHex();
  assertEquals(outcome.stdout.split("\n"), [
    `Added TLV entry: type=0, subtype=0, length=${lengths[0]}`,
    `Added TLV entry: type=1, subtype=0, length=${lengths[1]}`,
    `Added TLV entry: type=2, subtype=0, length=${lengths[2]}`,
    "Successfully processed 3 out of 3 entries",
    "Added TLV entry: type=9, subtype=0, length=48",
    `Added integrity TLV (subtype 0) with SHA256: ${hash}`,
    "Total TLV entries: 4",
    `Total partition size used: ${image.length} / 8192 bytes`,
    `Partition generated: ${IMAGE}`,
    `To flash manually: esptool.py --chip esp32s3 -p <PORT> write_flash 0xD000 ${IMAGE}`,
  ]);
});

sharedTest("the published CSV of examples builds the published image", async () => {
  const world = worldWith();
  const folder = "espressif/tools";
  for (const name of ["cacert.pem", "client.crt", "client.key"]) {
    world.put(`examples/${name}`, shared(`${folder}/${name}`));
  }
  const csv = "examples/esp_secure_cert_config_examples.csv";
  world.put(csv, shared(`${folder}/esp_secure_cert_config_examples.csv`));
  const outcome = await world.run("configure", "--esp_secure_cert_csv", csv, "--skip_flash");
  assertEquals(outcome.code, 0, outcome.stderr);
  assert(equalBytes(world.bytes(IMAGE), shared(`${folder}/esp_secure_cert.bin`)));
  const built = await world.run("build", "--csv", csv, "-o", "built.bin", "--no-verify");
  assertEquals(built.code, 0, built.stderr);
  assertEquals(world.bytes("built.bin"), world.bytes(IMAGE));
});

sharedTest("--parse_bin leaves the folder that was published", async () => {
  const world = worldWith();
  const folder = "espressif/tools/esp_secure_cert_parsed_data_expected";
  world.put("esp_secure_cert.bin", shared("espressif/tools/esp_secure_cert.bin"));
  const { code, stdout } = await world.run("configure", "--parse_bin", "esp_secure_cert.bin");
  assertEquals([code, stdout.split("\n")[0]], [0, "Successfully parsed binary file!"]);
  const out = "esp_secure_cert_parsed_data";
  const names = [...world.files.keys()].filter((name) => name.startsWith(out));
  assertEquals(names.sort(), [
    `${out}/contents/cacert_0_0.pem`,
    `${out}/contents/cacert_0_1.pem`,
    `${out}/contents/devcert_1_0.pem`,
    `${out}/contents/privkey_2_0.pem`,
    `${out}/esp_secure_cert_parsed.csv`,
    `${out}/tlv_entries_raw.txt`,
  ]);
  for (const name of names) {
    assertEquals(
      new TextDecoder().decode(world.bytes(name)),
      sharedText(name.replace(out, folder)),
      name,
    );
  }
});
