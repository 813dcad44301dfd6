import { runBulk } from "../batch/run/command.ts";
import type { Command } from "../run.ts";

/** Makes the devices of a list: a folder that any later run goes on with. */
export const bulkCommand: Command = runBulk;
