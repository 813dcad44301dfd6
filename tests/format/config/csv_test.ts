import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SecureCertError } from "../../../lib/bytes/errors.ts";
import { concat } from "../../../lib/bytes/pack.ts";
import { formatPem } from "../../../lib/bytes/pem.ts";
import {
  CONFIG_COLUMNS,
  type ConfigRow,
  formatConfigCsv,
  formatImageCsv,
  MAX_CONFIG_TEXT,
  parseConfigCsv,
  readConfigCsv,
} from "../../../lib/format/config/csv.ts";
import { configValueBytes } from "../../../lib/format/config/row.ts";
import { decodePartition } from "../../../lib/format/partition.ts";
import { shared, sharedCases, sharedTest, sharedText } from "../../vectors.ts";
import { growsLinearly } from "../../growth.ts";

const SEED = 20261126;
const HEADER = CONFIG_COLUMNS.join(",");
const PEM = formatPem("CERTIFICATE", new Uint8Array(100).map((_, at) => at));

/** The rows after a header. */
const parse = (...lines: string[]) => parseConfigCsv([HEADER, ...lines].join("\n"));
/** The problems of lines after a header, as `line:column message`. */
const problems = (...lines: string[]) =>
  readConfigCsv([HEADER, ...lines].join("\n")).problems
    .map(({ line, column, message }) => `${line}:${column} ${message}`);

Deno.test("a row has its nine columns", () => {
  const text = "ESP_SECURE_CERT_PRIV_KEY_TLV,1,key.pem,file,ecdsa_peripheral,ECDSA,256,5,efuse.bin";
  assertEquals(parse(text), [{
    type: 2,
    subtype: 1,
    dataValue: "key.pem",
    dataType: "file",
    keyMode: "ecdsa-peripheral",
    algorithm: "ECDSA",
    keySize: 256,
    efuseId: 5,
    efuseKey: "efuse.bin",
    line: 2,
  }]);
  assertEquals(parse("51,0,a,string,,,,"), [
    { type: 51, subtype: 0, dataValue: "a", dataType: "string", line: 2 },
  ]);
});

Deno.test("byte order mark, CRLF, comments, blank lines and quotes are taken", () => {
  const lines = [
    '# made by hand, with a " in it',
    HEADER,
    "",
    "  ",
    ",,,,,,,,",
    '51 , 0,"one ""two"", three",string,,,,,',
    '  # ,"',
    '52,0,"line1',
    'line2",string,,,,,',
    "53,0,DE AD be ef,HEX,,,,,",
  ];
  for (const end of ["\n", "\r\n", "\r"]) {
    const rows = parseConfigCsv("\uFEFF" + lines.join(end) + end);
    assertEquals(rows.map(({ type, dataValue, line }) => [type, dataValue, line]), [
      [51, 'one "two", three', 6],
      [52, `line1${end}line2`, 8],
      [53, "DE AD be ef", 10],
    ]);
  }
});

Deno.test("the columns may be in any order", () => {
  const names = CONFIG_COLUMNS.toReversed();
  const text = `${names.join(",")}\n,,,,,string,hello,0,51\n`;
  assertEquals(parseConfigCsv(text).map(({ dataValue }) => dataValue), ["hello"]);
});

Deno.test("values within the row become bytes", () => {
  const bytes = (dataType: ConfigRow["dataType"], dataValue: string, type = 51) =>
    configValueBytes({ type, dataType, dataValue });
  const deadbeef = new Uint8Array([0xDE, 0xAD, 0xBE, 0xEF]);
  assertEquals(bytes("hex", "DE AD\tbeef"), deadbeef);
  assertEquals(bytes("base64", "3q2+\n7w=="), deadbeef);
  assertEquals(bytes("string", "é").toHex(), "c3a9");
  assertEquals(bytes("hex", ""), new Uint8Array());
  for (const wrong of ["D EA D", "ABC", "0x12", "12,34", "-1"]) {
    assertThrows(() => bytes("hex", wrong), SecureCertError);
  }
  for (const wrong of ["3q2+7w", "3q2+7w==AAAA", "3q2-7w=="]) {
    assertThrows(() => bytes("base64", wrong), SecureCertError);
  }
  assertThrows(() => bytes("file", "a.bin"), TypeError);
});

