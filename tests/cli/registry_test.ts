/** The commands: each in its file, none forgotten, and all of them quick to load. */
import { assertEquals } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = "lib/cli/commands/";

/** The files of the commands, from the root. */
function commandFiles(): string[] {
  return [...Deno.readDirSync(new URL(FOLDER, ROOT))].map(({ name }) => FOLDER + name);
}

/** The files of this project that a file loads at once, itself included; not those of `import()`. */
function loadedWith(path: string, found = new Set<string>()): Set<string> {
  if (found.has(path)) return found;
  found.add(path);
  const code = Deno.readTextFileSync(new URL(path, ROOT));
  const imports = /^(?:import|export)\s(?!type\b)(?:[^;"]*?\bfrom\s*)?"([^"]+)"/gm;
  for (const [, specifier] of code.matchAll(imports)) {
    if (!specifier!.startsWith(".")) found.add(specifier!);
    else {loadedWith(
        new URL(specifier!, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length),
        found,
      );}
  }
  return found;
}

Deno.test("every file of commands is listed", async () => {
  const registry = await Deno.readTextFile(new URL("lib/cli/commands.ts", ROOT));
  const listed = [...registry.matchAll(/import\("\.\/([^"]+)"\)/g)].map(([, path]) =>
    `lib/cli/${path}`
  );
  assertEquals([...new Set(listed)].toSorted(), commandFiles().toSorted());
});

Deno.test("a command's file loads at once what its flags need, and not what its body needs", () => {
  // The flags of bulk export are those of the services, each declared in its exporter's file.
  const services = /^lib\/(batch\/(export\/|files|manifest)|crypto\/)|^npm:@noble\/hashes@/;
  const heavy = commandFiles().flatMap((path) =>
    [...loadedWith(path)].filter((each) => !/^lib\/(cli|bytes|format)\/|^npm:deno-std@/.test(each))
      .filter((each) => !(path.endsWith("/bulk_export.ts") && services.test(each)))
      .map((each) => `${path} loads ${each}`)
  );
  assertEquals(heavy, []);
  const all = new Set(commandFiles().flatMap((path) => [...loadedWith(path)]));
  assertEquals([...all].filter((each) => /^lib\/cli\/(batch|render\/i)/.test(each)), []);
});

Deno.test("a command has each flag once, and its examples are its own", async () => {
  for (const { name, flags, examples } of await loadCommands()) {
    const names = flags.map(({ name }) => name);
    assertEquals(names.filter((each, at) => names.indexOf(each) !== at), [], name);
    for (const { line } of examples) assertEquals(line.startsWith(name), true, line);
  }
});
