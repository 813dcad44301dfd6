import { createDevelopmentCa, provision, verify } from "../mod.ts";
import { decodeEcdsaSignature } from "../lib/crypto/signing.ts";
import { duration, median } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const WARM_UP = 100;
const ROUNDS = 41;
/** Times that each work is done in a round. */
const TIMES = 10;
const MOST_MS = 1;
const P256 = { name: "ECDSA", namedCurve: "P-256" } as const;
/** Bytes of a coordinate of P-256, and of an uncompressed point. */
const SIZE = 32;
const POINT_SIZE = 1 + 2 * SIZE;

/**
 * What `verify` of an image with a plaintext P-256 key takes in a warm process, and how much of that is not
 * its public-key operations. These are done by themselves in turn with it; the median of the differences
 * counts.
 */
export async function verifying(): Promise<Row[]> {
  const issuer = await createDevelopmentCa();
  const { image, certificate, key } = await provision({ issuer, subject: "CN=bench" });
  const signature = decodeEcdsaSignature(certificate.signature, SIZE);
  const operations = async () => {
    await workOutPoint(key.pkcs8);
    await checkSignature(issuer.certificate.publicKey, signature, certificate.signedPart);
  };
  const check = () => verify(image);
  await repeat(check, WARM_UP);
  await repeat(operations, WARM_UP);
  const times: { readonly whole: number; readonly operations: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [whole, alone] = [await timeOf(check), await timeOf(operations)];
    times.push({ whole, operations: alone });
  }
  const beyond = median(times.map(({ whole, operations }) => whole - operations));
  return [
    { name: "verify, P-256 image", result: milliseconds(median(times.map(({ whole }) => whole))) },
    {
      name: "its public-key operations",
      result: milliseconds(median(times.map(({ operations }) => operations))),
    },
    {
      name: "verify beyond these",
      result: milliseconds(beyond),
      limit: { text: `${MOST_MS} ms`, met: beyond <= MOST_MS },
    },
  ];
}

/** The public half of the key in the image. */
async function workOutPoint(pkcs8: Uint8Array<ArrayBuffer>): Promise<void> {
  const handle = await crypto.subtle.importKey("pkcs8", pkcs8, P256, true, ["sign"]);
  await crypto.subtle.exportKey("jwk", handle);
}

/** The signature of the CA. */
async function checkSignature(
  spki: Uint8Array,
  signature: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const point = new Uint8Array(spki.subarray(-POINT_SIZE));
  const handle = await crypto.subtle.importKey("raw", point, P256, false, ["verify"]);
  const algorithm = { ...P256, hash: "SHA-256" };
  if (await crypto.subtle.verify(algorithm, handle, signature, message)) return;
  throw new Error("the signature of the certificate is wrong");
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  return await duration(() => repeat(work, TIMES)) / TIMES;
}

async function repeat(work: () => Promise<unknown>, times: number): Promise<void> {
  for (let count = 0; count < times; count++) await work();
}

function milliseconds(ms: number): string {
  return `${formatNumber(ms)} ms`;
}