Deno.test("PEM is brought to 64 characters a line, however it was written", () => {
  const forms = [
    PEM,
    PEM.trim(),
    PEM.replaceAll("\n", ""),
    PEM.replaceAll("\n", "\\n"),
    PEM.replaceAll("\n", "\\r\\n"),
    PEM.replaceAll("\n", "\r\n"),
  ];
  const text = (type: number, dataValue: string) =>
    new TextDecoder().decode(configValueBytes({ type, dataValue, dataType: "string" }));
  for (const form of forms) assertEquals(text(1, form), PEM);
  assertEquals(text(0, PEM + PEM.replaceAll("\n", "")), PEM + PEM, "a bundle stays whole");
  assertEquals(text(51, PEM.trim()), PEM.trim(), "user data stays as it is");
  const encrypted = PEM.replace("-----\n", "-----\nDEK-Info: x,y\n\n");
  assertEquals(text(2, encrypted.trim().replaceAll("\n", "\\n")), encrypted);
});

Deno.test("every problem of every row is found at once, with its place", () => {
  assertEquals(
    problems(
      "254,255,a,string,,,,,",
      "255,254,b,string,,,,,",
      "50,0,c,string,,,,,",
      ",,d,text,,,,,",
      "51,0,,file,,,,,",
      "ESP_SECURE_CERT_USER_DATA_1_TLV,0,ABC,hex,,,,,",
      "2,0,k.pem,file,rsa_ds,ECDSA,257,6,",
      "2,1,k.pem,file,,DSA,2048,x,",
      "1,0,c.pem,file,plaintext,,,,",
      "52,0,a",
      "52,0,a,string,,,,,,b",
      '52,0,a"b,string,,,,,',
      '53,0,"a"b,string,,,,,',
      '54,0,"a,string,,,,,',
    ),
    [
      "2:1 tlv_type: 254 is reserved",
      "2:5 tlv_subtype: must be a number from 0 to 253",
      "3:1 tlv_type: 255 is reserved",
      "3:5 tlv_subtype: must be a number from 0 to 253",
      "4:1 tlv_type: 50 is reserved",
      "5:1 tlv_type: missing",
      "5:2 tlv_subtype: missing",
      "5:5 data_type: must be one of file, string, hex, base64",
      "6:6 data_value: missing; an entry without a value is written as empty hex",
      "7:1 tlv_type: same type and subtype as in line 6",
      "7:35 data_value: Cannot decode hex: odd number of digits at 3",
      "8:23 algorithm: rsa_ds is for RSA",
      "8:29 key_size: must be one of 192, 256, 384, 521",
      "8:33 efuse_id: must be a number from 0 to 5",
      "9:16 priv_key_type: a private key needs one of plaintext, rsa_ds, ecdsa_peripheral, " +
      "hmac_encrypted, hmac_derived",
      "9:17 algorithm: must be RSA or ECDSA",
      "9:26 efuse_id: must be a number from 0 to 5",
      "10:16 priv_key_type: only a private key has one",
      "11:1 3 columns, need 9",
      "12:20 more columns than the header has; a value with a comma needs quotes",
      "13:7 quote within a field without quotes",
      "14:9 text after a closing quote",
      "15:1 3 columns, need 9",
      "15:6 quote is not closed",
    ],
  );
});

Deno.test("spaces within the quotes of a string belong to it, others to nothing", () => {
  const values = (line: string) => parse(line)[0]?.dataValue;
  assertEquals(values('51,0,"  padded  ",string,,,,,'), "  padded  ");
  assertEquals(values("51,0,  padded  ,string,,,,,"), "padded");
  assertEquals(values('51,0,"  a.bin  ",file,,,,,'), "a.bin");
});

