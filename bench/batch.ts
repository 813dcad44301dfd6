import { median } from "./measure.ts";
import { inOneScript, inThreads } from "./raw.ts";
import { type Comparison, formatNumber, type Row } from "./table.ts";

const CLI = new URL("../cli.ts", import.meta.url).href;
const FEW = 1000;
const MANY = 20_000;
const RSA = 1500;
const RAW_MS = 4000;
const RAW_RSA_MS = 40_000;
/** Pairs of batches in a comparison. */
const PAIRS = 5;
/**
 * Of a P-256 batch, which then takes half a minute: in one of some seconds much of the time goes into what
 * the engine compiles first. Of an RSA one; RSA keys are found by trial, so that it takes many to compare.
 */
const COMPARED = { "P-256": 16_000, "RSA-2048": 400 } as const;
/** The smallest part of the other checkout's speed that is wanted. */
const AT_LEAST = 0.95;

export interface Batch {
  /** Devices a second. */
  readonly rate: number;
  /** Most memory that the process took, in MB; undefined where the system does not say. */
  readonly memory?: number;
}

/**
 * Devices a second on all processors against WebCrypto only, which is measured before and after each
 * batch, and the memory of a batch. Files that were deleted minutes ago slow it down: ext4 gives none
 * of their inodes away in that time.
 *
 * @param most Devices of the large batch.
 */
export async function batch(folder: string, most = MANY): Promise<Row[]> {
  const few = await run(`${folder}/few`, ["--count", `${FEW}`]);
  const many = await against(
    () => inOneScript("P-256", RAW_MS),
    () => run(`${folder}/many`, ["--count", `${most}`]),
  );
  const threads = await inThreads("P-256", RAW_MS);
  const rsa = await against(
    () => inOneScript("RSA-2048", RAW_RSA_MS),
    () => run(`${folder}/rsa`, ["--count", `${RSA}`, "--type", "rsa"]),
  );
  const raw = "P-256 key and two signatures in WebCrypto";
  return [
    { name: `${raw}, one script`, result: perSecond(many.raw) },
    { name: `${raw}, a thread a processor`, result: perSecond(threads) },
    ratioRow(`bulk, P-256, ${most} devices`, many, 1.25),
    { name: "the same against threads", result: "", ratio: threads / many.rate },
    { name: "RSA-2048 key in WebCrypto", result: perSecond(rsa.raw) },
    ratioRow(`bulk, RSA-2048, ${RSA} devices`, rsa, 1.05),
    ...memoryRows(few, many, most),
  ];
}

/** The speed of P-256 batches in pairs with another checkout: one of this, one of the other, and again. */
export function compareBatch(
  folder: string,
  otherCli: string,
  devices: number = COMPARED["P-256"],
): Promise<Comparison[]> {
  return compare(`${folder}/p256`, otherCli, { name: "P-256", flags: ["--count", `${devices}`] });
}

/** The same of RSA-2048 batches. */
export function compareRsaBatch(
  folder: string,
  otherCli: string,
  devices: number = COMPARED["RSA-2048"],
): Promise<Comparison[]> {
  const flags = ["--count", `${devices}`, "--type", "rsa"];
  return compare(`${folder}/rsa`, otherCli, { name: "RSA-2048", flags });
}

async function compare(
  out: string,
  otherCli: string,
  { name, flags }: { readonly name: string; readonly flags: readonly string[] },
): Promise<Comparison[]> {
  const [here, there]: [number[], number[]] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    here.push((await run(`${out}-${pair}-here`, flags)).rate);
    there.push((await run(`${out}-${pair}-there`, flags, otherCli)).rate);
  }
  return [{
    name: `bulk, ${name}, ${PAIRS} pairs of ${flags[1]} devices`,
    here: perSecond(median(here)),
    there: perSecond(median(there)),
    ratio: median(here.map((rate, pair) => rate / there[pair]!)),
    atLeast: AT_LEAST,
  }];
}

export interface Compared extends Batch {
  /** What WebCrypto reached meanwhile. */
  readonly raw: number;
}

/** The speed of a shared machine changes: WebCrypto is measured before and after the batch. */
export async function against(
  raw: () => Promise<number>,
  work: () => Promise<Batch>,
): Promise<Compared> {
  const before = await raw();
  const made = await work();
  return { ...made, raw: (before + await raw()) / 2 };
}

/** The table has goals that are not to be exceeded: how many times as long a device takes. */
function ratioRow(name: string, { rate, raw }: Compared, goal: number): Row {
  return { name, result: perSecond(rate), ratio: raw / rate, goal };
}

function perSecond(rate: number): string {
  return `${formatNumber(rate)} /s`;
}

function memoryRows(few: Batch, many: Batch, most: number): Row[] {
  if (few.memory === undefined || many.memory === undefined) return [];
  const ratio = many.memory / few.memory;
  return [
    { name: `memory of bulk, ${FEW} devices`, result: `${formatNumber(few.memory)} MB` },
    { name: `memory of bulk, ${most} devices`, result: `${formatNumber(many.memory)} MB`, ratio },
  ];
}

/** A batch as a process of its own, with disk and journal, and a CA beside its folder. */
export async function run(out: string, words: readonly string[], cli = CLI): Promise<Batch> {
  const flags = ["--ca", out.replace(/[^/]*$/, "ca"), "-o", out, "--json"];
  const args = ["run", "-A", cli, "bulk", ...words, ...flags];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "null" })
    .spawn();
  let memory: number | undefined;
  const timer = setInterval(() => memory = peakMemory(child.pid) ?? memory, 100);
  const { stdout, success } = await child.output();
  clearInterval(timer);
  if (!success) throw new Error(`bulk ${words.join(" ")} failed`);
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
  const { rate } = JSON.parse(last).summary;
  return { rate, memory };
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
