/** Types of the part of `@std/cli` that deps.ts re-exports. */
export function promptSecret(message: string, options: { readonly mask: string }): string | null;
