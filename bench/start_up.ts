import { createDevelopmentCa, exportPrivateKey, formatPem, provision } from "../mod.ts";
import { duration, median } from "./measure.ts";
import { formatNumber, type Row } from "./table.ts";

const ROUNDS = 21;
const CLI = new URL("../cli.ts", import.meta.url).href;

/** A program whose start is timed. */
interface Program {
  readonly name: string;
  /** What stands behind `deno run`. */
  readonly args: readonly string[];
  readonly goal?: number;
}

/**
 * What the command line costs to start: the median over spawns that take turns, each also as a
 * multiple of a script that does nothing. The first spawns of each, which fill the caches, are not
 * counted.
 */
export async function startUp(folder: string): Promise<Row[]> {
  const programs = await makePrograms(folder);
  for (const program of programs) for (let count = 0; count < 2; count++) await spawn(program, []);
  const times = programs.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, program] of programs.entries()) {
      times[index]!.push(await duration(() => spawn(program, ["--cached-only"])));
    }
  }
  const medians = times.map(median);
  return programs.map(({ name, goal }, index) => ({
    name,
    result: `${formatNumber(medians[index]!)} ms`,
    ratio: medians[index]! / medians[0]!,
    ...goal === undefined ? {} : { goal },
  }));
}

/** The programs, the baseline first, with the files that they read. */
async function makePrograms(folder: string): Promise<Program[]> {
  const path = (name: string) => `${folder}/${name}`;
  await writeInputs(path);
  const [device, ca, key] = [path("device.pem"), path("ca.pem"), path("device.key.pem")];
  const [image, out] = [path("image.bin"), path("out.bin")];
  const flags = ["--device-cert", device, "--ca-cert", ca, "--private-key", key];
  return [
    { name: "start-up: empty script", args: [path("empty.ts")] },
    { name: "start-up: --help", args: [CLI, "--help"], goal: 3 },
    {
      name: "start-up: inspect IMAGE",
      args: [`--allow-read=${image}`, CLI, "inspect", image],
      goal: 8,
    },
    {
      name: "start-up: build from PEM files",
      args: [
        `--allow-read=${[device, ca, key, out].join(",")}`,
        `--allow-write=${out}`,
        ...[CLI, "build", ...flags, "--force", "-o", out],
      ],
      goal: 8,
    },
  ];
}

async function writeInputs(path: (name: string) => string): Promise<void> {
  const issuer = await createDevelopmentCa();
  const device = await provision({ issuer, subject: "CN=bench" });
  await Deno.writeTextFile(path("empty.ts"), "");
  await Deno.writeTextFile(path("ca.pem"), formatPem("CERTIFICATE", issuer.certificate));
  await Deno.writeFile(path("device.pem"), device.deviceCert);
  await Deno.writeFile(path("device.key.pem"), await exportPrivateKey(device.key));
  await Deno.writeFile(path("image.bin"), device.image);
}

async function spawn({ name, args }: Program, flags: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...flags, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`${name} failed: ${new TextDecoder().decode(stderr)}`);
}
