/** The rules of the house, as far as a program can see them. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const FLOORS = ["bytes", "format", "crypto", "provision", "cli"] as const;
const FILE_BUDGET = 250;
const FUNCTION_BUDGET = 60;

interface Source {
  /** Path from the root, with slashes. */
  readonly path: string;
  /** Index of its floor. */
  readonly floor: number;
  readonly text: string;
  /** The text without comments, strings kept. */
  readonly code: string;
}

const sources = FLOORS.flatMap((name, floor) =>
  [...walk(`lib/${name}/`)].map((path): Source => {
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    return { path, floor, text, code: stripComments(text) };
  })
);

function* walk(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
    if (entry.isDirectory) yield* walk(`${folder}${entry.name}/`);
    else if (entry.name.endsWith(".ts")) yield folder + entry.name;
  }
}

function stripComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""))
    .replace(/(^|\s)\/\/.*$/gm, "$1");
}

/** What a file imports or re-exports, dynamic imports too. */
function imports({ code }: Source): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)"([^"]+)"/g;
  return [...code.matchAll(pattern)].map(([, specifier]) => specifier!);
}

const resolve = (path: string, specifier: string) =>
  new URL(specifier, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length);

/** Where functions begin and end: a line that opens one, to the brace that closes it. */
function functionLengths({ code }: Source): { name: string; length: number }[] {
  const lines = code.split("\n");
  const opens =
    /^(\s*)(?:export )?(?:async )?(?:function\*? (\w+)|const (\w+)(?:: [\w<>]+)? = (?:async )?\(.*\)? ?(?:=>)?)/;
  return lines.flatMap((line, start) => {
    const match = opens.exec(line);
    if (match === null) return [];
    const end = lines.findIndex((each, at) => at > start && each.startsWith(`${match[1]}}`));
    return [{ name: match[2] ?? match[3] ?? "", length: end < 0 ? 1 : end - start + 1 }];
  });
}

Deno.test("the floors are there", () => {
  for (const [floor, name] of FLOORS.entries()) {
    assertEquals(sources.some((source) => source.floor === floor), true, name);
  }
});

Deno.test("imports go down or sideways, never up", () => {
  for (const source of sources) {
    for (const specifier of imports(source).filter((each) => each.startsWith("."))) {
      const target = FLOORS.findIndex((name) =>
        resolve(source.path, specifier).startsWith(`lib/${name}/`)
      );
      assertEquals(
        target >= 0 && target <= source.floor,
        true,
        `${source.path} imports ${specifier}`,
      );
    }
  }
});

Deno.test("no imports go in a circle", () => {
  const graph = new Map(sources.map((source) => [
    source.path,
    // A type that is imported alone leaves nothing to run; circles of types are none.
    imports({ ...source, code: source.code.replace(/\bimport type [^;]+;/g, "") })
      .filter((each) => each.startsWith(".")).map((each) => resolve(source.path, each)),
  ]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    assertEquals(trail.includes(path), false, [...trail, path].join(" -> "));
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
});

Deno.test("only the cli floor says Deno or console", () => {
  for (const { path, floor, code } of sources.filter(({ floor }) => FLOORS[floor] !== "cli")) {
    const found = /\b(Deno|console|process|Buffer)\b(?=\s*[.[(])/.exec(code)?.[0];
    assertEquals(found, undefined, `${path} on floor ${floor}`);
  }
});

Deno.test("only a deps.ts names a package", () => {
  for (const source of sources) {
    const packages = imports(source).filter((specifier) => !specifier.startsWith("."));
    if (!source.path.endsWith("/deps.ts")) assertEquals(packages, [], source.path);
    for (const each of packages) {
      assertEquals(
        /^(npm:.+@\d+\.\d+\.\d+(\/|$)|node:)/.test(each),
        true,
        `${source.path}: ${each}`,
      );
    }
  }
});

Deno.test("files and functions keep to their budget", () => {
  for (const source of sources) {
    const lines = source.code.split("\n").filter((line) => line.trim() !== "").length;
    assertEquals(lines <= FILE_BUDGET, true, `${source.path} has ${lines} lines of code`);
    for (const { name, length } of functionLengths(source)) {
      assertEquals(length <= FUNCTION_BUDGET, true, `${source.path}: ${name} has ${length} lines`);
    }
  }
});

Deno.test("no enum, no default export, one class", () => {
  for (const { path, code } of sources.filter(({ path }) => !path.endsWith(".d.ts"))) {
    assertEquals(/^\s*(export\s+)?(const\s+)?enum\b/m.test(code), false, path);
    assertEquals(/^export default\b/m.test(code), false, path);
    assertEquals(
      /^(export )?(abstract )?class\b/m.test(code) && !path.endsWith("errors.ts"),
      false,
      path,
    );
  }
});

Deno.test("the checks of this file see what they look for", () => {
  const bad: Source = {
    path: "lib/bytes/bad.ts",
    floor: 0,
    text: "",
    code: `import { a } from "../format/tlv.ts";\nexport function long() {\n${
      "  a();\n".repeat(70)
    }}\n`,
  };
  assertEquals(imports(bad), ["../format/tlv.ts"]);
  assertEquals(resolve(bad.path, "../format/tlv.ts"), "lib/format/tlv.ts");
  assertEquals(functionLengths(bad), [{ name: "long", length: 72 }]);
  assertEquals(stripComments("a /* Deno.x */ b // console.y").includes("Deno"), false);
});

Deno.test("mod.ts reads as a table of contents: one line a file, in floor order", () => {
  const lines = Deno.readTextFileSync(new URL("mod.ts", ROOT)).split("\n").filter((line) =>
    line.startsWith("export")
  );
  const floors = lines.map((line) => FLOORS.findIndex((name) => line.includes(`"./lib/${name}/`)));
  assertEquals(floors, floors.toSorted((a, b) => a - b));
  assertEquals(lines.every((line) => /;$/.test(line)), true);
  const files = lines.map((line) => /from "([^"]+)"/.exec(line)![1]);
  assertEquals(new Set(files).size, files.length);
});
