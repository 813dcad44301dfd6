import { inOneScript, inThreads } from "./raw.ts";
import { formatNumber, type Row } from "./table.ts";

const CLI = new URL("../cli.ts", import.meta.url).pathname;
/** `deno task bench batch 100000` measures the memory of a batch of this size. */
const MOST = Number(Deno.args.find((word) => /^[0-9]+$/.test(word)) ?? 20_000);
const FEW = 1000;
const RSA = 1500;
const RAW_MS = 4000;
const RAW_RSA_MS = 40_000;

interface Batch {
  /** Devices a second. */
  readonly rate: number;
  /** Most memory that the process took, in MB; undefined where the system does not tell. */
  readonly memory?: number;
}

/**
 * Devices a second on all processors against WebCrypto alone, which is measured before and after each
 * batch, and the memory of a batch. Files that were deleted minutes ago slow it down: ext4 gives none
 * of their inodes away in that time.
 */
export async function batch(folder: string): Promise<Row[]> {
  const few = await run(folder, "few", ["--count", `${FEW}`]);
  const p256 = () => inOneScript("P-256", RAW_MS);
  const many = await against(p256, () => run(folder, "many", ["--count", `${MOST}`]));
  const threads = await inThreads("P-256", RAW_MS);
  const rsa = await against(
    () => inOneScript("RSA-2048", RAW_RSA_MS),
    () => run(folder, "rsa", ["--count", `${RSA}`, "--type", "rsa"]),
  );
  const raw = "P-256 key and two signatures in WebCrypto";
  return [
    { name: `${raw}, one script`, result: perSecond(many.raw) },
    { name: `${raw}, a thread a processor`, result: perSecond(threads) },
    ratioRow(`bulk, P-256, ${MOST} devices`, many, 1.25),
    { name: "the same against threads", result: "", ratio: threads / many.rate },
    { name: "RSA-2048 key in WebCrypto", result: perSecond(rsa.raw) },
    ratioRow(`bulk, RSA-2048, ${RSA} devices`, rsa, 1.05),
    ...memoryRows("bulk", few, many),
  ];
}

interface Compared extends Batch {
  /** What WebCrypto alone reached meanwhile. */
  readonly raw: number;
}

/** A shared machine is faster now and slower then: the measure stands on both sides of the batch. */
async function against(raw: () => Promise<number>, work: () => Promise<Batch>): Promise<Compared> {
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

function memoryRows(name: string, few: Batch, many: Batch): Row[] {
  if (few.memory === undefined || many.memory === undefined) return [];
  return [
    { name: `memory of ${name}, ${FEW} devices`, result: `${formatNumber(few.memory)} MB` },
    {
      name: `memory of ${name}, ${MOST} devices`,
      result: `${formatNumber(many.memory)} MB`,
      ratio: many.memory / few.memory,
    },
  ];
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
