/** A thread of `verify` and `inspect`: reads and checks some of many images. */
import { parentPort } from "../batch/deps.ts";
import { fromWire, type Wire } from "../batch/threads/threads.ts";
import { denoIo } from "../io.ts";
import { type ImageChecker, imageChecker, type ManyTask } from "./check.ts";

/** What goes to a thread: the task once, and then the paths of some images. */
export type ToThread = { readonly task: ManyTask } | { readonly paths: readonly string[] };

const { read } = denoIo();
const readFile = async (path: string) => ({ bytes: await read(path) });
let check: ImageChecker | undefined;

parentPort?.on("message", async (wire: Wire<ToThread>) => {
  const message = fromWire<ToThread>(wire);
  if ("task" in message) {
    check = imageChecker(message.task);
    parentPort?.postMessage("ready");
    return;
  }
  const reports = message.paths.map((path) => check!(path, readFile));
  parentPort?.postMessage(await Promise.all(reports));
});
