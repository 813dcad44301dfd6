/** Lists and configurations as spreadsheets and Windows save them. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { argumentsOf } from "../../lib/cli/command.ts";
import { devicesOf } from "../../lib/cli/batch/device_list.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/csv.ts";
import { decodePartition } from "../../mod.ts";
import { encodedTexts } from "../bytes/encoded.ts";
import { inFolder } from "./batch/batch.ts";
import { MemoryWorld } from "./memory_io.ts";

/** Everything that spreadsheets may do to a table of cells, and its name. */
function spreadsheets(cells: readonly (readonly string[])[]): [name: string, text: string][] {
  const texts: [string, string][] = [];
  for (const separator of [",", ";", "\t"]) {
    const quote = (cell: string) =>
      /[",;\t\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
    const rows = cells.map((row) => row.map(quote).join(separator));
    for (const end of ["\n", "\r\n", "\r"]) {
      const name = JSON.stringify([separator, end]);
      texts.push([name, rows.join(end) + end], [`${name}, open end`, rows.join(end)]);
      texts.push([`${name}, sep=`, [`sep=${separator}`, ...rows].join(end) + end]);
    }
  }
  return texts;
}

Deno.test("a configuration is the same however a spreadsheet saves it", async () => {
  const value = 'a,b;c\td "e"\nf\u20AC';
  const cells = [CONFIG_COLUMNS, ["51", "0", value, "string", "", "", "", "", ""]];
  const world = new MemoryWorld();
  let count = 0;
  for (const [name, text] of spreadsheets(cells)) {
    for (const [encoding, bytes] of encodedTexts(text)) {
      world.put("in.csv", bytes);
      const { code, bytes: image, stderr } = await world.run("build", "--csv", "in.csv", "-o", "-");
      assertEquals(code, 0, `${name}, ${encoding}: ${stderr}`);
      const { data } = decodePartition(image).entries[0]!;
      assertEquals(new TextDecoder().decode(data), value, `${name}, ${encoding}`);
      count++;
    }
  }
  assertEquals(count, 162);
});

Deno.test("an error of a configuration names the line that people see", async () => {
  const world = new MemoryWorld();
  const row = ["51", "0", "zz", "hex", "", "", "", "", ""];
  for (const [first, line] of [["", 2], ["sep=;\r\n", 3], ["\r\n# x\r\n", 4]] as const) {
    const text = first + [CONFIG_COLUMNS, row].map((cells) => cells.join(";")).join("\r\n");
    for (const [encoding, bytes] of encodedTexts(text)) {
      world.put("in.csv", bytes);
      const { code, stderr } = await world.run("build", "--csv", "in.csv", "-o", "x.bin");
      assertEquals(code, 1);
      assertStringIncludes(stderr, `line ${line}:`, `${encoding}: ${stderr}`);
    }
  }
});

Deno.test("a list of devices is the same however a spreadsheet saves it", async () => {
  await inFolder(async (folder) => {
    const note = 'b,c;d\t"e"\nf';
    const devices = [
      { id: "d\u00E9-1", fields: { subject: "CN=a", note } },
      { id: "d2", fields: { subject: "CN=b", note: "" } },
    ];
    const rows = devices.map(({ id, fields }) => [id, fields.subject, fields.note]);
    const list = `${folder}/list.csv`;
    const args = argumentsOf("bulk", [], { devices: [list] });
    for (const [name, text] of spreadsheets([["id", "subject", "note"], ...rows])) {
      for (const [encoding, bytes] of encodedTexts(text)) {
        await Deno.writeFile(list, bytes);
        const found = await Array.fromAsync(devicesOf(args));
        const expected = devices.map((device, index) => ({ device: { index, ...device } }));
        assertEquals(found, expected, `${name}, ${encoding}`);
      }
    }
  });
});

Deno.test("passwords and keys in hex are read in UTF-16 too", async () => {
  const world = new MemoryWorld();
  const make = ["provision", "--id", "d", "--chip", "esp32c3", "--key-mode", "hmac-encrypted"];
  for (const [name, bytes] of encodedTexts("0f".repeat(32) + "\r\n")) {
    world.put("hmac.hex", bytes);
    const made = await world.run(...make, "--hmac-key", "hmac.hex", "-o", name);
    assertEquals(made.code, 0, `${name}: ${made.stderr}`);
    assertEquals(world.bytes(`${name}/hmac_key.bin`), new Uint8Array(32).fill(0x0F));
  }
});

Deno.test("a partition table in UTF-16 is read", async () => {
  const world = new MemoryWorld();
  for (const [name, bytes] of encodedTexts("# Name\r\nnvs, data, nvs, 0x9000, 24K, readonly\r\n")) {
    world.put("table.csv", bytes);
    const { code, stdout } = await world.run("inspect", "table.csv", "--json");
    assertEquals(
      [code, JSON.parse(stdout).partitionTable?.entries[0]?.readonly],
      [0, true],
      name + stdout,
    );
  }
});
