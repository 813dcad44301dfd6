import { Worker } from "./deps.ts";

/** Megabytes of a thread's heap: with little room for what is new its garbage is collected sooner. */
const HEAP = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 1024 };
/** All modules of the toolkit, of which a thread loads most. */
const MODULES = new URL("../../", import.meta.url);

/** Starts a thread, whose heap has limits. */
export function startThread(module: URL, name: string): Worker {
  return new Worker(moduleOf(module), {
    name,
    resourceLimits: HEAP,
    // Node copies the environment otherwise, for which Deno asks at the terminal.
    env: {},
  });
}

/** What a thread runs; Node's workers, which have limits, take no URL of the network by itself. */
function moduleOf(url: URL): URL {
  if (url.protocol === "file:") return url;
  return new URL(
    `data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)}`)}`,
  );
}

/** The permission to read, or to import, that Deno wants for the modules of a thread and has not. */
export async function missingPermission(): Promise<string | undefined> {
  const isFile = MODULES.protocol === "file:";
  const wanted = isFile
    ? { name: "read", path: MODULES } as const
    : { name: "import", host: MODULES.host } as const;
  if ((await Deno.permissions.query(wanted)).state === "granted") return undefined;
  return isFile ? `--allow-read=${decodeURI(MODULES.pathname)}` : `--allow-import=${MODULES.host}`;
}

/**
 * A message as it goes through a port. Deno looks for ports in each value of what arrives there, in
 * arrays of bytes byte by byte, some 80 ns each; it does not look into buffers.
 */
export type Wire<T> = T extends Uint8Array ? ArrayBuffer
  : T extends readonly (infer Each)[] ? readonly Wire<Each>[]
  : T extends object ? { readonly [Name in keyof T]: Wire<T[Name]> }
  : T;

/** A message with a buffer for each array of bytes. */
export function toWire<T>(message: T): Wire<T> {
  return mapLeaves(message, (value) => value instanceof Uint8Array ? bufferOf(value) : undefined);
}

/** The message that {@linkcode toWire} was given. */
export function fromWire<T>(wire: Wire<T>): T {
  return mapLeaves(
    wire,
    (value) => value instanceof ArrayBuffer ? new Uint8Array(value) : undefined,
  );
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): ArrayBufferLike {
  const isWhole = byteOffset === 0 && length === buffer.byteLength;
  return isWhole ? buffer : buffer.slice(byteOffset, byteOffset + length);
}

function mapLeaves<Result>(value: unknown, leaf: (value: object) => unknown): Result {
  const map = (each: unknown): unknown => {
    if (typeof each !== "object" || each === null) return each;
    if (Array.isArray(each)) return each.map(map);
    const replaced = leaf(each);
    if (replaced !== undefined) return replaced;
    const copy: Record<string, unknown> = {};
    for (const name in each) copy[name] = map((each as Record<string, unknown>)[name]);
    return copy;
  };
  return map(value) as Result;
}
