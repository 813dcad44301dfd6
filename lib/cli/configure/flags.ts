import type { Flag } from "../command.ts";
import { CHIP, JSON_FLAG } from "../flags.ts";

/** A flag of configure_esp_secure_cert.py, spelled as that tool takes it. */
export interface ConfigureFlag extends Flag {
  /** How many values it takes; Infinity for one or more. @default 1 with a value, else 0 */
  readonly takes?: number;
  /** Other spellings, with their dashes. */
  readonly also?: readonly string[];
}

/** The flags of configure_esp_secure_cert.py 2.6.1, and `--json`, `--no-verify`. */
export const CONFIGURE_FLAGS: readonly ConfigureFlag[] = [
  { name: "private-key", value: "FILE", help: "private key in any encoding" },
  {
    name: "pwd",
    value: "TEXT",
    help: "password of the private keys; also --password",
    also: ["--password"],
  },
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
  { name: "port", short: "p", value: "PORT", help: "serial port of the board", also: ["-p"] },
  {
    name: "keep_ds_data_on_host",
    help: "accepted; a new eFuse key is always kept; also -keep_ds_data",
    also: ["-keep_ds_data"],
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
    takes: 2,
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
  { name: "signing-key-file", value: "FILE…", takes: Infinity, help: "1 to 3 private keys" },
  {
    name: "esp-secure-cert-file",
    value: "IMAGE",
    help: "sign this image instead of building one",
  },
  { name: "append-integrity", value: "IMAGE", help: "add an integrity entry to an image" },
  JSON_FLAG,
  { name: "no-verify", help: "write the image even if the chip could not use it" },
];
