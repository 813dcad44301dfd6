import {
  decryptDsParameters,
  decryptEntry,
  deriveEcdsaKey,
  encryptDsParameters,
  encryptEntry,
  generateKey,
} from "../mod.ts";
import { meanPerSecond } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const TIME_MS = 1000;
const HMAC_KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const ENTRY_SIZE = 1200;
const SALT = new Uint8Array(32).fill(7);
const RSA_BITS = [2048, 3072, 4096] as const;

/** Values for the DS and HMAC peripherals made and opened in a second, with keys that are ready. */
export async function peripherals(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const bits of RSA_BITS) rows.push(...await dsRows(bits));
  const entry = new Uint8Array(ENTRY_SIZE);
  const encrypted = await encryptEntry(entry, { hmacKey: HMAC_KEY });
  return [
    ...rows,
    await row("encryptEntry, 1200 bytes", () => encryptEntry(entry, { hmacKey: HMAC_KEY })),
    await row("decryptEntry, 1200 bytes", () => decryptEntry(encrypted, { hmacKey: HMAC_KEY })),
    await row("deriveEcdsaKey", () => deriveEcdsaKey(HMAC_KEY, SALT)),
  ];
}

async function dsRows(bits: typeof RSA_BITS[number]): Promise<Row[]> {
  const key = await generateKey({ type: "rsa", bits });
  const options = { chip: "esp32s3", hmacKey: HMAC_KEY };
  const stored = await encryptDsParameters(key, options);
  return [
    await row(`encryptDsParameters, RSA-${bits}`, () => encryptDsParameters(key, options)),
    await row(`decryptDsParameters, RSA-${bits}`, () => decryptDsParameters(stored, options)),
  ];
}

async function row(name: string, work: () => Promise<unknown>): Promise<Row> {
  return { name, result: `${formatNumber(await meanPerSecond(work, TIME_MS))} /s` };
}
