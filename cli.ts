/**
 * The command line: `deno run cli.ts --help`.
 *
 * @module
 */
import { denoIo } from "./lib/cli/io.ts";
import { run } from "./lib/cli/run.ts";

if (import.meta.main) Deno.exitCode = await run(Deno.args, denoIo());
