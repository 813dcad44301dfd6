/** A thread of `bulk`: makes devices and writes their files. */
import type { BulkMaker } from "../../../batch/ports.ts";
import { parentPort } from "../../threads/deps.ts";
import { openMaker } from "./maker.ts";
import { type Answer, type FromWorker, packError, type ToWorker, unpackError } from "./messages.ts";
import { fromWire, toWire, type Wire } from "../../threads/threads.ts";

let maker: Promise<BulkMaker> | undefined;

function tell(message: FromWorker): void {
  parentPort?.postMessage(toWire(message));
}

const asked = new Map<number, PromiseWithResolvers<string>>();
let questions = 0;

/** Asks the program that signs for the CA; the first thread has it. */
function ask(line: string): Promise<string> {
  const question = questions++;
  const answer = Promise.withResolvers<string>();
  asked.set(question, answer);
  tell({ kind: "ask", question, line });
  return answer.promise;
}

function hear({ question, line, error }: Answer): void {
  const answer = asked.get(question);
  asked.delete(question);
  if (error === undefined) answer?.resolve(line!);
  else answer?.reject(unpackError(error));
}

parentPort?.on("message", async (wire: Wire<ToWorker>) => {
  const message = fromWire<ToWorker>(wire);
  if (message.kind === "answer") return hear(message);
  if (message.kind === "start") {
    maker = openMaker(message, message.asks ? ask : undefined);
    maker.then(
      () => tell({ kind: "ready" }),
      (error) => tell({ kind: "unfit", error: packError(error) }),
    );
    return;
  }
  if (message.kind === "ping") return tell({ kind: "pong" });
  const { call, jobs } = message;
  try {
    tell({ kind: "made", call, results: JSON.stringify(await (await maker!)(jobs)) });
  } catch (error) {
    tell({ kind: "failed", call, error: packError(error) });
  }
});
