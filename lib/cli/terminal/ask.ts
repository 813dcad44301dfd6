/** Asks at the terminal without echo, also of what was typed before the question was there. */
export async function askSecret(question: string): Promise<string | null> {
  // It takes 27 ms to load, which every other command line would pay.
  const { promptSecret } = await import("./deps.ts");
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    return promptSecret(question, { mask: "" });
  } finally {
    Deno.stdin.setRaw(false);
  }
}

/** Whether somebody can be asked: the question goes to stdout, which must not be that of the result. */
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
