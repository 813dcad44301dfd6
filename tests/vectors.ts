/** Test vectors: those of the repository, and the larger set that lies beside it where there is one. */

const SHARED = new URL("../../shared/vectors/", import.meta.url);

/** A file of tests/vectors. */
export function vector(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(`./vectors/${name}`, import.meta.url));
}

/** Whether the larger set of vectors is there. */
export const hasShared: boolean = exists(SHARED);

/** A file of the larger set. */
export function shared(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(name, SHARED));
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

/** The cases of some kinds; none when the larger set is absent. */
export function sharedCases(...kinds: readonly string[]): readonly SharedCase[] {
  if (!hasShared) return [];
  const manifest = JSON.parse(sharedText("generated/MANIFEST.json")) as { cases: SharedCase[] };
  return manifest.cases.filter((each) => kinds.length === 0 || kinds.includes(each.kind));
}

/** Registers a test that needs the larger set; it is reported as ignored where the set is absent. */
export function sharedTest(name: string, run: () => void | Promise<void>): void {
  Deno.test({
    name: hasShared ? name : `${name} (skipped: no ../shared)`,
    ignore: !hasShared,
    fn: run,
  });
}

const OPENSSL = findOpenssl();

/** Registers a test that asks the `openssl` program; ignored where there is none. */
export function opensslTest(name: string, run: () => Promise<void>): void {
  Deno.test({ name: OPENSSL ? name : `${name} (skipped: no openssl)`, ignore: !OPENSSL, fn: run });
}

/** Runs `openssl`; throws with what it said when it fails. */
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

function findOpenssl(): boolean {
  try {
    return new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

function exists(url: URL): boolean {
  try {
    return Deno.statSync(url).isDirectory;
  } catch {
    return false;
  }
}
