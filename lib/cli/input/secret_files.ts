import { shownName } from "../../bytes/text.ts";
import type { Arguments, Flag } from "../command.ts";
import { CliError } from "../errors.ts";
import type { Io } from "../io.ts";

/** Flags whose files hold a secret: someone may give the secret itself in the place of its file. */
const SECRET = /key|password|pwd|salt/;

/** The paths that the flags for secrets name, and the flag of each. */
export function secretFilesOf(flags: readonly Flag[], args: Arguments): Map<string, string> {
  return new Map(
    flags.filter(({ name, value }) => SECRET.test(name) && value === "FILE")
      .flatMap(({ name }) => args.all(name).map((path) => [path, name])),
  );
}

/**
 * The same world, where a file for a secret that cannot be read is called by its flag.
 *
 * @param files The flag of each path.
 */
export function withSecretFiles(io: Io, files: ReadonlyMap<string, string>): Io {
  if (files.size === 0) return io;
  const calling = async <T>(path: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (error) {
      const flag = files.get(path);
      const isOurs = error instanceof CliError && error.code !== "ERR_USAGE";
      throw flag === undefined || !isOurs ? error : unnamed(error, path, flag);
    }
  };
  return {
    ...io,
    read: (path) => calling(path, () => io.read(path)),
    readIfExists: (path) => calling(path, () => io.readIfExists(path)),
  };
}

/** An error about what a flag names, without the name. */
export function unnamed({ code, message }: CliError, path: string, flag: string): CliError {
  const named = `Cannot read ${shownName(path)}`;
  const reason = message.startsWith(named) ? message.slice(named.length) : "";
  const hint = code === "ERR_PERMISSION" ? "add --allow-read with its name" : undefined;
  return new CliError(code, `Cannot read the file of --${flag}${reason}`, { flag, hint });
}
