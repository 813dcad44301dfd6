import { formatNumber, type Row } from "./table.ts";

const CLI = new URL("../cli.ts", import.meta.url).pathname;
/** `deno task bench batch 100000` measures the memory of a batch of this size. */
const MOST = Number(Deno.args.find((word) => /^[0-9]+$/.test(word)) ?? 20_000);
const FEW = 1000;
const RSA = 300;
const RAW_MS = 6000;
const LANES = 2 * navigator.hardwareConcurrency;
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const RSA_2048 = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: "SHA-256",
};

interface Batch {
  /** Devices a second. */
  readonly rate: number;
  /** Most memory that the process took, in MB; undefined where the system does not tell. */
  readonly memory?: number;
}

/** Devices a second on all processors against WebCrypto alone, and the memory of a batch. */
export async function batch(folder: string): Promise<Row[]> {
  const raw = await rawP256();
  const few = await run(folder, "few", ["--count", `${FEW}`]);
  const many = await run(folder, "many", ["--count", `${MOST}`]);
  const packed = await run(folder, "packed", ["--count", `${MOST}`, "--pack"]);
  const rawRsa = await lanesPerSecond(
    () => crypto.subtle.generateKey(RSA_2048, true, ["sign"]),
    3 * RAW_MS,
  );
  const rsa = await run(folder, "rsa", ["--count", `${RSA}`, "--type", "rsa"]);
  return [
    { name: "WebCrypto alone: P-256 key and two signatures", result: `${formatNumber(raw)} /s` },
    // The table has goals that are not to be exceeded: how many times as long a device takes.
    {
      name: `bulk, P-256, ${MOST} devices`,
      result: `${formatNumber(many.rate)} /s`,
      ratio: raw / many.rate,
      goal: 1.25,
    },
    {
      name: `bulk --pack, P-256, ${MOST} devices`,
      result: `${formatNumber(packed.rate)} /s`,
      ratio: raw / packed.rate,
      goal: 1.25,
    },
    { name: "WebCrypto alone: RSA-2048 key", result: `${formatNumber(rawRsa)} /s` },
    {
      name: `bulk, RSA-2048, ${RSA} devices`,
      result: `${formatNumber(rsa.rate)} /s`,
      ratio: rawRsa / rsa.rate,
      goal: 1.05,
    },
    ...memoryRows(few, many),
  ];
}

function memoryRows(few: Batch, many: Batch): Row[] {
  if (few.memory === undefined || many.memory === undefined) return [];
  return [
    { name: `memory of bulk, ${FEW} devices`, result: `${formatNumber(few.memory)} MB` },
    {
      name: `memory of bulk, ${MOST} devices`,
      result: `${formatNumber(many.memory)} MB`,
      ratio: many.memory / few.memory,
    },
  ];
}

async function rawP256(): Promise<number> {
  const { privateKey } = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const message = crypto.getRandomValues(new Uint8Array(500));
  return await lanesPerSecond(async () => {
    await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
    await crypto.subtle.sign(P256, privateKey, message);
    await crypto.subtle.sign(P256, privateKey, message);
  }, RAW_MS);
}

/** How often in a second some work is done on all processors. */
async function lanesPerSecond(work: () => Promise<unknown>, ms: number): Promise<number> {
  const start = performance.now();
  let count = 0;
  await Promise.all(Array.from({ length: LANES }, async () => {
    while (performance.now() - start < ms) {
      await work();
      count++;
    }
  }));
  return count * 1000 / (performance.now() - start);
}

/** A batch as a process of its own, with disk and journal. */
async function run(folder: string, name: string, words: readonly string[]): Promise<Batch> {
  const args = [
    "run",
    "-A",
    CLI,
    "bulk",
    ...words,
    "--ca",
    `${folder}/ca`,
    "-o",
    `${folder}/${name}`,
    "--json",
  ];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "null" })
    .spawn();
  let memory: number | undefined;
  const timer = setInterval(() => memory = peakMemory(child.pid) ?? memory, 100);
  const { stdout, success } = await child.output();
  clearInterval(timer);
  if (!success) throw new Error(`bulk ${words.join(" ")} failed`);
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
  const { rate } = JSON.parse(last).summary;
  return { rate, ...memory === undefined ? {} : { memory } };
}

function peakMemory(pid: number): number | undefined {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const [, size] = /VmHWM:\s*([0-9]+) kB/.exec(status) ?? [];
    return size === undefined ? undefined : Number(size) / 1024;
  } catch {
    return undefined;
  }
}
