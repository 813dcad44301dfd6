import { promptSecret } from "./deps.ts";

/** Asks at the terminal; nothing is echoed, also not what is typed before the question stands there. */
export function askSecret(question: string): string | null {
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    return promptSecret(question, { mask: "" });
  } finally {
    Deno.stdin.setRaw(false);
  }
}

/** Whether somebody can be asked: the question goes to stdout, which must not be where the result goes. */
export function canAsk(): boolean {
  return hasWidth() && Deno.stdin.isTerminal() && Deno.stdout.isTerminal() &&
    Deno.stderr.isTerminal();
}

/** A terminal that says it has no columns leaves no room for a question. */
function hasWidth(): boolean {
  try {
    return Deno.consoleSize().columns > 0;
  } catch {
    return false;
  }
}
