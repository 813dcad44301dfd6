import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { concat } from "../../lib/bytes/pack.ts";
import {
  ARCHIVE_BLOCK,
  ARCHIVE_END,
  type ArchiveEntry,
  formatArchiveEntry,
  readArchive,
} from "../../lib/batch/archive.ts";
import { indexArchive } from "../../lib/batch/archive_index.ts";

const LONG = `secret/${"é".repeat(40)}/${"n".repeat(90)}.key.pem`;
/** Longer than the fields of a header together, as an id of 200 bytes makes it. */
const LONGER = `secret/${"é".repeat(100)}.key.pem`;
const FILES: readonly (readonly [string, Uint8Array, number])[] = [
  ["images/dev-1.bin", new Uint8Array(512).fill(7), 0o600],
  ["images/empty.bin", new Uint8Array(), 0o644],
  [LONG, new Uint8Array(1000).map((_, at) => at), 0o600],
  [LONGER, new Uint8Array([1, 2, 3]), 0o600],
  ["manifest.csv", new TextEncoder().encode("id\n"), 0o644],
];

function archive(): Uint8Array {
  return concat(
    ...FILES.map(([name, bytes, mode]) => formatArchiveEntry(name, bytes, { mode })),
    ARCHIVE_END,
  );
}

async function index(bytes: Uint8Array, onDamage?: (error: SecureCertError) => void) {
  const readAt = (offset: number, length: number) =>
    Promise.resolve(bytes.subarray(offset, offset + length));
  const entries: ArchiveEntry[] = [];
  const walk = indexArchive(readAt, bytes.length, onDamage);
  for (;;) {
    const step = await walk.next();
    if (step.done) return { entries, ...step.value };
    entries.push(step.value);
  }
}

Deno.test("what goes into an archive comes out of it", () => {
  const found = [...readArchive(archive())];
  assertEquals(found.map(({ name, bytes, mode }) => [name, bytes, mode]), [
    ...FILES.map((e) => [...e]),
  ]);
});

Deno.test("any names and contents survive, with nothing but whole blocks", () => {
  const part = fc.stringMatching(/^[A-Za-z0-9_é-]{1,130}$/);
  const file = fc.record({
    name: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/")),
    bytes: fc.uint8Array({ maxLength: 1500 }),
  });
  fc.assert(
    fc.property(fc.array(file, { maxLength: 5 }), (files) => {
      const whole = concat(
        ...files.map(({ name, bytes }) => formatArchiveEntry(name, bytes)),
        ARCHIVE_END,
      );
      assertEquals(whole.length % ARCHIVE_BLOCK, 0);
      const found = [...readArchive(whole)].map(({ name, bytes }) => ({ name, bytes }));
      assertEquals(found, files.map(({ name, bytes }) => ({ name, bytes: new Uint8Array(bytes) })));
    }),
    { seed: 5, numRuns: 50 },
  );
});

Deno.test("the same file gives the same bytes at any time, and the time given is kept", () => {
  const once = formatArchiveEntry("a", new Uint8Array(3));
  assertEquals(once, formatArchiveEntry("a", new Uint8Array(3)));
  const later = formatArchiveEntry("a", new Uint8Array(3), { mtime: 1_700_000_000 });
  const digits = new TextDecoder().decode(later.subarray(136, 147));
  assertEquals(parseInt(digits, 8), 1_700_000_000);
});

Deno.test("an index reads headers alone and ends where the last whole entry does", async () => {
  const whole = archive();
  const { entries, end, closed } = await index(whole);
  assertEquals(
    entries.map(({ name, size }) => [name, size]),
    FILES.map(([name, { length }]) => [name, length]),
  );
  assertEquals([end, closed], [whole.length - ARCHIVE_END.length, true]);
  for (const { offset, size, name } of entries) {
    const [, bytes] = FILES.find(([each]) => each === name)!;
    assertEquals(whole.subarray(offset, offset + size), bytes);
  }
  const ends = FILES.reduce(
    (sums, [name, bytes]) => [...sums, sums.at(-1)! + formatArchiveEntry(name, bytes).length],
    [0],
  );
  for (let length = 0; length <= end; length++) {
    const cut = await index(whole.subarray(0, length));
    assertEquals(cut.end, ends.findLast((each) => each <= length), `cut at ${length}`);
    assertEquals(cut.closed, false);
  }
});

