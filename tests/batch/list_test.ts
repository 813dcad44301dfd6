/** What a device list may say: names that become files, columns that are nearly others, spreadsheets. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import {
  bulk,
  type BulkOptions,
  countDevices,
  type DeviceRow,
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
  memoryBatch,
  parseManifestCsv,
  parseManifestNdjson,
  readCsvDevices,
  readNdjsonDevices,
} from "../../lib/batch/mod.ts";
import { fileNameOf, foldId, ownerName, paths } from "../../lib/batch/files.ts";
import { createDevelopmentCa, readCertificate, type SecureCertError } from "../../mod.ts";

const MAC = "24:0A:C4:00:01:10";
const issuer = await createDevelopmentCa();

async function make(devices: AsyncIterable<DeviceRow>, options: Partial<BulkOptions> = {}) {
  const batch = memoryBatch();
  const run = bulk(devices, { profile: {}, issuer, ...batch, ...options });
  return { batch, results: await Array.fromAsync(run) };
}

async function problemsOf(rows: Iterable<string>): Promise<string[]> {
  try {
    await make(readCsvDevices(rows));
    return [];
  } catch (error) {
    return (error as SecureCertError).problems.map(({ message }) => message);
  }
}

const rowsOf = (list: AsyncIterable<DeviceRow>) => Array.fromAsync(list);
const problemOf = async (...lines: string[]) => {
  const found = (await rowsOf(readCsvDevices(lines))).find((row) => "problem" in row);
  return found && "problem" in found ? found.problem : undefined;
};

Deno.test("a MAC address names a device, and its files have a name that every system takes", async () => {
  const { batch, results: [result] } = await make(readCsvDevices(["id", MAC]), { labels: true });
  const name = "24-0A-C4-00-01-10";
  assertEquals([...batch.files.all.keys()].sort(), [
    `certificates/${name}.pem`,
    `images/${name}.bin`,
    `labels/${name}.svg`,
    `secret/${name}.key.pem`,
  ]);
  const certificate = readCertificate(batch.files.all.get(`certificates/${name}.pem`)!);
  assertEquals([certificate.subject, result!.row.id], [`CN=${MAC}`, MAC]);
  const label = new TextDecoder().decode(batch.files.all.get(`labels/${name}.svg`)!);
  assertStringIncludes(label, MAC);
  for (const path of Object.values(paths)) assertEquals(ownerName(path(MAC)), fileNameOf(MAC));
});

Deno.test("two ids whose files would have one name are an error with both rows", async () => {
  const pairs = [
    [MAC, MAC.replaceAll(":", "-")],
    [MAC, MAC.toLowerCase()],
    ["a:b", "A-B"],
    ["Straße", "STRASSE"],
    ["gro\u00DF", "GRO\u1E9E"],
    ["caf\u00e9", "CAFE\u0301"],
    ["\u0130x", "i\u0307X"],
    ["\u212Aelvin", "kelvin"],
    ["\u017Fet", "SET"],
    ["\uFB01x", "FIX"],
    ["\u03C3\u03C2", "\u03A3\u03A3"],
    ["\u1F80", "\u1F08\u0399"],
    ["\u1E9B\u0323", "\u1E69"],
    ["\u01C6", "\u01C5"],
  ] as const;
  for (const [first, second] of pairs) {
    assertEquals(foldId(first), foldId(second), `${first} and ${second}`);
    for (const shard of [undefined, { index: 1, count: 2 }]) {
      const list = readCsvDevices(["id", first, "other", second]);
      const error = await make(list, { shard }).catch((error) => error);
      assertStringIncludes(error.message, `${second}: the id is there twice, in rows 1 and 3`);
      assertStringIncludes(error.message, `the files of ${first}`);
    }
  }
  for (const [first, second] of [["a", "b"], ["a:b", "a_b"], ["I", "\u0130"], ["x2", "x\u00B2"]]) {
    assertEquals(foldId(first!) === foldId(second!), false, `${first} and ${second}`);
  }
});

Deno.test("folded names are folded, and a name is that of its own files", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (id) => {
      assertEquals(foldId(foldId(id)), foldId(id));
      assertEquals(foldId(id.normalize("NFD")), foldId(id));
      assertEquals(foldId(fileNameOf(id)), foldId(id));
      assertEquals(foldId(id.toUpperCase()), foldId(id.toLowerCase().toUpperCase()));
    }),
    { seed: 20261127 },
  );
});

Deno.test("a column that is nearly a known one is an error, and others are kept", async () => {
  const slips = {
    subjct: "subject",
    Subjects: "subject",
    "Key mode": "keyMode",
    key_mode: "keyMode",
    keymdoe: "keyMode",
    chips: "chip",
    CHIP: "chip",
    san: "sans",
    user6: "user1",
    user: "user1",
    "e-fuse-key-id": "efuseKeyId",
    efuseKey: "efuseKeyId",
    private_kye: "privateKey",
    certficate: "certificate",
    // The beginning of a name.
    subj: "subject",
    cert: "certificate",
    private: "privateKey",
    efuse: "efuseKeyId",
  };
  for (const [name, meant] of Object.entries(slips)) {
    const problem = `the column "${name}" is not known; did you mean ${meant}?`;
    assertEquals(await problemOf(`id,${name}`, "a,1"), `line 1: ${problem}`);
    const [row] = await rowsOf(readNdjsonDevices([JSON.stringify({ id: "a", [name]: "1" })]));
    assertEquals(row, { problem: `line 1: ${problem}` });
  }
  assertEquals(
    await problemOf("ID,line", "a,1"),
    'line 1: the column "ID" is not known; did you mean id?',
  );
  const kept = ["line", "lot", "ip", "pid", "name", "key", "mode", "project", "chipset", "n"];
  const { results } = await make(readCsvDevices([`id,${kept}`, `a,${kept}`]));
  for (const name of kept) assertEquals(results[0]!.row[name], name);
});

Deno.test("serial is not a column of a list, and the error names id", async () => {
  for (const name of ["serial", "Serial", "SERIAL"]) {
    const problem = await problemOf(`${name},chip`, "a,1");
    assertStringIncludes(problem!, `the column "${name}"`);
    assertStringIncludes(problem!, 'goes into the column "id"');
  }
  assertEquals(await problemOf("id,serialNumber", "a,1"), undefined);
});

Deno.test("what spreadsheets leave after the last column and row is not a device", async () => {
  const lists = [
    ["id;line;;", "a;1;;", "b;2;;", ";;;", ";;;", ""],
    ["sep=;", "id;line", "a;1", "b;2"],
    ["\uFEFFid\tline\t", "a\t1\t", "b\t2"],
  ];
  for (const list of lists) {
    const devices = (await rowsOf(readCsvDevices(list))).map((row) =>
      "device" in row ? row.device : row.problem
    );
    assertEquals(devices, [
      { index: 0, id: "a", fields: { line: "1" } },
      { index: 1, id: "b", fields: { line: "2" } },
    ]);
  }
  assertEquals(await problemOf("id;line;;", "a;1;;", ";;;", "b;2;;"), "line 3: id is empty");
  assertEquals(await problemOf("id;line;;", "a;1;x;"), "line 2: 4 fields, the header has 2");
  assertEquals(await problemOf("id;;line", "a;1;x"), "line 1: a column has no name");
});

Deno.test("a list that cannot be read at all is one problem", async () => {
  const csv: readonly (readonly [readonly string[], string | undefined])[] = [
    [[], "the device list is empty"],
    [["", "\uFEFF", " "], "the device list is empty"],
    [['id,"x', "a,1"], "line 1: quote is not closed"],
    [['id,x"y', "id,z", "a,1"], "line 1: quote within a field without quotes"],
    [["lot,chip", "a,1", "b,2"], "line 1: there is no column id"],
  ];
  const ndjson: typeof csv = [
    [[], "the device list is empty"],
    [["", " "], "the device list is empty"],
    [['[{"id":"a"},{"id":"b"}]'], "line 1: a JSON array, where each line is an object"],
    [["5"], "line 1: not a JSON object"],
    [['{"id":"a","subjct":""}'], 'line 1: the column "subjct" is not known; did you mean subject?'],
  ];
  for (const [read, cases] of [[readCsvDevices, csv], [readNdjsonDevices, ndjson]] as const) {
    for (const [lines, problem] of cases) assertEquals(await rowsOf(read(lines)), [{ problem }]);
  }
});

Deno.test("an id neither begins nor ends with a dot or a blank of any kind", async () => {
  for (const blank of [".", " ", "\u00A0", "\u2003", "\u3000"]) {
    for (const id of [`${blank}a`, `a${blank}`]) {
      const [row] = await rowsOf(readNdjsonDevices([JSON.stringify({ id })]));
      assertStringIncludes(JSON.stringify(row), "begins or ends with a dot or a space");
    }
  }
});

Deno.test("500 equal faults are counted, and the message has the first ten", async () => {
  const rows = Array.from({ length: 500 }, (_, n) => `d${n},esp99`);
  const problems = await problemsOf(["id,chip", ...rows]);
  assertEquals(problems.length, 500);
  const error = await make(readCsvDevices(["id,chip", ...rows])).catch((error) => error);
  assertEquals(error.message.match(/esp99/g)?.length, 10);
  assertEquals(error.message.endsWith("; and 490 more"), true, error.message);
});

Deno.test("memory holds so many problems of a list, and then it is not read any further", async () => {
  let rows = 0;
  function* endless() {
    yield "id";
    for (;; rows++) yield "a/b";
  }
  const problems = await problemsOf(endless());
  assertEquals([problems.length < 110_000, rows < 110_000], [true, true]);
  assertEquals(
    problems.filter((line) => /^the list was read to row \d+ only$/.test(line)).length,
    1,
  );
});

Deno.test("counted devices whose ids would be equal are one problem", () => {
  for (const template of ["x", "{{n}}"]) {
    const rows = [...countDevices(1_000_000, template)];
    const problem = `id template: "${template}" has no {n}, by which ids differ`;
    assertEquals([rows.length, rows[1]], [2, { problem }]);
    assertEquals([...countDevices(1, template)].length, 1);
  }
});

const row = (values: Partial<ManifestRow>): ManifestRow => ({
  id: "a",
  serial: "01",
  fingerprint: "02",
  publicKey: "MA==",
  imageSha256: "03",
  keyMode: "plaintext",
  efuseKeyId: null,
  status: "verified",
  ...values,
});

Deno.test("no cell of a manifest runs in a spreadsheet, and what is read is what was written", () => {
  const texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''-x", "'x", "", "a=b", " =1"];
  for (const text of texts) {
    const columns = ["note", "=evil"];
    const one = row({
      id: text.trim() === text && text !== "" ? text : "a",
      note: text,
      "=evil": text,
    });
    const csv = formatManifestCsvHeader(columns) + formatManifestCsv(one, columns);
    const runs = csv.split(/[\n,]/).filter((cell) => /^"?[=+\-@\t\r]/.test(cell));
    assertEquals(runs, [], text);
    assertEquals(parseManifestCsv(csv), [one]);
    assertEquals(parseManifestNdjson(formatManifestNdjson(one)), [one]);
    assertStringIncludes(formatManifestNdjson(one), JSON.stringify(text));
  }
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.nat(5), (note, efuseKeyId) => {
      const one = row({ note, efuseKeyId });
      const csv = formatManifestCsvHeader(["note"]) + formatManifestCsv(one, ["note"]);
      assertEquals(parseManifestCsv(csv), [one]);
    }),
    { seed: 20261127 },
  );
});

Deno.test("an id that a spreadsheet would run comes back from the manifest as it was", async () => {
  const { results } = await make(readCsvDevices(["id", "-1", "=x", "'@y"]));
  assertEquals(results.map(({ row }) => row.id), ["-1", "=x", "@y"]);
  const cells = results.map(({ row }) => formatManifestCsv(row, []).split(",")[0]!);
  assertEquals(cells, ["'-1", "'=x", "'@y"]);
  const again = await rowsOf(readCsvDevices(["id", ...cells]));
  assertEquals(again.map((row) => "device" in row && row.device.id), ["-1", "=x", "@y"]);
});

Deno.test("a manifest in CSV that is none is refused with its line", () => {
  const header = formatManifestCsvHeader([]);
  const good = formatManifestCsv(row({}), []);
  const cases = [
    ["", "there is no column id in line 1"],
    ["id,serial\n", "there is no column fingerprint in line 1"],
    [`${header}a,b\n`, "it has 2 fields, the header has 8 in line 2"],
    [header + good + good.replace("verified", "done"), "status is neither verified nor failed in"],
    [header + good.replace(/^a/, "a/b"), 'id "a/b" has a character'],
    [`${header}"a\n`, "quote is not closed in line 2"],
    [header + good.replace("plaintext,", "plaintext,x"), "a value is not text in line 2"],
  ] as const;
  for (const [text, message] of cases) {
    let found = "";
    try {
      parseManifestCsv(text);
    } catch (error) {
      found = (error as SecureCertError).message;
    }
    assertStringIncludes(found, message);
  }
});

Deno.test("counted devices may have MAC addresses", () => {
  const [first] = countDevices(1, "24:0A:C4:{n:06}");
  assertEquals(first, { device: { index: 0, id: "24:0A:C4:000001", fields: {} } });
});
