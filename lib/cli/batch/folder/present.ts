/** Whether something has this path, even a broken link. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes a file that may not be there. */
export function removeIfExists(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a folder if it is empty; one that cannot be removed does no harm. */
export function removeIfEmpty(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Deno has no class of its own for a folder that has something in it.
  }
}
