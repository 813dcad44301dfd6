import { unsafe } from "../lib/crypto/flash/deps.ts";
import { decryptFlash, encryptFlash } from "../mod.ts";
import { median } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const SIZE = 1 << 20;
const BLOCK = 16;
/** Bytes of flash for which an ESP32 expands a key of its own. */
const ROW = 32;
const ROUNDS = 7;
/** How many times a bare loop of AES may take: XTS a third of its speed, the ESP32 half. */
const XTS_GOAL = 3;
const ESP32_GOAL = 2;

/** Flash encryption compared with its AES only: the block function, on the ESP32 with a key for two blocks. */
export function flashEncryption(): Row[] {
  const bytes = new Uint8Array(SIZE);
  const [short, long] = [32, 64].map((size) => new Uint8Array(size).fill(7));
  const address = 0;
  const xts128 = { chip: "esp32c3", key: short!, address } as const;
  const xts256 = { chip: "esp32s3", key: long!, address } as const;
  const esp32 = { chip: "esp32", key: short!, address } as const;
  return [
    row("XTS-AES-128", XTS_GOAL, () => blocks(16), () => encryptFlash(bytes, xts128)),
    row("XTS-AES-128, decryption", XTS_GOAL, () => blocks(16), () => decryptFlash(bytes, xts128)),
    row("XTS-AES-256", XTS_GOAL, () => blocks(32), () => encryptFlash(bytes, xts256)),
    row("ESP32", ESP32_GOAL, () => rows("decrypt"), () => encryptFlash(bytes, esp32)),
    row("ESP32, decryption", ESP32_GOAL, () => rows("encrypt"), () => decryptFlash(bytes, esp32)),
  ];
}

/** Alternates the two, because the speed of a shared machine changes. */
function row(name: string, goal: number, bare: () => void, work: () => void): Row {
  const [bareTimes, times]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    bareTimes.push(milliseconds(bare));
    times.push(milliseconds(work));
  }
  const ratio = median(times.map((time, round) => time / bareTimes[round]!));
  const rate = SIZE / 1000 / median(times);
  return { name: `flash encryption, ${name}`, result: `${formatNumber(rate)} MB/s`, ratio, goal };
}

function blocks(keySize: number): void {
  const roundKeys = unsafe.expandKeyLE(new Uint8Array(keySize));
  let words = { s0: 0, s1: 0, s2: 0, s3: 0 };
  for (let at = 0; at < SIZE; at += BLOCK) {
    words = unsafe.encrypt(roundKeys, words.s0, words.s1, words.s2, words.s3);
  }
}

function rows(direction: "encrypt" | "decrypt"): void {
  const key = new Uint8Array(32);
  const expand = direction === "encrypt" ? unsafe.expandKeyLE : unsafe.expandKeyDecLE;
  let words = { s0: 0, s1: 0, s2: 0, s3: 0 };
  for (let at = 0; at < SIZE; at += ROW) {
    const roundKeys = expand(key);
    words = unsafe[direction](roundKeys, words.s0, words.s1, words.s2, words.s3);
    words = unsafe[direction](roundKeys, words.s0, words.s1, words.s2, words.s3);
  }
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
