/**
 * Makes a folder and those above it.
 *
 * @returns The folders that are new, the outermost first.
 */
export function makeFolder(path: string): string[] {
  try {
    Deno.mkdirSync(path);
    return [path];
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      // A file of that name is an error, and a link to a folder is not.
      Deno.mkdirSync(path, { recursive: true });
      return [];
    }
    const above = /^(.*[^/\\])[/\\]+[^/\\]+[/\\]*$/s.exec(path)?.[1];
    if (!(error instanceof Deno.errors.NotFound) || above === undefined) throw error;
    return [...makeAbove(above, path), path];
  }
}

/** Makes a folder in one above it, which Deno may be permitted to make only along with it. */
function makeAbove(above: string, path: string): string[] {
  let made: string[] = [];
  try {
    made = makeFolder(above);
    Deno.mkdirSync(path);
    return made;
  } catch (error) {
    removeFolders(made);
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    Deno.mkdirSync(path, { recursive: true });
    return [];
  }
}

/** Removes folders that were made, unless something is in them. */
export function removeFolders(made: readonly string[]): void {
  for (const path of made.toReversed()) {
    try {
      Deno.removeSync(path);
    } catch {
      return;
    }
  }
}
