/** The rules of the house, as far as a program can see them: floors, circles, and what is where. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
/** From the ground up. */
const FLOORS = [
  "bytes",
  "format",
  "crypto",
  "device",
  "findings",
  "image",
  "key_modes",
  "verify",
  "toolkit",
  "batch",
  "cli",
] as const;
const MOST_IN_A_FOLDER = 25;

interface Source {
  /** Path from the root, with slashes. */
  readonly path: string;
  /** Index of its floor. */
  readonly floor: number;
  /** The text without comments, strings kept. */
  readonly code: string;
}

const sources = FLOORS.flatMap((name, floor) =>
  [...walk(`lib/${name}/`)].map((path): Source => {
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    return { path, floor, code: stripComments(text) };
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

/** What a file imports or re-exports: values and types, dynamic imports too. */
function imports({ code }: Pick<Source, "code">): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)"([^"]+)"/g;
  return [...code.matchAll(pattern)].map(([, specifier]) => specifier!);
}

const resolve = (path: string, specifier: string) =>
  new URL(specifier, new URL(path, ROOT)).pathname.slice(ROOT.pathname.length);

/** The first circle of a graph, as the names along it. */
function findCircle(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): string[] => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name];
    if (done.has(name)) return [];
    for (const next of graph.get(name) ?? []) {
      const circle = visit(next, [...trail, name]);
      if (circle.length > 0) return circle;
    }
    done.add(name);
    return [];
  };
  for (const name of graph.keys()) {
    const circle = visit(name, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

Deno.test("every folder of lib is a floor", () => {
  const folders = [...Deno.readDirSync(new URL("lib/", ROOT))].filter(({ isDirectory }) =>
    isDirectory
  ).map(({ name }) => name);
  assertEquals(folders.toSorted(), [...FLOORS].toSorted());
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

Deno.test("no imports go in a circle, those of types included", () => {
  const graph = new Map(sources.map((source) => [
    source.path,
    imports(source).filter((each) => each.startsWith(".")).map((each) =>
      resolve(source.path, each)
    ),
  ]));
  assertEquals(findCircle(graph), []);
});

Deno.test("no rooms go in a circle: a folder's files import another's, or are imported by them", () => {
  const roomOf = (path: string) => path.slice(0, path.lastIndexOf("/"));
  const graph = new Map<string, string[]>();
  for (const source of sources) {
    const room = roomOf(source.path);
    const others = imports(source).filter((each) => each.startsWith("."))
      .map((each) => roomOf(resolve(source.path, each)))
      // A room and the folders in it are one subject.
      .filter((each) => !`${each}/`.startsWith(`${room}/`) && !`${room}/`.startsWith(`${each}/`));
    graph.set(room, [...graph.get(room) ?? [], ...others]);
  }
  assertEquals(findCircle(graph), []);
});

Deno.test("no folder is a drawer", () => {
  const counts = Map.groupBy(sources, ({ path }) => path.slice(0, path.lastIndexOf("/")));
  for (const [folder, files] of counts) {
    assertEquals(files.length <= MOST_IN_A_FOLDER, true, `${folder} has ${files.length} files`);
  }
});

Deno.test("files of one subject are in a folder, not behind a prefix", () => {
  const folders = Map.groupBy(sources, ({ path }) => path.slice(0, path.lastIndexOf("/")));
  for (const [folder, files] of folders) {
    const stems = files.map(({ path }) => path.slice(folder.length + 1).replace(/\..*$/, ""));
    const prefixes = Map.groupBy(
      stems.filter((stem) => stem.includes("_")),
      (stem) => stem.split("_")[0]!,
    );
    for (const [prefix, named] of prefixes) {
      assertEquals(named.length < 3, true, `${folder}: ${prefix}_ begins ${named.join(", ")}`);
    }
  }
});

Deno.test("what a command takes from lower floors is exported by a public module", async () => {
  const publicNames = new Set([
    ...Object.keys(await import("../mod.ts")),
    ...Object.keys(await import("../lib/batch/mod.ts")),
    ...exportedTypes("mod.ts"),
    ...exportedTypes("lib/batch/mod.ts"),
  ]);
  const missing = sources.filter(({ path }) => path.startsWith("lib/cli/commands/")).flatMap(
    ({ path, code }) => takenFromBelow(path, code).filter((name) => !publicNames.has(name)),
  );
  assertEquals([...new Set(missing)].toSorted(), []);
});

/** Names that a module of re-exports gives, types too. */
function exportedTypes(path: string): string[] {
  const code = stripComments(Deno.readTextFileSync(new URL(path, ROOT)));
  return [...code.matchAll(/\bexport (?:type )?\{([^}]*)\}/g)].flatMap(([, names]) =>
    names!.split(",").map((name) => name.trim().replace(/^type /, "").split(" as ").at(-1)!)
  );
}

/** Names that a file imports from floors below the command line, at once or when it runs. */
function takenFromBelow(path: string, code: string): string[] {
  const patterns = [
    /\bimport (?:type )?\{([^}]*)\}\s*from\s*"([^"]+)"/g,
    /\bconst \{([^}]*)\}\s*=\s*await import\("([^"]+)"\)/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)]).flatMap(
    ([, names, specifier]) => {
      if (!specifier!.startsWith(".") || resolve(path, specifier!).startsWith("lib/cli/")) {
        return [];
      }
      return names!.split(",").map((name) => name.trim().replace(/^type /, "").split(/ as |:/)[0]!)
        .filter((name) => name !== "");
    },
  );
}

