/** What WebCrypto reaches by itself, against which batches are measured. */
import { Worker } from "node:worker_threads";

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const RSA_2048 = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};
/** Long enough for threads to be there before they are measured. */
const WARM_UP_MS = 500;

type Work = () => Promise<unknown>;
export type RawKind = keyof typeof RAW;

/** The work of a device: a P-256 key and two signatures, or an RSA key. */
export const RAW = {
  "P-256": async (): Promise<Work> => {
    const { privateKey } = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    const message = crypto.getRandomValues(new Uint8Array(500));
    return async () => {
      await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
      await crypto.subtle.sign(P256, privateKey, message);
      await crypto.subtle.sign(P256, privateKey, message);
    };
  },
  "RSA-2048": (): Work => () => crypto.subtle.generateKey(RSA_2048, true, ["sign"]),
};

/** How often in a second, by one script that keeps the threads of WebCrypto busy. */
export async function inOneScript(kind: RawKind, ms: number): Promise<number> {
  return await lanesPerSecond(await RAW[kind](), 4 * navigator.hardwareConcurrency, ms);
}

/** How often in a second, by a thread for each processor. */
export async function inThreads(kind: RawKind, ms: number): Promise<number> {
  const url = new URL("./raw_thread.ts", import.meta.url);
  const count = navigator.hardwareConcurrency;
  const threads = Array.from(
    { length: count },
    () => new Worker(url, { workerData: { kind, ms } }),
  );
  const rates = await Promise.all(threads.map((thread) =>
    new Promise<number>((resolve, reject) => {
      thread.on("message", resolve);
      thread.on("error", reject);
    })
  ));
  return rates.reduce((sum, rate) => sum + rate, 0);
}

/** How often in a second some work is done, so many times at once. */
export async function lanesPerSecond(work: Work, lanes: number, ms: number): Promise<number> {
  const start = performance.now() + WARM_UP_MS;
  let count = 0;
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (performance.now() - start < ms) {
      await work();
      if (performance.now() >= start) count++;
    }
  }));
  return count * 1000 / (performance.now() - start);
}
