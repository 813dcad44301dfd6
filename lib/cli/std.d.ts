/** Types of the part of `@std/cli` that deps.ts re-exports. */
export interface ParseOptions {
  readonly string: readonly string[];
  readonly boolean: readonly string[];
  readonly collect: readonly string[];
  readonly alias: Readonly<Record<string, string>>;
  readonly "--": true;
  readonly unknown: (argument: string, key?: string, value?: unknown) => unknown;
}
export interface ParsedArguments {
  readonly _: readonly string[];
  readonly "--": readonly string[];
  readonly [key: string]: unknown;
}
export function parseArgs(argv: readonly string[], options: ParseOptions): ParsedArguments;
