/** The profile of a batch: its check and its JSON Schema come from one description. */
import { assertEquals, assertThrows } from "@std/assert";
import { bulkProfileProblems, bulkProfileSchema } from "../../lib/batch/profile/profile.ts";
import { parseBulkProfile } from "../../lib/batch/mod.ts";
import { CHIPS, SecureCertError } from "../../mod.ts";
import { KEY_MODES } from "../../lib/format/names.ts";

const SCHEMA = new URL("../../lib/batch/profile.schema.json", import.meta.url);

Deno.test("a profile that is wrong is refused with everything that is", () => {
  const bad = {
    chip: "x",
    days: 0,
    key: { type: "rsa", curve: "P-256" },
    colour: 1,
    usage: [],
    data: [{ type: 51 }, { type: "what", hex: "0" }],
  };
  const { code, problems } = assertThrows(
    () => parseBulkProfile(JSON.stringify(bad)),
    SecureCertError,
  );
  assertEquals([code, problems.length], ["ERR_PLAN", 6]);
  assertThrows(() => parseBulkProfile("{"), SecureCertError, "not JSON");
  assertThrows(() => parseBulkProfile("[]"), SecureCertError, "must be an object");
});

Deno.test("each member is checked as its shape says", () => {
  const one = (name: string, value: unknown) => bulkProfileProblems({ [name]: value })[0];
  const cases: readonly (readonly [string, unknown, string | undefined])[] = [
    ["days", 10, undefined],
    ["days", "forever", undefined],
    ["days", "never", "days: must be a whole number from 1 to 3000000 or must be forever"],
    ["efuseKeyId", 5, undefined],
    ["efuseKeyId", 6, "efuseKeyId: must be a whole number from 0 to 5"],
    ["efuseKeyId", 1.5, "efuseKeyId: must be a whole number from 0 to 5"],
    ["fill", "yes", "fill: must be true or false"],
    ["subject", 1, "subject: must be text"],
    ["sans", "dns:a", "sans: must be a list"],
    ["sans", ["dns:a", 1], "sans: [1]: must be text"],
    ["usage", [], "usage: must not be empty"],
    ["usage", ["server", "x"], "usage: [1]: must be one of server, client"],
    ["signingKeys", ["a", "b", "c", "d"], "signingKeys: must not be more than 3"],
    ["key", { type: "ec", bits: 2048 }, "key: an EC key has no bits"],
    ["key", { type: "ec", size: 1 }, 'key: "size" is not known; there are type, curve, bits'],
    ["key", [], "key: must be an object"],
    ["data", [{ type: "user1", hex: "00 ff" }], undefined],
    ["data", [{ hex: "00" }], "data: [0]: needs type"],
    ["data", [{ type: "user1" }], "data: [0]: needs one of string, hex, base64, file"],
    [
      "data",
      [{ type: 51, hex: "00", string: "x" }],
      "data: [0]: needs one of string, hex, base64, file",
    ],
    [
      "data",
      [{ type: "user9", hex: "00" }],
      "data: [0]: type: is not an entry type; did you mean user1?",
    ],
    [
      "data",
      [{ type: 254, hex: "00" }],
      "data: [0]: type: must be a whole number from 0 to 253 or must be text",
    ],
    ["chip", undefined, undefined],
  ];
  for (const [name, value, problem] of cases) assertEquals(one(name, value), problem);
  assertEquals(one("data", [{ type: 51, hex: "0g" }])?.startsWith("data: [0]: hex: "), true);
});

Deno.test("the schema has the members, the choices and the defaults that the check takes", () => {
  type Member = { readonly enum?: readonly unknown[]; readonly default?: unknown };
  const properties = bulkProfileSchema().properties as Readonly<Record<string, Member>>;
  const [unknown] = bulkProfileProblems({ "?": 1 });
  assertEquals(unknown!.split("there are ")[1]!.split(", "), Object.keys(properties));
  assertEquals(properties.chip!.enum, Object.keys(CHIPS));
  assertEquals(properties.keyMode!.enum, KEY_MODES);
  for (const [name, { enum: choices = [], default: standard }] of Object.entries(properties)) {
    for (const choice of choices) assertEquals(bulkProfileProblems({ [name]: choice }), []);
    assertEquals(bulkProfileProblems({ [name]: standard }), [], name);
  }
});

Deno.test("lib/batch/profile.schema.json is the schema, as deno task schema writes it", async () => {
  const stored = JSON.parse(await Deno.readTextFile(SCHEMA));
  assertEquals(stored, JSON.parse(JSON.stringify(bulkProfileSchema())));
});
