import { assertEquals, assertMatch } from "@std/assert";
import { finding, FINDINGS } from "../../lib/findings/findings.ts";

Deno.test("every row says what a finding means and what to do, in a line of its own", () => {
  for (const [code, { meaning, advice }] of Object.entries(FINDINGS)) {
    for (const text of [meaning, advice]) assertMatch(text, /^[^\n]*[^\n.]$/, code);
  }
});

Deno.test("a finding has the first severity of its row unless it is given another", () => {
  assertEquals(finding("TOO_LARGE", "m").severity, "error");
  assertEquals(finding("TOO_LARGE", "m", {}, "warning").severity, "warning");
  assertEquals(finding("CERT_WEAK", "m", { entry: 1 }), {
    severity: "warning",
    code: "CERT_WEAK",
    message: "m",
    place: { entry: 1 },
  });
});

Deno.test("docs/findings.md has the rows of the table", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/findings.md", import.meta.url));
  const rows = text.split("\n").filter((line) => line.startsWith("| `"))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
  const expected = Object.entries(FINDINGS).map(([code, row]) => [
    `\`${code}\``,
    row.severities.join(", "),
    row.checks.join(", "),
    row.meaning,
    row.advice,
  ]);
  assertEquals(rows, expected);
});
