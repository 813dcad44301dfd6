/** Test vectors: those of the repository, and the larger set next to it where there is one. */
import { installed, type Need, needing, PROCESSES } from "./needs.ts";

const SHARED_FOLDER = new URL("../../shared/vectors/", import.meta.url);

/** A file of tests/vectors. */
export function vector(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(`./vectors/${name}`, import.meta.url));
}

/** A file of the larger set. */
export function shared(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(name, SHARED_FOLDER));
}

/** A text of the larger set. */
export function sharedText(name: string): string {
  return new TextDecoder().decode(shared(name));
}

/** A case of the larger set, as its manifest describes it. */
export interface SharedCase {
  readonly name: string;
  readonly kind: string;
  readonly format?: string | null;
  readonly args?: readonly string[];
  readonly inputs?: readonly string[];
  readonly deterministic?: boolean;
  readonly known_bad?: string;
  readonly expect_error?: boolean;
  readonly note?: string;
}

/** The cases of some kinds, or of all. */
export function sharedCases(...kinds: readonly string[]): readonly SharedCase[] {
  const manifest = JSON.parse(sharedText("generated/MANIFEST.json")) as { cases: SharedCase[] };
  return manifest.cases.filter((each) => kinds.length === 0 || kinds.includes(each.kind));
}

/** The larger set, as something that a test needs. */
export const SHARED: Need = exists(SHARED_FOLDER) ? undefined : "no ../shared";

/** Registers a test that needs the larger set; reported as ignored where the set is absent. */
export function sharedTest(name: string, run: () => void | Promise<void>): void {
  needing(SHARED).test(name, run);
}

/** OpenSSL 3 or later; LibreSSL has other options. */
export const OPENSSL: Need = PROCESSES ?? findOpenssl();

/** Registers a test that asks the `openssl` program; reported as ignored where there is none. */
export function opensslTest(name: string, run: () => Promise<void>): void {
  needing(OPENSSL).test(name, run);
}

/** Runs `openssl`; throws with what it printed when it fails. */
export async function openssl(args: readonly string[], input?: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("openssl", {
    args: [...args],
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
  }
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`openssl ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

function findOpenssl(): Need {
  if (installed("openssl") !== undefined) return "no openssl";
  const { stdout } = new Deno.Command("openssl", { args: ["version"], stderr: "null" })
    .outputSync();
  const version = new TextDecoder().decode(stdout).trim();
  return /^OpenSSL [3-9]/.test(version) ? undefined : `no OpenSSL 3, but ${version}`;
}

function exists(url: URL): boolean {
  try {
    return Deno.statSync(url).isDirectory;
  } catch {
    return false;
  }
}