Deno.test("every truncation and flipped bit of a header is found", async () => {
  const whole = concat(formatArchiveEntry("a", new Uint8Array(600)), ARCHIVE_END);
  for (let length = 1; length < 1536; length++) {
    assertThrows(() => [...readArchive(whole.subarray(0, length))], SecureCertError);
  }
  for (let bit = 0; bit < ARCHIVE_BLOCK * 8; bit++) {
    const bad = whole.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    const error = assertThrows(() => [...readArchive(bad)], SecureCertError);
    assertEquals(["ERR_CHECKSUM", "ERR_MAGIC"].includes(error.code), true, `bit ${bit}`);
    await assertRejects(() => index(bad), SecureCertError);
  }
  const stray = concat(ARCHIVE_END, new Uint8Array([1]));
  assertEquals(
    assertThrows(() => [...readArchive(stray)], SecureCertError).code,
    "ERR_STRAY_BYTES",
  );
});

Deno.test("damage is told once for each part, and what follows it is found again", async () => {
  const whole = archive();
  const all = FILES.map(([name]) => name);
  const second = whole.length - ARCHIVE_END.length - 1024;
  const spoil: readonly (readonly [(bytes: Uint8Array) => void, string, readonly string[]])[] = [
    [(bytes) => bytes[0]! ^= 1, "ERR_CHECKSUM", all.slice(1)],
    [(bytes) => bytes.fill(0, 0, ARCHIVE_BLOCK), "ERR_STRAY_BYTES", all.slice(1)],
    [(bytes) => bytes.fill(0, 1024, 1536), "ERR_STRAY_BYTES", all.toSpliced(1, 1)],
    [(bytes) => bytes.fill(0xFF, second, second + 300), "ERR_MAGIC", all.slice(0, -1)],
    [(bytes) => bytes[whole.length - 1] = 1, "ERR_STRAY_BYTES", all],
  ];
  for (const [act, code, left] of spoil) {
    const bad = whole.slice();
    act(bad);
    const told: string[] = [];
    const { entries } = await index(bad, (error) => void told.push(error.code));
    assertEquals([told, entries.map(({ name }) => name)], [[code], left], act.toString());
    assertEquals((await assertRejects(() => index(bad), SecureCertError)).code, code);
  }
});

Deno.test("names that leave the folder or do not fit are refused", () => {
  const names = ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb"];
  for (const name of [...names, "n".repeat(4097)]) {
    assertThrows(() => formatArchiveEntry(name, new Uint8Array()), RangeError, undefined, name);
  }
  assertThrows(() => formatArchiveEntry("a", new Uint8Array(), { mode: -1 }), RangeError);
  assertThrows(() => formatArchiveEntry("a", new Uint8Array(), { mtime: 1.5 }), RangeError);
  const fits = `${"p".repeat(155)}/${"n".repeat(100)}`;
  assertEquals(formatArchiveEntry(fits, new Uint8Array()).length, ARCHIVE_BLOCK);
  for (const name of [`p${fits}`, `${fits}n`, "n".repeat(101), "n".repeat(4096)]) {
    const [entry] = readArchive(concat(formatArchiveEntry(name, new Uint8Array()), ARCHIVE_END));
    assertEquals(entry?.name, name);
  }
});

const hasTar = has("tar");

Deno.test({
  name: hasTar ? "tar lists and unpacks an archive" : "tar (skipped: no tar)",
  ignore: !hasTar,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeFile(`${folder}/a.tar`, archive());
      const tar = (...args: string[]) => new Deno.Command("tar", { args, cwd: folder }).output();
      const list = await tar("-tf", "a.tar");
      assertEquals(new TextDecoder().decode(list.stderr), "");
      assertEquals((await tar("-xpf", "a.tar")).success, true);
      for (const [name, bytes, mode] of FILES) {
        assertEquals(await Deno.readFile(`${folder}/${name}`), bytes);
        assertEquals(Deno.statSync(`${folder}/${name}`).mode! & 0o777, mode);
      }
      await tar("--format=ustar", "-cf", "b.tar", "images/dev-1.bin", LONG);
      const theirs = [...readArchive(await Deno.readFile(`${folder}/b.tar`))];
      assertEquals(theirs.map(({ name }) => name), ["images/dev-1.bin", LONG]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

function has(program: string): boolean {
  try {
    const args = ["--version"];
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
