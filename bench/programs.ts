import { programIssuer } from "../lib/cli/programs/ca.ts";
import { openPrograms } from "../lib/cli/programs/pool.ts";
import { createDevelopmentCa } from "../mod.ts";
import { against, run } from "./batch.ts";
import { duration, meanPerSecond, median } from "./measure.ts";
import { inOneScript } from "./raw.ts";
import { formatNumber, type Row } from "./table.ts";

const CLI = new URL("../cli.ts", import.meta.url).href;
const NODE = new URL("../examples/batch/key_server.mjs", import.meta.url).pathname;
const ANSWER = new URL("./answer.ts", import.meta.url).pathname;
const RSA = 300;
const RAW_RSA_MS = 20_000;
const ASKED_MS = 3000;
/** Devices of a batch that is checked, and of one whose check is all start-up. */
const [MANY, FEW] = [2000, 20];
const PAIRS = 3;

/** Key servers, CAs over a pipe, and `bulk verify`, each compared with what it should keep up with. */
export async function programs(folder: string): Promise<Row[]> {
  return [await keyServer(folder), await pipe(), await checking(folder)];
}

/** The table has goals that are not to be exceeded: the part of the server's time that is left. */
async function keyServer(folder: string): Promise<Row> {
  const flags = ["--type", "rsa", "--key-server", `npx --yes node@26 ${NODE}`];
  const { rate, raw } = await against(
    () => inOneScript("RSA-2048", RAW_RSA_MS),
    () => run(`${folder}/served`, ["--count", `${RSA}`, ...flags]),
  );
  const name = `bulk, RSA-2048 keys of Node, ${RSA} devices, against WebCrypto`;
  return { name, result: `${formatNumber(rate)} /s`, ratio: raw / rate, goal: 1 / 2.5 };
}

/** What a signature costs beyond itself: a line to a program, and one back; against a millisecond. */
async function pipe(): Promise<Row> {
  const line = `"${Deno.execPath()}" run "${ANSWER}"`;
  const asked = await openPrograms({ what: "", flag: "", example: "", line, seconds: 60 });
  const { certificate } = await createDevelopmentCa();
  const { sign } = programIssuer(certificate, asked.ask);
  const signedPart = new Uint8Array(500);
  const algorithm = { type: "ec", hash: "SHA-256" } as const;
  const rate = await meanPerSecond(() => sign!(signedPart, algorithm), ASKED_MS);
  await asked.close();
  const ms = 1000 / rate;
  return { name: "a CA over a pipe", result: `${formatNumber(ms)} ms`, ratio: ms, goal: 1 };
}

/** Checking a batch against making it, in pairs and without start-up. */
async function checking(folder: string): Promise<Row> {
  const took = async (count: number, pair: number) => {
    const out = `${folder}/checked-${count}-${pair}`;
    const made = await duration(() => run(out, ["--count", `${count}`]));
    return { made, checked: await duration(() => check(out)) };
  };
  const [ratios, rates]: [number[], number[]] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    const few = await took(FEW, pair);
    const many = await took(MANY, pair);
    ratios.push((many.checked - few.checked) / (many.made - few.made));
    rates.push((MANY - FEW) * 1000 / (many.checked - few.checked));
  }
  const name = `bulk verify, P-256, ${MANY} devices, against making them`;
  return { name, result: `${formatNumber(median(rates))} /s`, ratio: median(ratios), goal: 1 };
}

async function check(batch: string): Promise<void> {
  const args = ["run", "-A", CLI, "bulk", "verify", batch];
  const silent = { stdout: "null", stderr: "null" } as const;
  const { success } = await new Deno.Command(Deno.execPath(), { args, ...silent }).output();
  if (!success) throw new Error(`bulk verify ${batch} failed`);
}
