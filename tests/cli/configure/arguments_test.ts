import { assertEquals } from "@std/assert";
import { parseConfigureArguments } from "../../../lib/cli/configure/arguments.ts";
import { CliError } from "../../../lib/cli/errors.ts";
import { MemoryWorld } from "../memory_io.ts";

const parse = (line: string) => parseConfigureArguments(line.split(" ").filter((word) => word));

/** What a line says, without the flags that it does not give. */
function given(line: string): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(parse(line)).filter(([, value]) => value !== undefined),
  );
}

Deno.test("every flag of the tool has its meaning", () => {
  assertEquals(
    given(
      "--private-key k --pwd p --device-cert d --ca-cert c --target_chip esp32s3 --summary " +
        "--secure_cert_type cust_flash_tlv --configure_ds --skip_flash --efuse_key_id 3 " +
        "--efuse_key_file e --port COM3 --keep_ds_data_on_host --sec_cert_part_offset 0xE000 " +
        "--priv_key_algo RSA 3072 --esp_secure_cert_csv f.csv --parse_bin b.bin --secure-sign " +
        "--signing-scheme ecdsa384 --signing-key-file s1 s2 s3 --esp-secure-cert-file i.bin " +
        "--append-integrity a.bin",
    ),
    {
      privateKey: "k",
      password: "p",
      deviceCert: "d",
      caCert: "c",
      chip: "esp32s3",
      summary: true,
      type: "cust_flash_tlv",
      configureDs: true,
      skipFlash: true,
      efuseKeyId: 3,
      efuseKeyFile: "e",
      port: "COM3",
      keepDsData: true,
      offset: "0xE000",
      algorithm: { name: "RSA", bits: 3072 },
      csv: "f.csv",
      parseBin: "b.bin",
      secureSign: true,
      signingScheme: "ecdsa384",
      signingKeyFiles: ["s1", "s2", "s3"],
      certFile: "i.bin",
      appendIntegrity: "a.bin",
      verify: true,
      json: false,
    },
  );
});

Deno.test("what is not given is as in the tool", () => {
  assertEquals(given(""), {
    chip: "esp32c3",
    summary: false,
    type: "cust_flash_tlv",
    configureDs: false,
    skipFlash: false,
    keepDsData: false,
    offset: "0xD000",
    secureSign: false,
    signingKeyFiles: ["secure_boot_key.bin"],
    verify: true,
    json: false,
  });
});

Deno.test("other spellings of a flag are that flag", () => {
  const plain = "--private-key k --pwd p --port COM1 --keep_ds_data_on_host --ca-cert c";
  assertEquals(parse("--private k --password=p -p COM1 -keep_ds_data --ca=c"), parse(plain));
  assertEquals(parse("--private-key=k --pwd=p -pCOM1 --keep --ca-cert=c"), parse(plain));
});

Deno.test("what the tool does not take is a wrong command line", () => {
  const wrong = [
    "word",
    "--unknown",
    "-x",
    "--s",
    "--private-key",
    "--private-key --skip_flash",
    "--skip_flash=1",
    "--private-key a --private-key b",
    "--pwd a --password b",
    "--priv_key_algo RSA",
    "--priv_key_algo DSA 1024",
    "--priv_key_algo RSA 257",
    "--priv_key_algo ECDSA 521",
    "--target_chip esp8266",
    "--secure_cert_type tlv",
    "--efuse_key_id 6",
    "--efuse_key_id -1",
    "--sec_cert_part_offset x",
    "--signing-scheme rsa2048",
    "--signing-key-file",
    "--esp-secure-cert-file x",
    "--configure_ds",
    "--summary",
    "--secure_cert_type nvs --esp_secure_cert_csv f",
    "--secure_cert_type cust_flash --secure-sign",
  ];
  for (const line of wrong) {
    let error: unknown;
    try {
      parse(line);
    } catch (thrown) {
      error = thrown;
    }
    assertEquals(error instanceof CliError && error.code, "ERR_USAGE", line);
  }
});

Deno.test("a wrong command line ends with 2, --help with 0, a missing file with 1", async () => {
  const world = new MemoryWorld();
  assertEquals((await world.run("configure", "--nothing")).code, 2);
  const { code, stdout } = await world.run("configure", "--help");
  assertEquals([code, stdout.includes("--esp_secure_cert_csv FILE")], [0, true]);
  for (const flag of ["--private-key", "--device-cert", "--ca-cert", "--esp_secure_cert_csv"]) {
    const outcome = await world.run("configure", flag, "missing.pem", "--skip_flash");
    // What is given in the place of a key's file may be the key.
    const shown = flag === "--private-key" ? "the file of --private-key: no such" : "missing.pem";
    assertEquals([outcome.code, outcome.stderr.includes(shown)], [1, true], flag);
  }
  assertEquals(world.files.size, 0);
});
