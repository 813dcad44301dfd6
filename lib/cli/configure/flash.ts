import { formatCommand } from "../../key_modes/efuse_plan.ts";
import type { ConfigureArguments } from "./arguments.ts";
import type { Io } from "../io.ts";

/** Flashes an image when a port is given; otherwise prints how to. */
export async function flash(
  path: string,
  { chip, port, offset, skipFlash }: ConfigureArguments,
  io: Io,
): Promise<number> {
  const words = ["--chip", chip, "-p", port ?? "<PORT>", "write_flash", offset, path];
  if (port !== undefined && !skipFlash) {
    return await runOrPrint(["esptool.py", "esptool"], words, "esptool", io);
  }
  if (!skipFlash) io.note("warning: no --port is given: the image is built and not flashed");
  io.print(`To flash manually: esptool.py ${formatWords(words)}`);
  return 0;
}

/** Runs a tool of Espressif's without a shell; where it is not installed, prints what to run. */
export async function runOrPrint(
  names: readonly string[],
  words: readonly string[],
  what: "esptool" | "espefuse",
  io: Io,
): Promise<number> {
  const outcome = await io.run?.(names, words);
  if (outcome !== undefined) {
    if (outcome.code !== 0) io.note(`error: ${outcome.name} ended with code ${outcome.code}`);
    return outcome.code === 0 ? 0 : 1;
  }
  const task = what === "esptool" ? "flash" : "do it";
  io.print(`To ${task} manually: ${names[0]} ${formatWords(words)}`);
  io.note(`error: ${what} is not installed`);
  const instead = what === "esptool" ? ", or give --skip_flash" : "";
  io.note(`hint: install ${what} and run the line above${instead}`);
  return 1;
}

/** Words as a shell takes them, but for the placeholder of the port. */
function formatWords(words: readonly string[]): string {
  return words.map((word) => word === "<PORT>" ? word : formatCommand([word])).join(" ");
}
