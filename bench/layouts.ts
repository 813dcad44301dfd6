import {
  decodeCustFlash,
  decodeNvs,
  decodeNvsCredentials,
  encodeCustFlash,
  encodeNvs,
  encodeNvsCredentials,
  formatPem,
} from "../mod.ts";
import { perSecond } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const MEGABYTE = 1e6;
const DER_SIZE = 700;
const DS = {
  ciphertext: new Uint8Array(1200),
  iv: new Uint8Array(16),
  rsaLengthBits: 2048,
  efuseKeyId: 1,
};

/** Bytes in a second through the codecs of the older layouts. */
export function layouts(): Row[] {
  const pem = new TextEncoder().encode(formatPem("CERTIFICATE", new Uint8Array(DER_SIZE)) + "\0");
  const credentials = { deviceCert: pem, caCert: pem };
  const withKey = { ...credentials, privateKey: pem };
  const custFlash = encodeCustFlash(withKey);
  const dsImage = encodeCustFlash({ ...credentials, ds: DS });
  const nvs = encodeNvsCredentials(withKey);
  return [
    throughput("encodeCustFlash, plaintext key", custFlash, () => encodeCustFlash(withKey)),
    throughput("decodeCustFlash, plaintext key", custFlash, () => decodeCustFlash(custFlash)),
    throughput("decodeCustFlash, DS key", dsImage, () => decodeCustFlash(dsImage)),
    throughput("encodeNvsCredentials", nvs, () => encodeNvsCredentials(withKey)),
    throughput("decodeNvsCredentials", nvs, () => decodeNvsCredentials(nvs)),
    ...largeNvsRows(),
  ];
}

function largeNvsRows(): Row[] {
  const items = Array.from({ length: 60 }, (_, index) => ({
    namespace: "bench",
    key: `key${index}`,
    type: "blob" as const,
    value: new Uint8Array(1000).fill(index),
  }));
  const options = { size: 0x20000 };
  const image = encodeNvs(items, options);
  return [
    throughput("encodeNvs, 60 blobs", image, () => encodeNvs(items, options)),
    throughput("decodeNvs, 60 blobs", image, () => decodeNvs(image)),
  ];
}

function throughput(name: string, image: Uint8Array, work: () => unknown): Row {
  const rate = perSecond(work) * image.length / MEGABYTE;
  const size = `${image.length / 1024} KiB`;
  return { name: `${name}, ${size}`, result: `${formatNumber(rate)} MB/s` };
}
