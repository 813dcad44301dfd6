import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatCsvRecord, readCsv, separatorOf, statedSeparator } from "../../lib/bytes/csv.ts";

Deno.test("what is written is read, with comments and without", () => {
  for (const comments of [true, false]) {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 2 }), (fields) => {
        // A line of blanks is no record, and a byte order mark no part of the first field.
        const record = ["id", ...fields];
        const { records, problems } = readCsv(formatCsvRecord(record, { comments }), { comments });
        assertEquals(problems, []);
        assertEquals(records.map((each) => each.map(({ text }) => text)), [record]);
      }),
      { seed: 20261124 },
    );
  }
});

Deno.test("a field that would begin a comment gets quotes, where there are comments", () => {
  assertEquals(formatCsvRecord(["#1", "a b", " c"]), '"#1",a b," c"\n');
  assertEquals(formatCsvRecord(["#1", 'say "x"'], { comments: false }), '#1,"say ""x"""\n');
});

Deno.test("what a spreadsheet puts between fields shows in the header", () => {
  assertEquals(separatorOf("id;user1", "id"), ";");
  assertEquals(separatorOf('\uFEFF"user1"\t"id"', "id"), "\t");
  assertEquals(separatorOf("id,user;1", "id"), ",");
  assertEquals(separatorOf("id", "id"), ",");
  const { records, problems } = readCsv('a;"b;c"\n1,5;2\n', { separator: ";" });
  assertEquals(problems, []);
  assertEquals(records.map((record) => record.map(({ text }) => text)), [["a", "b;c"], [
    "1,5",
    "2",
  ]]);
});

Deno.test("a first line may say what is between fields, and no other line does", () => {
  const lines = ["sep=;", "\uFEFFsep=;", '"sep=;"', "SEP=;", "sep=; ", "sep=;;;;"];
  for (const line of lines) assertEquals(statedSeparator(line), ";", line);
  assertEquals(["sep=\t", "sep=,"].map(statedSeparator), ["\t", ","]);
  for (const line of ["sep=", "sep=x", "sep=;x", "id;sep=;", '"sep=;', "separator=;", ""]) {
    assertEquals(statedSeparator(line), undefined, line);
  }
});
