import { CHIP, type CommandSpec, FORCE, JSON_OPTION, type OptionSpec, OUT_DIR } from "./flags.ts";

/** `--csv` of build. */
export const CSV: OptionSpec = {
  name: "csv",
  value: "FILE",
  help: "build from a configuration CSV; the files it names are looked for beside it,\n" +
    "then in the working folder; goes without the three flags below",
};

/** The commands for people who come from Espressif's tool. */
export const PORT_COMMANDS = {
  extract: {
    summary: "take an image apart into a CSV that builds the same image again",
    arguments: [{ name: "IMAGE", help: "file to take apart; - is stdin" }],
    options: [OUT_DIR, FORCE, JSON_OPTION],
    exit1: "it failed, or a checksum in the image is wrong",
    examples: [{
      permissions: "--allow-read=esp_secure_cert.bin,extracted --allow-write=extracted",
      line: "extract esp_secure_cert.bin -o extracted",
    }],
  },
  configure: {
    summary: "the flags of Espressif's configure_esp_secure_cert.py 2.6.1",
    raw: true,
    arguments: [],
    options: [
      { name: "private-key", value: "FILE", help: "private key in any encoding" },
      { name: "pwd", value: "TEXT", help: "password of the private keys; also --password" },
      { name: "device-cert", value: "FILE", help: "device certificate, PEM (a bundle too) or DER" },
      { name: "ca-cert", value: "FILE", help: "CA certificate, PEM (a bundle too) or DER" },
      { ...CHIP, name: "target_chip", default: "esp32c3" },
      { name: "summary", help: "print the eFuses of the chip at --port, with espefuse" },
      {
        name: "secure_cert_type",
        value: "TYPE",
        choices: ["cust_flash_tlv", "cust_flash", "nvs"],
        help: "layout of the image",
        default: "cust_flash_tlv",
      },
      { name: "configure_ds", help: "the key goes into the DS or ECDSA peripheral" },
      { name: "skip_flash", help: "write files only" },
      { name: "efuse_key_id", value: "N", help: "KEYn, 0 to 5", default: "1" },
      {
        name: "efuse_key_file",
        value: "FILE",
        help: "32 bytes of the HMAC key",
        default: "a new key in esp_secure_cert_data",
      },
      { name: "port", short: "p", value: "PORT", help: "serial port of the board" },
      {
        name: "keep_ds_data_on_host",
        help: "accepted; a new eFuse key is always kept; also -keep_ds_data",
      },
      {
        name: "sec_cert_part_offset",
        value: "N",
        help: "flash offset of the partition",
        default: "0xD000",
      },
      {
        name: "priv_key_algo",
        value: "RSA|ECDSA BITS",
        help: "what the private key must be",
        default: "what it is",
      },
      { name: "esp_secure_cert_csv", value: "FILE", help: "further entries, from a CSV" },
      {
        name: "parse_bin",
        value: "IMAGE",
        help: "take an image apart into esp_secure_cert_parsed_data",
      },
      { name: "secure-sign", help: "add signatures to the image" },
      {
        name: "signing-scheme",
        value: "SCHEME",
        choices: ["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"],
        help: "what the signing keys must be",
        default: "what they are",
      },
      { name: "signing-key-file", value: "FILE…", help: "1 to 3 private keys" },
      {
        name: "esp-secure-cert-file",
        value: "IMAGE",
        help: "sign this image in place of building one",
      },
      { name: "append-integrity", value: "IMAGE", help: "add an integrity entry to an image" },
      JSON_OPTION,
      { name: "no-verify", help: "write the image even if the chip could not use it" },
    ],
    exit1: "it failed, or the chip could not use the image",
    examples: [{
      permissions: "--allow-read=made --allow-write=esp_secure_cert_data",
      line:
        "configure --device-cert made/device.pem --private-key made/device.key.pem --skip_flash",
    }],
  },
} as const satisfies Readonly<Record<string, CommandSpec>>;

/** Flags that a build from a CSV does not take, for its rows say all that they could. */
export const NOT_WITH_CSV = ["device-cert", "ca-cert", "private-key", "key-mode"] as const;
