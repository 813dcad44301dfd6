/**
 * The examples for schedulers, by the schedulers themselves: GNU parallel and a Slurm of this machine
 * alone (Debian: `parallel`, `slurm-wlm`). Skipped where they are absent.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "@std/yaml";
import { loadCommand } from "../../../lib/cli/commands.ts";
import { installed, LINUX, needing, PROCESSES } from "../../needs.ts";
import { cli, inFolder, type Outcome, run } from "../../process.ts";

const ROOT = new URL("../../../", import.meta.url);
const CLI_PATH = new URL("cli.ts", ROOT).pathname;
const DEVICES = 23;
const NODE = "localhost";

/** Registers a test that starts programs in a folder with a list and a CA. */
function programsTest(
  name: string,
  programs: readonly string[],
  act: (folder: string) => Promise<void>,
): void {
  needing(PROCESSES, LINUX, ...programs.map(installed)).test(
    name,
    () =>
      inFolder(async (folder) => {
        await prepare(folder);
        await act(folder);
      }),
  );
}

const ids = Array.from({ length: DEVICES }, (_, at) => `dev-${String(at + 1).padStart(3, "0")}`);

/** A device list, and a CA that all shards share. */
async function prepare(folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/devices.csv`, `id\n${ids.join("\n")}\n`);
  const { code, stderr } = await cli(["ca", "--subject", "CN=Batch CA", "-o", "ca"], folder);
  assertEquals(code, 0, stderr);
}

/** The joined folder holds every device once, in the order of the list, and all are good. */
async function assertWhole(folder: string, path: string): Promise<void> {
  const flags = ["--ca", "ca/ca.pem", "--devices", "devices.csv", "--json"];
  const verified = await cli(["bulk", "verify", path, ...flags], folder);
  assertEquals(verified.code, 0, verified.stdout + verified.stderr);
  const text = await Deno.readTextFile(`${folder}/${path}/manifest.ndjson`);
  assertEquals(text.trim().split("\n").map((line) => JSON.parse(line).id), ids);
}

programsTest(
  "GNU parallel runs the shards and joins them",
  ["parallel", "sh", "seq"],
  async (folder) => {
    const script = new URL("examples/batch/parallel.sh", ROOT).pathname;
    const env = { CLI: CLI_PATH, PATH: pathWithDeno(), JOBS: "2" };
    const made = await run("sh", [script, "devices.csv", "3", "out"], folder, env);
    assertEquals(made.code, 0, made.stdout + made.stderr);
    await assertWhole(folder, "out/whole");
    const log = await Deno.readTextFile(`${folder}/out/joblog`);
    assertEquals(log.trim().split("\n").length, 4);
  },
);

programsTest(
  "an array of Slurm jobs runs the shards",
  ["slurmctld", "slurmd", "sbatch"],
  async (folder) => {
    const slurm = await startSlurm(`${folder}/slurm`);
    try {
      const script = new URL("examples/batch/slurm.sbatch", ROOT).pathname;
      const env = { ...slurm.env, CLI: CLI_PATH, PATH: pathWithDeno() };
      const flags = ["--parsable", "--wait", "--array=1-3", "--cpus-per-task=1"];
      const args = [...flags, "--output=job-%a.log", script, "devices.csv", "out"];
      const made = await run("sbatch", args, folder, env);
      const logs = [1, 2, 3].map((each) => readIfThere(`${folder}/job-${each}.log`)).join("");
      assertEquals(made.code, 0, made.stdout + made.stderr + logs + slurm.logs());
      const shards = [1, 2, 3].map((each) => `out/shard-000${each}`);
      const merged = await cli(["bulk", "merge", ...shards, "-o", "whole"], folder);
      assertEquals(merged.code, 0, merged.stdout + merged.stderr);
      await assertWhole(folder, "whole");
    } finally {
      await slurm.stop();
    }
  },
);

/** The flags of `bulk` that a script passes, from a module that takes the place of the command line. */
async function flagsOf(
  folder: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Outcome> {
  const path = `${folder}/print.ts`;
  await Deno.writeTextFile(path, `console.log(Deno.args.join(" "));`);
  return await run("sh", args, folder, { ...env, CLI: path, PATH: pathWithDeno() });
}

programsTest("the Slurm example passes the part of its task", ["sh"], async (folder) => {
  const script = new URL("examples/batch/slurm.sbatch", ROOT).pathname;
  const task = (id: number, first: number, last: number, tasks: number, shard = "") =>
    flagsOf(folder, [script, "devices.csv", "out"], {
      SLURM_ARRAY_TASK_ID: String(id),
      SLURM_ARRAY_TASK_MIN: String(first),
      SLURM_ARRAY_TASK_MAX: String(last),
      SLURM_ARRAY_TASK_COUNT: String(tasks),
      SHARD: shard,
    });
  const { code, stdout, stderr } = await task(3, 1, 64, 64);
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, "--shard 3/64 --workers 1 -o out/shard-0003");
  assertStringIncludes((await task(3, 3, 3, 1, "3/64")).stdout, "--shard 3/64 ");
  // One task run again, a list with gaps, a part of the array, one that counts from 0 or in steps.
  for (const [id, first, last, tasks] of [[3, 3, 3, 1], [4, 1, 4, 3], [3, 3, 4, 2], [0, 0, 3, 4]]) {
    const refused = await task(id!, first!, last!, tasks!);
    assertEquals([refused.code, refused.stdout], [1, ""]);
    assertStringIncludes(refused.stderr, `task ${id} may be any part; set SHARD=i/n`);
  }
});

Deno.test("the Kubernetes example is an Indexed Job with a shard for each index", async () => {
  const text = await Deno.readTextFile(new URL("examples/batch/kubernetes.yaml", ROOT));
  // deno-lint-ignore no-explicit-any
  const [claim, job] = text.split(/^---$/m).map((each) => parse(each) as any);
  assertEquals([claim.kind, job.apiVersion, job.kind], [
    "PersistentVolumeClaim",
    "batch/v1",
    "Job",
  ]);
  const { spec } = job;
  assertEquals(spec.completionMode, "Indexed");
  const { containers: [container], volumes, restartPolicy } = spec.template.spec;
  assertEquals(container.env, [{ name: "SHARDS", value: String(spec.completions) }]);
  assertEquals(restartPolicy, "Never");
  const names = volumes.map(({ name }: { name: string }) => name);
  for (const { name } of container.volumeMounts) assert(names.includes(name), name);
  assertStringIncludes(container.args[0], "JOB_COMPLETION_INDEX");
  const { flags } = await loadCommand("bulk");
  assertStringIncludes(container.args[0], '--shard "$shard/$SHARDS"');
  for (const [, flag] of container.args[0].split("cli.ts bulk")[1].matchAll(/ --([a-z-]+)/g)) {
    assert(flags.some(({ name }) => name === flag), flag);
  }
});

interface Slurm {
  /** What makes the programs of Slurm talk to this one. */
  readonly env: Readonly<Record<string, string>>;
  readonly logs: () => string;
  readonly stop: () => Promise<void>;
}

/** A controller and one node on the loopback interface, without accounts and without Munge. */
async function startSlurm(folder: string): Promise<Slurm> {
  for (const name of ["state", "spool"]) await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  const [control, node] = [freePort(), freePort()];
  const { hostname, user } = { hostname: Deno.hostname(), user: await nameOfUser() };
  await Deno.writeTextFile(
    `${folder}/slurm.conf`,
    slurmConf(folder, hostname, user, control, node),
  );
  const env = { SLURM_CONF: `${folder}/slurm.conf` };
  const start = (program: string, ...args: string[]) =>
    new Deno.Command(program, {
      args: ["-D", "-f", env.SLURM_CONF, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      env: { ...env, PATH: pathWithDeno() },
    }).spawn();
  const children = [start("slurmctld"), start("slurmd", "-N", NODE)];
  const stop = async () => {
    for (const child of children) {
      try {
        child.kill("SIGTERM");
      } catch { /* it has ended */ }
    }
    await Promise.all(children.map((child) => child.status));
  };
  const logs = () =>
    ["slurmctld.log", "slurmd.log"].map((name) => readIfThere(`${folder}/${name}`)).join("");
  for (let tries = 0; tries < 60; tries++) {
    const { stdout } = await run("sinfo", ["-h", "-o", "%T"], folder, env);
    if (stdout.trim() === "idle") return { env, logs, stop };
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await stop();
  throw new Error(`Slurm does not start:\n${logs()}`);
}

function slurmConf(
  folder: string,
  hostname: string,
  user: string,
  control: number,
  node: number,
): string {
  return `ClusterName=loopback
SlurmctldHost=${hostname}(127.0.0.1)
SlurmctldPort=${control}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
SlurmdParameters=config_overrides
NodeName=${NODE} NodeHostname=${hostname} NodeAddr=127.0.0.1 Port=${node} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=${NODE} Default=YES MaxTime=INFINITE State=UP
`;
}

/** The jobs of Slurm and the examples say `deno`. */
function pathWithDeno(): string {
  const folder = Deno.execPath().replace(/\/[^/]*$/, "");
  return `${folder}:${Deno.env.get("PATH")}:/usr/sbin`;
}

async function nameOfUser(): Promise<string> {
  return (await run("id", ["-un"], ".")).stdout.trim();
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
