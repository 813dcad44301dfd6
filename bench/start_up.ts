import { createDevelopmentCa, exportPrivateKey, provision } from "../mod.ts";
import { duration, median } from "./measure.ts";
import { type Comparison, formatNumber, type Row } from "./table.ts";

const ROUNDS = 15;
/** The first runs of a program fill the caches and are not counted. */
const WARM_UP_ROUNDS = 2;
const CLI = new URL("../cli.ts", import.meta.url).href;

/** A command line whose start is timed. */
interface Program {
  readonly name: string;
  /** What follows `deno run`; a `cli.ts` among the words is that of a checkout. */
  readonly words: readonly string[];
  /** The largest multiple of the empty script that is wanted. */
  readonly goal?: number;
}

/**
 * What the command line costs to start: the median of 15 runs of each program, which take turns, each
 * also as a multiple of a script that does nothing.
 */
export async function startUp(folder: string): Promise<Row[]> {
  const programs = await makePrograms(folder);
  const times = await timesOf(programs.map((program) => ({ program, cli: CLI })));
  const medians = times.map(median);
  return programs.map(({ name, goal }, index) => ({
    name: `start-up: ${name}`,
    result: `${formatNumber(medians[index]!)} ms`,
    ratio: medians[index]! / medians[0]!,
    goal,
  }));
}

/** The same in pairs with another checkout, whose runs alternate with those of this one. */
export async function compareStartUp(folder: string, otherCli: string): Promise<Comparison[]> {
  const programs = (await makePrograms(folder)).slice(1);
  const times = await timesOf(
    programs.flatMap((program) => [CLI, otherCli].map((cli) => ({ program, cli }))),
  );
  return programs.map(({ name }, index) => {
    const [here, there] = [times[2 * index]!, times[2 * index + 1]!];
    return {
      name: `start-up: ${name}`,
      here: `${formatNumber(median(here))} ms`,
      there: `${formatNumber(median(there))} ms`,
      ratio: median(here.map((time, round) => time / there[round]!)),
    };
  });
}

/** A program of a checkout. */
interface Run {
  readonly program: Program;
  readonly cli: string;
}

/** The times of each run in milliseconds, one a round. */
async function timesOf(runs: readonly Run[]): Promise<number[][]> {
  for (const run of runs) for (let count = 0; count < WARM_UP_ROUNDS; count++) await spawn(run, []);
  const times = runs.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, run] of runs.entries()) {
      times[index]!.push(await duration(() => spawn(run, ["--cached-only"])));
    }
  }
  return times;
}

/** The programs, the empty script first, with the files that they read. */
async function makePrograms(folder: string): Promise<Program[]> {
  const path = (name: string) => `${folder}/${name}`;
  await writeInputs(path);
  const [device, ca, key] = [path("device.pem"), path("ca.pem"), path("device.key.pem")];
  const [image, out] = [path("image.bin"), path("out.bin")];
  const flags = ["--device-cert", device, "--ca-cert", ca, "--private-key", key];
  const read = `--allow-read=${image}`;
  return [
    { name: "empty script", words: [path("empty.ts")] },
    { name: "--help", words: ["cli.ts", "--help"], goal: 3 },
    { name: "inspect IMAGE", words: [read, "cli.ts", "inspect", image], goal: 5 },
    { name: "verify IMAGE", words: [read, "cli.ts", "verify", image], goal: 5 },
    {
      name: "build from PEM files",
      words: [
        `--allow-read=${[device, ca, key, out].join(",")}`,
        `--allow-write=${out}`,
        ...["cli.ts", "build", ...flags, "--force", "-o", out],
      ],
      goal: 8,
    },
  ];
}

async function writeInputs(path: (name: string) => string): Promise<void> {
  const issuer = await createDevelopmentCa();
  const device = await provision({ issuer, subject: "CN=bench" });
  await Deno.writeTextFile(path("empty.ts"), "");
  await Deno.writeTextFile(path("ca.pem"), issuer.certificate.pem);
  await Deno.writeFile(path("device.pem"), new TextEncoder().encode(device.certificate.pem));
  await Deno.writeFile(path("device.key.pem"), await exportPrivateKey(device.key));
  await Deno.writeFile(path("image.bin"), device.image);
}

async function spawn({ program, cli }: Run, flags: readonly string[]): Promise<void> {
  const words = program.words.map((word) => word === "cli.ts" ? cli : word);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, ...words],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${program.name} failed: ${new TextDecoder().decode(stderr)}`);
}
