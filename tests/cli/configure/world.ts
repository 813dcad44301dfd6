import { shared, type SharedCase, sharedText } from "../../vectors.ts";
import { MemoryWorld, type Outcome } from "../memory_io.ts";

/** Where configure writes. */
export const IMAGE = "esp_secure_cert_data/esp_secure_cert.bin";
/** Where configure writes what it signed. */
export const SIGNED = "esp_secure_cert_data/esp_secure_cert_signed.bin";

/** Random bytes as they were fixed for the golden images. */
export function fixedRandom(length: number): Uint8Array {
  const first = length === 16 ? 0xA0 : 0x40;
  return new Uint8Array(length).map((_, at) => first + at);
}

/** A file of a case, from its folder or from those of all cases. */
export function caseFile(name: string, file: string): Uint8Array {
  try {
    return shared(`generated/${name}/${file}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return shared(`generated/inputs/${file}`);
  }
}

/** A world with some of the input files. */
export function worldWith(...files: readonly string[]): MemoryWorld {
  const world = new MemoryWorld();
  world.random = fixedRandom;
  for (const file of files) world.put(file, shared(`generated/inputs/${file}`));
  return world;
}

/** Runs `configure` with a case's files and flags. */
export async function runCase(
  { name, args = [], inputs = [] }: SharedCase,
  ...more: readonly string[]
): Promise<{ world: MemoryWorld; outcome: Outcome }> {
  const world = new MemoryWorld();
  world.random = fixedRandom;
  for (const file of inputs) world.put(file, caseFile(name, file));
  return { world, outcome: await world.run("configure", ...args, ...more) };
}

/** A case's image. */
export const expected = (name: string): Uint8Array => shared(`generated/${name}/expected.bin`);

/** A case by its name. */
export function caseNamed(name: string): SharedCase {
  const { cases } = JSON.parse(sharedText("generated/MANIFEST.json")) as { cases: SharedCase[] };
  return cases.find((each) => each.name === name)!;
}