Deno.test("comments say what the columns cannot, and are written again", () => {
  const lines = [
    "# @image format=tlv size=8192 integrity=none",
    "# @entry raw nul flags=0xff reserved=ffffff padding=00ff",
    "254,255,00,hex,,,,,",
    "# anything else",
    "# @entry raw",
    "254,255,01,hex,,,,,",
    "ESP_SECURE_CERT_USER_DATA_1_TLV,0,a,string,,,,,",
  ];
  const { rows, image, problems: found } = readConfigCsv([HEADER, ...lines].join("\n"));
  assertEquals(found, []);
  assertEquals(image, { format: "tlv", size: 8192, integrity: false });
  assertEquals(rows.map(({ stored }) => stored), [
    {
      raw: true,
      nul: true,
      flags: 0xFF,
      reserved: new Uint8Array([0xFF, 0xFF, 0xFF]),
      padding: new Uint8Array([0, 0xFF]),
    },
    { raw: true },
    undefined,
  ]);
  assertEquals(
    formatImageCsv(rows, image!),
    [HEADER, ...lines.toSpliced(3, 1), ""].join("\n"),
  );
  assertEquals(
    formatConfigCsv([{ ...rows[2]!, dataValue: "a\nb" }], { lineBreak: "\r\n" }),
    `${HEADER}\r\nESP_SECURE_CERT_USER_DATA_1_TLV,0,"a\nb",string,,,,,\r\n`,
  );
});

Deno.test("a comment that says what cannot be is a problem", () => {
  assertEquals(
    problems(
      "# @image format=exe size=99999999999 sha256=00 integrity=yes",
      "# @image",
      "# @entry flags=0x100 reserved=00 padding= raw=1 other",
      "# @entry",
      "51,0,a,string,,,,,",
      "# @entry",
    ),
    [
      "2:1 @image: format has a value that it cannot have",
      "2:1 @image: size has a value that it cannot have",
      "2:1 @image: sha256 has a value that it cannot have",
      "2:1 @image: integrity has a value that it cannot have",
      "3:1 @image: given twice",
      "4:1 @entry: flags has a value that it cannot have",
      "4:1 @entry: reserved has a value that it cannot have",
      "4:1 @entry: padding has a value that it cannot have",
      "4:1 @entry: raw has a value that it cannot have",
      '4:1 @entry: unknown word "other"',
      "5:1 @entry: no row of its own follows",
      "7:1 @entry: no row of its own follows",
    ],
  );
});

Deno.test("DS data, DS context and security configuration may describe their key", () => {
  const [row] = parse("ESP_SECURE_CERT_SEC_CFG_TLV,0,c.bin,file,ecdsa_peripheral,ECDSA,256,2,");
  assertEquals([row?.type, row?.keyMode, row?.efuseId], [6, "ecdsa-peripheral", 2]);
});

Deno.test("a header that lacks, doubles or adds a column is refused", () => {
  const bad = ["", "\n\n", "51,0,a,string,,,,,", `${HEADER},extra`, `${HEADER},tlv_type`];
  for (const text of bad) assertEquals(readConfigCsv(text).problems.length, 1, text);
  const error = assertThrows(() => parseConfigCsv("tlv_type,tlv_subtype"), SecureCertError);
  assertEquals([error.code, error.place.line], ["ERR_CSV", 1]);
  assertEquals(parse(), []);
});

Deno.test("the error lists all problems, and quotes nothing of the text", () => {
  const lines = ["2,0,", ...PEM.split("\n").filter((line) => line), ',string,plaintext,,,,"'];
  const error = assertThrows(() => parse(...lines), SecureCertError);
  assertEquals(error.message.split("; ").length >= 3, true, error.message);
  for (const line of lines.slice(1, -1)) assertEquals(error.message.includes(line), false);
});

