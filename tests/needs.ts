/** Tests that need what is not everywhere: ignored where it is missing, with the reason in their name. */

/** What a test needs: why it is missing, or undefined where it is there. */
export type Need = string | undefined;

/** The permission to start programs, which `deno task test:quick` withholds. */
export const PROCESSES: Need = Deno.permissions.querySync({ name: "run" }).state === "granted"
  ? undefined
  : "starts processes";

/** A limit on the size of files, `/dev/full`, and the like. */
export const LINUX: Need = Deno.build.os === "linux" ? undefined : "only on Linux";

/** Signals, mode bits and symbolic links. */
export const POSIX: Need = Deno.build.os === "windows" ? "not on Windows" : undefined;

/** A user other than root, who may write everywhere. */
export const NOT_ROOT: Need = Deno.uid() === 0 ? "not as root" : undefined;

/** The user root, who may mount disks. */
export const ROOT: Need = Deno.uid() === 0 ? undefined : "only as root";

/** A program on the PATH, or in /usr/sbin, where daemons are. */
export function installed(name: string): Need {
  const windows = Deno.build.os === "windows";
  const folders = [...(Deno.env.get("PATH") ?? "").split(windows ? ";" : ":"), "/usr/sbin"];
  const isThere = folders.some((folder) => isFile(`${folder}/${name}${windows ? ".exe" : ""}`));
  return isThere ? undefined : `no ${name}`;
}

/** Registers tests that are ignored where something is missing. */
export interface Tests {
  test(name: string, run: () => void | Promise<void>): void;
}

/** Tests with needs; the first one that is missing is named as the reason. */
export function needing(...needs: readonly Need[]): Tests {
  const missing = needs.find((need) => need !== undefined);
  const ignore = missing !== undefined;
  return {
    test: (name, run) =>
      Deno.test({ name: ignore ? `${name} (skipped: ${missing})` : name, ignore, fn: run }),
  };
}

/** Tests that start programs, Deno itself in most cases. */
export const processes: Tests = needing(PROCESSES);

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
