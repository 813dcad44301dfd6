import { runInThread } from "../batch/threads/engine.ts";
import type { Command } from "../run.ts";

/**
 * Makes the devices of a list: a folder that any later run goes on with. It runs in a thread, whose
 * heap has limits that the one of the process cannot have.
 */
export const bulkCommand: Command = async (args, io) => {
  const code = io.argv === undefined ? undefined : await runInThread(io.argv);
  if (code !== undefined) return code;
  const { runBulk } = await import("../batch/run/command.ts");
  return await runBulk(args, io);
};