Deno.test("names of the host tool are read and written", () => {
  const text = "ESP_SECURE_CERT_ECDSA_KEY_SALT_TLV,0,11,hex,,,,,";
  assertEquals(parse(text)[0]?.type, 5);
  assertEquals(formatConfigCsv(parse(text)), `${HEADER}\n${text}\n`);
});

const printable = fc.string({ maxLength: 40, unit: "grapheme" })
  .map((text) => text.trim()).filter((text) => text !== "");
const anyRow: fc.Arbitrary<ConfigRow> = fc.record({
  type: fc.integer({ min: 0, max: 253 }).filter((type) => type !== 50 && type !== 2),
  subtype: fc.integer({ min: 0, max: 253 }),
}).chain((id) =>
  fc.oneof(
    fc.record({ dataType: fc.constant("file"), dataValue: printable }),
    fc.record({ dataType: fc.constant("string"), dataValue: fc.string({ minLength: 1 }) }),
    fc.record({
      dataType: fc.constant("hex"),
      dataValue: fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.toHex()),
    }),
    fc.record({
      dataType: fc.constant("base64"),
      dataValue: fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => bytes.toBase64()),
    }),
  ).map((value) => ({ ...id, ...value }) as ConfigRow)
);
const anyKeyRow: fc.Arbitrary<ConfigRow> = fc.record({
  type: fc.constant(2),
  subtype: fc.integer({ min: 0, max: 253 }),
  dataType: fc.constant("file" as const),
  dataValue: printable,
  keyMode: fc.constantFrom("plaintext", "hmac-encrypted"),
  algorithm: fc.constant("RSA" as const),
  keySize: fc.constantFrom(1024, 2048, 3072, 4096),
  efuseId: fc.integer({ min: 0, max: 5 }),
  efuseKey: printable,
});

Deno.test("any rows read back as they were written", () => {
  const rows = fc.uniqueArray(fc.oneof(anyRow, anyKeyRow), {
    maxLength: 8,
    selector: ({ type, subtype }) => `${type}.${subtype}`,
  });
  fc.assert(
    fc.property(rows, (rows) => {
      const parsed = parseConfigCsv(formatConfigCsv(rows));
      assertEquals(parsed.map(({ line: _, ...row }) => row), rows);
      assertEquals(formatConfigCsv(parsed), formatConfigCsv(rows));
    }),
    { seed: SEED },
  );
});

Deno.test("rows that would not read back are refused", () => {
  const row = { type: 51, subtype: 0, dataValue: "a", dataType: "string" } as const;
  const bad: ConfigRow[][] = [
    [{ ...row, dataValue: " a", dataType: "file" }],
    [{ ...row, type: 254 }],
    [{ ...row, subtype: 254 }],
    [{ ...row, dataType: "hex" }],
    [row, row],
  ];
  for (const rows of bad) assertThrows(() => formatConfigCsv(rows), RangeError);
  assertEquals(
    formatConfigCsv([{ ...row, type: 1, dataValue: PEM }]).includes("CERTIFICATE"),
    true,
  );
});

Deno.test("any text ends in rows and problems", () => {
  const pieces = fc.array(
    fc.constantFrom(
      ",",
      '"',
      "\n",
      "\r",
      "#",
      HEADER,
      "51",
      "2",
      "hex",
      "file",
      "-----BEGIN A-----",
    ),
    { maxLength: 60 },
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(
      fc.oneof(pieces, fc.string(), pieces.map((text) => `${HEADER}\n${text}`)),
      (text) => {
        const { rows, problems } = readConfigCsv(text);
        if (problems.length === 0) assertEquals(parseConfigCsv(text), rows);
        else assertThrows(() => parseConfigCsv(text), SecureCertError);
      },
    ),
    { seed: SEED, numRuns: 1000 },
  );
});