Deno.test("what is exported is used by another file", () => {
  const used = new Set<string>();
  const importers = ["examples/", "bench/", "tests/"].flatMap((folder) => [...walk(folder)]);
  for (const path of [...sources.map(({ path }) => path), ...importers, "mod.ts", "cli.ts"]) {
    const code = stripComments(Deno.readTextFileSync(new URL(path, ROOT)));
    for (const { file, name } of importedNames(path, code)) used.add(`${file} ${name}`);
  }
  const unused = sources.filter(({ path }) => !path.endsWith(".d.ts")).flatMap(({ path, code }) =>
    [...code.matchAll(/^export (?:async )?(?:function\*?|const|class) (\w+)/gm)]
      .map(([, name]) => `${path} ${name}`)
  ).filter((each) => !used.has(each) && !used.has(each.replace(/\w+$/, "*")));
  assertEquals(unused, []);
});

/** The names that a file takes from others of the project; a `*` stands for all of them. */
function importedNames(path: string, code: string): { file: string; name: string }[] {
  const lists = [
    /\b(?:import|export) (?:type )?\{([^{}]*)\}\s*from\s*"(\.[^"]+)"/g,
    /\{([^{}]*)\}\s*=\s*await import\(\s*"(\.[^"]+)"/g,
  ].flatMap((pattern) => [...code.matchAll(pattern)]);
  const whole = [
    ...code.matchAll(/\*\s+(?:as \w+\s+)?from\s*"(\.[^"]+)"/g),
    ...code.matchAll(/\bimport\(\s*"(\.[^"]+)"/g),
  ].filter(([, specifier]) => !lists.some((list) => list[2] === specifier));
  return [
    ...lists.flatMap(([, names, specifier]) =>
      names!.split(",").map((name) => ({
        file: resolve(path, specifier!),
        name: name.trim().replace(/^type /, "").split(/ as |:/)[0]!,
      }))
    ),
    ...whole.map(([, specifier]) => ({ file: resolve(path, specifier!), name: "*" })),
  ];
}

Deno.test("tests mirror lib", () => {
  const folders = (root: string): string[] =>
    [...Deno.readDirSync(new URL(root, ROOT))].filter(({ isDirectory }) => isDirectory)
      .flatMap((
        { name },
      ) => [name, ...folders(`${root}${name}/`).map((each) => `${name}/${each}`)]);
  const rooms = new Set(folders("lib/"));
  const others = folders("tests/").filter((folder) =>
    !rooms.has(folder) && !/^(vectors|purity|fuzz)\b/.test(folder)
  );
  assertEquals(others, []);
});

Deno.test("no file is a drawer by its name", () => {
  const found = sources.filter(({ path }) =>
    /(^|[/_])(utils?|helpers?|managers?|misc|common)[_.]/.test(path)
  );
  assertEquals(found.map(({ path }) => path), []);
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

Deno.test("no enum, no default export, classes for errors only", () => {
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
  const code = `import type { a } from "../format/tlv.ts";\nconst b = await import("./b.ts");\n`;
  assertEquals(imports({ code }), ["../format/tlv.ts", "./b.ts"]);
  assertEquals(resolve("lib/bytes/bad.ts", "../format/tlv.ts"), "lib/format/tlv.ts");
  assertEquals(stripComments("a /* Deno.x */ b // console.y").includes("Deno"), false);
  assertEquals(findCircle(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
  assertEquals(findCircle(new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]])), []);
  assertEquals(
    takenFromBelow(
      "lib/cli/commands/x.ts",
      `import { type A, b as c } from "../../format/tlv.ts";`,
    ),
    ["A", "b"],
  );
  assertEquals(importedNames("mod.ts", 'export { a, type B as C } from "./lib/x.ts";'), [
    { file: "lib/x.ts", name: "a" },
    { file: "lib/x.ts", name: "B" },
  ]);
  assertEquals(importedNames("lib/y.ts", 'const { a: b } = await import("./x.ts");'), [
    { file: "lib/x.ts", name: "a" },
  ]);
  const loaded = 'const { build, verify: check } = await import("../../toolkit/build.ts");';
  assertEquals(takenFromBelow("lib/cli/commands/x.ts", loaded), ["build", "verify"]);
});

Deno.test("mod.ts names each file once, in floor order", () => {
  const lines = Deno.readTextFileSync(new URL("mod.ts", ROOT)).split("\n").filter((line) =>
    line.startsWith("export")
  );
  const files = [
    ...Deno.readTextFileSync(new URL("mod.ts", ROOT)).matchAll(
      /from "\.\/lib\/([^"]+)"/g,
    ),
  ].map(([, path]) => path!);
  const floors = files.map((path) => FLOORS.findIndex((name) => path.startsWith(`${name}/`)));
  assertEquals(lines.length > 0 && floors.every((floor) => floor >= 0), true);
  assertEquals(floors, floors.toSorted((a, b) => a - b));
  assertEquals(new Set(files).size, files.length);
});
