import { createDevelopmentCa, generateKey, issueCertificate } from "../mod.ts";
import type { GenerateKeyOptions } from "../lib/crypto/keys/keys.ts";
import { meanPerSecond } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const SHORT_MS = 1000;
/** An RSA key takes now a tenth of a second and now half of one. */
const RSA_MS = 8000;

/** Keys made and certificates issued in a second, one after another. */
export async function keys(): Promise<Row[]> {
  return [
    await keyRow("P-256", { curve: "P-256" }, SHORT_MS),
    await keyRow("P-384", { curve: "P-384" }, SHORT_MS),
    await keyRow("RSA-2048", { type: "rsa", bits: 2048 }, RSA_MS),
    await certificateRow(),
  ];
}

async function keyRow(name: string, options: GenerateKeyOptions, ms: number): Promise<Row> {
  const rate = await meanPerSecond(() => generateKey(options), ms);
  return { name: `generateKey, ${name}`, result: `${formatNumber(rate)} /s` };
}

async function certificateRow(): Promise<Row> {
  const issuer = await createDevelopmentCa();
  const { publicKey } = await generateKey();
  const options = { issuer, publicKey, subject: "CN=bench" };
  const rate = await meanPerSecond(() => issueCertificate(options), SHORT_MS);
  return { name: "issueCertificate, P-256 CA", result: `${formatNumber(rate)} /s` };
}
