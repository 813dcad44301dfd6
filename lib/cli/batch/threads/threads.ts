import { Worker } from "../deps.ts";

/** Megabytes of a thread's heap: with little room for what is new its garbage is collected sooner. */
const HEAP = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 1024 };
/** All modules of the toolkit, of which a thread loads most. */
const MODULES = new URL("../../../", import.meta.url);

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