Deno.test("a long text is read in linear time", async () => {
  for (const unit of ['51,0,"a\n', ","]) {
    const read = (size: number) => {
      const text = `${HEADER}\n${unit.repeat(size)}`;
      return () => readConfigCsv(text);
    };
    assertEquals(await growsLinearly(read, [2000, 32_000]), true, unit);
  }
});

sharedTest("golden CSV files give the values of their images", () => {
  for (const { name, known_bad } of sharedCases("csv")) {
    if (known_bad) continue;
    const rows = parseConfigCsv(sharedText(`generated/${name}/in.csv`));
    const { entries } = decodePartition(shared(`generated/${name}/expected.bin`));
    const mine = entries.slice(0, -1).slice(-rows.length || entries.length);
    assertEquals(
      mine.map(({ type, subtype }) => [type, subtype]),
      rows.map(({ type, subtype }) => [type, subtype]),
      name,
    );
    for (const [at, row] of rows.entries()) {
      // Keys are stored in their traditional encoding, which is not this module's work.
      if (row.dataType === "file" || name === "csv_key_string") continue;
      const bytes = configValueBytes(row);
      const nul = new Uint8Array(row.type < 3 && bytes[0] === 0x2D ? 1 : 0);
      assertEquals(concat(bytes, nul), new Uint8Array(mine[at]!.data), name);
    }
  }
});

sharedTest("what a tool must refuse in a CSV is refused", () => {
  const bad = ["csv_type_254_255", "csv_base64_trailing"];
  const cases = sharedCases("csv-error", "csv")
    .filter(({ name, kind }) =>
      name.includes("csv_") && (kind === "csv-error" || bad.includes(name))
    );
  assertEquals(cases.length, 14);
  for (const { name } of cases) {
    const text = sharedText(`generated/${name}/in.csv`);
    const error = assertThrows(() => parseConfigCsv(text), SecureCertError, "line ", name);
    assertEquals(error.code, "ERR_CSV");
  }
});

sharedTest("published CSV files are read", () => {
  for (
    const path of [
      "esp_secure_cert_config_examples.csv",
      "esp_secure_cert_parsed_data_expected/esp_secure_cert_parsed.csv",
    ]
  ) {
    const rows = parseConfigCsv(sharedText(`espressif/tools/${path}`));
    assertEquals(rows.map(({ type }) => type), [0, 0, 1, 2, 51, 52], path);
    assertEquals(parseConfigCsv(formatConfigCsv(rows)).length, 6);
  }
});

Deno.test("PEM in a row keeps its line break at the end", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  for (const dataValue of [pem, pem.trim(), `\n${pem}\n`]) {
    const row = { type: 1, subtype: 0, dataValue, dataType: "string" } as const;
    assertEquals(parseConfigCsv(formatConfigCsv([row]))[0]?.dataValue, dataValue);
  }
});

Deno.test("a text longer than any partition needs is refused, and of many problems the first are listed", () => {
  const header = `${HEADER}\n`;
  const long = readConfigCsv(header + "# \n".repeat(MAX_CONFIG_TEXT));
  assertEquals(long.rows, []);
  assertStringIncludes(long.problems[0]!.message, "more than 1 MiB");
  for (const line of ["x\n", "# @entry odd\n", 'a"\n']) {
    const { problems } = readConfigCsv(header + line.repeat(2000));
    assertEquals(problems.length, 1001, line);
    assertStringIncludes(problems.at(-1)!.message, "too many problems");
  }
});

Deno.test("comments and rows in their thousands take linear time", async () => {
  const header = `${HEADER}\n`;
  const work = (rows: number) => {
    const lines = Array.from(
      { length: rows },
      (_, at) => `# @entry raw\n51,${at % 200},aa,hex,,,,,\n`,
    );
    return () => readConfigCsv(header + lines.join(""));
  };
  assertEquals(await growsLinearly(work, [500, 16000]), true);
});
