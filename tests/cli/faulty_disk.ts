/** A disk in this process that is full at a moment of the test's choice. */

/** What was done on a disk, and whether it was full before the end. */
export interface OnDisk<T> {
  readonly outcome: T;
  /** Whether an operation was refused. */
  readonly wasFull: boolean;
}

/** Functions of Deno that need room for a name, by the object that has them. */
const NAMING = ["mkdir", "mkdirSync", "rename", "renameSync", "link", "linkSync"] as const;

/** An error as Deno throws it when a disk is full. */
function noSpace(): Error {
  return Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
}

/**
 * Runs something while the disk has room for so many operations: a new name, or a write, of which the
 * first that is too much puts half of its bytes there. What SQLite and other threads write does not
 * count, nor what goes to standard output.
 */
export async function onDisk<T>(room: number, act: () => Promise<T>): Promise<OnDisk<T>> {
  let left = room;
  let wasFull = false;
  const isFull = () => {
    wasFull ||= left-- <= 0;
    return wasFull;
  };
  const patches: (readonly [object, string, unknown])[] = [];
  // deno-lint-ignore no-explicit-any -- whatever the function takes and gives
  const patch = (owner: any, name: string, make: (original: any) => unknown) => {
    patches.push([owner, name, owner[name]]);
    owner[name] = make(owner[name]);
  };
  for (const name of NAMING) {
    patch(Deno, name, (original) => (...args: unknown[]) => {
      // What is moved back needs no room.
      if (wasFull && name.startsWith("rename") || !isFull()) return original.apply(Deno, args);
      if (name.endsWith("Sync")) throw noSpace();
      return Promise.reject(noSpace());
    });
  }
  for (const name of ["open", "openSync"]) {
    patch(Deno, name, (original) => (path: string, options?: Deno.OpenOptions) => {
      const isNew = options?.createNew || options?.create;
      if (!isNew || isThere(path) || !isFull()) {
        return original.apply(Deno, options === undefined ? [path] : [path, options]);
      }
      if (name === "openSync") throw noSpace();
      return Promise.reject(noSpace());
    });
  }
  for (const name of ["write", "writeSync"]) {
    patch(
      Deno.FsFile.prototype,
      name,
      (original) =>
        function (this: Deno.FsFile, bytes: Uint8Array) {
          if (!isFull()) return original.call(this, bytes);
          const half = original.call(this, bytes.subarray(0, bytes.length / 2));
          if (name === "write") return half.then(() => Promise.reject(noSpace()));
          throw noSpace();
        },
    );
  }
  patch(
    Deno,
    "writeFileSync",
    () => (path: string, bytes: Uint8Array, options: Deno.WriteFileOptions = {}) => {
      const { createNew, mode } = options;
      const how = createNew ? { createNew } : { create: true, truncate: true };
      using file = Deno.openSync(path, { write: true, ...how, mode });
      file.writeSync(bytes);
    },
  );
  try {
    return { outcome: await act(), wasFull };
  } finally {
    for (const [owner, name, original] of patches.reverse()) {
      Object.assign(owner, { [name]: original });
    }
  }
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}
