/**
 * Characters that would move a cursor, turn text around, hide it or break its line, in every place from
 * which a command prints text. They come out as `\u` escapes, as JSON and for people.
 */
import { assert, assertEquals } from "@std/assert";
import { parsePem } from "../../lib/bytes/pem.ts";
import {
  encodeNvs,
  encodePartition,
  encodePartitionTable,
  encodeTlv,
  formatConfigCsv,
} from "../../mod.ts";
import { equalBytes } from "../../lib/bytes/pack.ts";
import { derOid, TAG } from "../../lib/crypto/der.ts";
import { derBits, derElement, derInteger, derNull, derOctets, derSequence } from "../der.ts";
import { loadCommands } from "../../lib/cli/commands.ts";
import { assertEscaped, isEscaped, LONG, type Place, repeats, SEEN } from "./hostile.ts";
import { MemoryWorld } from "./memory_io.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string) =>
  new Uint8Array([...Array(text.length).keys()].flatMap((at) => {
    const unit = text.charCodeAt(at);
    return [unit >> 8, unit & 0xFF];
  }));

/** The bytes that a text has in the patched certificates, whatever its encoding. */
const HELD = 160;
/** Holds their place. */
const HOLDER = utf8("Q".repeat(HELD));

/** A text with more after it, of so many bytes. */
function filled(text: string, encode: (text: string) => Uint8Array): Uint8Array {
  const bytes = encode(text);
  const rest = (HELD - bytes.length) / encode(" ").length;
  return new Uint8Array([...bytes, ...encode("b".repeat(rest))]);
}

/** Puts bytes in the place of {@linkcode HOLDER}, and another tag before them and what is between. */
function patch(der: Uint8Array, to: Uint8Array, tag: number, between = 0): Uint8Array {
  const patched = der.slice();
  let count = 0;
  for (let at = 0; at + HELD <= der.length; at++) {
    if (!equalBytes(der.subarray(at, at + HELD), HOLDER)) continue;
    patched.set(to, at);
    // The tag is before a length of two bytes.
    patched[at - between - 3] = tag;
    count++;
  }
  assert(count > 0, "the place is not there");
  return patched;
}

const STRING_TYPES: readonly (readonly [string, number, (text: string) => Uint8Array])[] = [
  ["UTF8String", 0x0C, utf8],
  ["PrintableString", 0x13, utf8],
  ["T61String", 0x14, utf8],
  ["BMPString", 0x1E, utf16],
];

const KEY = "d/device.key.pem";

/** A world with a device and its CA, and with certificates and requests that have a place for texts. */
async function withDevice(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  const held = new TextDecoder().decode(HOLDER);
  const subject = `CN=x,1.2.3.4=${held}`;
  const key = ["--key", KEY];
  const by = (folder: string) => ["--ca", `${folder}/ca.pem`, "--ca-key", `${folder}/ca.key.pem`];
  const lines = [
    ["provision", "--id", "d", "-o", "d", "--data", "user1=string:x"],
    ["ca", "--subject", subject, "-o", "held"],
    ["csr", ...key, "--subject", subject, "-o", "request.pem"],
    ["issue", ...key, "--subject", subject, ...by("ca"), "-o", "subject.pem"],
    ["issue", ...key, "--subject", "CN=x", ...by("held"), "-o", "issuer.pem"],
    ["issue", ...key, "--subject", "CN=x", ...by("ca"), "--san", `uri:a:${held}`, "-o", "san.pem"],
  ];
  for (const line of lines) {
    const { code, stderr } = await world.run(...line);
    assertEquals(code, 0, `${line}: ${stderr}`);
  }
  return world;
}

/** The DER in a PEM file of the world. */
function derOf(world: MemoryWorld, name: string): Uint8Array {
  return parsePem(new TextDecoder().decode(world.bytes(name)))[0]!.bytes;
}

Deno.test("names in certificates and requests are escaped, in any string type and of any kind", async () => {
  const world = await withDevice();
  for (const [type, tag, encode] of STRING_TYPES) {
    for (const name of ["subject", "issuer", "request"]) {
      await assertEscaped({
        name: `${name}, ${type}`,
        hides: "neither",
        lines: (text) => {
          const bytes = patch(derOf(world, `${name}.pem`), filled(text, encode), tag);
          world.put("patched.der", bytes);
          if (name === "request") return [["inspect", "patched.der"]];
          world.put("patched.bin", encodePartition([{ type: 1, data: bytes }]));
          return [
            ["inspect", "patched.der"],
            ["inspect", "patched.bin"],
            ...name === "subject" && type === "UTF8String"
              ? [["inspect", "patched.bin", "patched.bin"], [
                "verify",
                "patched.bin",
                "patched.bin",
              ]]
              : [],
          ];
        },
      }, world);
    }
  }
  for (const [kind, tag] of Object.entries({ email: 0x81, dns: 0x82, uri: 0x86 })) {
    await assertEscaped({
      name: `${kind} name`,
      hides: "neither",
      lines: (text) => {
        const bytes = patch(derOf(world, "san.pem"), filled(text, utf8), tag, "a:".length);
        world.put("patched.der", bytes);
        return [["inspect", "patched.der"]];
      },
    }, world);
  }
});

const CSV_HEAD = formatConfigCsv([]).split("\n")[0]!;
const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** Lines that read a file as what each of them takes: a key, a request, a certificate, an image. */
const readings = (path: string) => [
  ["inspect", path],
  ["verify", path],
  ["diff", path, path],
  ["csr", "--key", path, "--subject", "CN=x", "-o", "o"],
  ["csr", "--key", path, "--password-file", "password", "--subject", "CN=x", "-o", "o"],
  ["build", "--private-key", path, "-o", "o"],
  ["build", "--device-cert", path, "-o", "o"],
  ["issue", "--csr", path, "--ca", path, "--ca-key", path, "-o", "o"],
  ["issue", "--public-key", path, "--subject", "CN=x", "--ca", path, "--ca-key", path, "-o", "o"],
  ["verify", path, "--ca", path],
  ["verify", path, "--hmac-key", path],
  ["sign", path, "--key", path, "-o", "o"],
  ["configure", "--private-key", path, "--skip_flash"],
];

/** A place in a file that any of {@linkcode readings} is given. */
function placeIn(name: string, fileOf: (text: string) => string | Uint8Array): Place<MemoryWorld> {
  return {
    name,
    printedBy: "some or none",
    lines: (text, world) => {
      world.put("password", "x\n");
      world.put("f", fileOf(text));
      return readings("f");
    },
  };
}

const JWK = { kty: "EC", crv: "P-256", d: "AA", x: "AA", y: "AA" };
const RSA_KEY = ["-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"] as const;

/** Texts that keys and certificates have besides their numbers. */
const CREDENTIALS: readonly Place<MemoryWorld>[] = [
  placeIn("PEM label", (text) => `-----BEGIN ${text}-----\nAAAA\n-----END ${text}-----\n`),
  placeIn("PEM label without an end", (text) => `-----BEGIN ${text}-----\nAAAA\n`),
  placeIn("PEM body", (text) => `${RSA_KEY[0]}\n${text}\n${RSA_KEY[1]}\n`),
  placeIn("PEM header", (text) => `${RSA_KEY[0]}\n${text}: ${text}\n\nAAAA\n${RSA_KEY[1]}\n`),
  ...["", "AES-128-CBC,"].map((before) =>
    placeIn(
      `DEK-Info ${before}`,
      (text) =>
        `${RSA_KEY[0]}\nProc-Type: 4,ENCRYPTED\nDEK-Info: ${before}${text}\n\nAAAA\n${
          RSA_KEY[1]
        }\n`,
    )
  ),
  ...[...Object.keys(JWK), "kid", "alg", "use", "key_ops", "n"].map((member) =>
    placeIn(`JWK's ${member}`, (text) => JSON.stringify({ ...JWK, [member]: text }))
  ),
  placeIn("JWK's member", (text) => JSON.stringify({ ...JWK, [text]: text })),
  placeIn("member of JSON with PEM in it", (text) => {
    const pem = RSA_KEY.join("\nAAAA\n");
    return JSON.stringify({ [text]: { [text]: pem }, a: { [text]: pem } });
  }),
  placeIn("text of another kind", (text) => text),
];

const TABLE_CELLS = ["nvs", "data", "nvs", "0x9000", "0x6000", "encrypted"];

/** Where texts of files and arguments come to be printed, besides names in certificates. */
const PLACES: readonly Place<MemoryWorld>[] = [
  ...CREDENTIALS,
  ...["name", "type", "subtype", "offset", "size", "flags"].map((
    field,
    at,
  ): Place<MemoryWorld> => ({
    name: `${field} of a partition table's row`,
    printedBy: "some or none",
    lines: (text, world) => {
      world.put("t.csv", `${TABLE_CELLS.map((cell, each) => each === at ? text : cell).join()}\n`);
      const table = ["--table", "t.csv", "-o", "o"];
      return [
        // As JSON a table has the names that its file has.
        ...field === "name" ? [] : [["inspect", "t.csv"]],
        ["build", "--data", "user1=string:x", ...table],
        ["flash", "x.bin", "--port", "p", "--dry-run", ...table],
      ];
    },
  })),
  ...["file", "hex", "base64", "string"].map((form): Place<MemoryWorld> => ({
    name: `CSV cell data_value, ${form}`,
    printedBy: "some or none",
    lines: (text, world) => {
      world.put(
        "rows.csv",
        `${CSV_HEAD}\n2,0,${quoted(text)},${form},plaintext,,,,${quoted(text)}\n`,
      );
      return [
        ["build", "--csv", "rows.csv", "-o", "o.bin"],
        ["configure", "--esp_secure_cert_csv", "rows.csv", "--skip_flash"],
        ["inspect", "rows.csv"],
      ];
    },
  })),
  {
    name: "comment of a CSV",
    printedBy: "some or none",
    lines: (text, world) => {
      world.put(
        "rows.csv",
        `# @image ${text}\n# @entry ${text}=${text}\n${CSV_HEAD}\n51,0,x,string,,,,,\n`,
      );
      return [["build", "--csv", "rows.csv", "-o", "o.bin"]];
    },
  },
  {
    name: "NVS namespace",
    isRoomy: false,
    lines: (text, world) => {
      const item = { namespace: text, key: "k", type: "u8", value: 1 } as const;
      world.put("n.bin", encodeNvs([item]));
      world.put("m.bin", encodeNvs([{ ...item, value: 2 }]));
      return [["inspect", "n.bin"], ["diff", "n.bin", "m.bin"]];
    },
  },
  {
    name: "NVS key",
    isRoomy: false,
    lines: (text, world) => {
      const items = (value: number) =>
        encodeNvs([{ namespace: "esp_secure_cert", key: text, type: "u8", value }]);
      world.put("n.bin", items(1));
      world.put("m.bin", items(2));
      return [["inspect", "n.bin"], ["diff", "n.bin", "m.bin"]];
    },
  },
  {
    name: "user data",
    // Data with control characters is shown as hex.
    isRoomy: false,
    lines: (text, world) => {
      world.put("u.bin", encodeTlv({ type: 51, data: utf8(text) }));
      return [["inspect", "u.bin"]];
    },
  },
  {
    name: "partition label",
    isRoomy: false,
    lines: (text, world) => {
      const row = { name: text, type: 1, subtype: 2, offset: 0x9000, size: 0x4000 };
      world.put("t.bin", encodePartitionTable([row]));
      return [["inspect", "t.bin"]];
    },
  },
  ...["tlv_type", "tlv_subtype", "data_type", "priv_key_type", "algorithm", "key_size", "efuse_id"]
    .map((column): Place<MemoryWorld> => ({
      name: `CSV cell ${column}`,
      printedBy: "none",
      lines: (text, world) => {
        const names = CSV_HEAD.split(",");
        assert(names.includes(column), CSV_HEAD);
        const good = ["2", "0", "x", "string", "plaintext", "ECDSA", "256", "1", ""];
        const row = names.map((name, at) => name === column ? quoted(text) : good[at]).join(",");
        world.put("rows.csv", `${CSV_HEAD}\n${row}\n`);
        return [
          ["build", "--csv", "rows.csv", "-o", "o.bin"],
          ["configure", "--esp_secure_cert_csv", "rows.csv", "--skip_flash"],
        ];
      },
    })),
  {
    name: "CSV title",
    printedBy: "none",
    lines: (text, world) => {
      world.put("rows.csv", `${CSV_HEAD},${quoted(text)}\n51,0,x,string,,,,,,y\n`);
      return [["build", "--csv", "rows.csv", "-o", "o.bin"]];
    },
  },
  {
    name: "file that a CSV names",
    lines: (text, world) => {
      world.put("rows.csv", `${CSV_HEAD}\n51,0,${quoted(text)},file,,,,,\n`);
      return [["build", "--csv", "rows.csv", "-o", "o.bin"]];
    },
  },
  {
    name: "command, flag or word",
    lines: (text) => [
      [text],
      ["help", text],
      ["bulk", text],
      [text, "--help"],
      ["keygen", text],
      ["keygen", `--${text}`],
      ["keygen", `--${text}=x`],
      ["configure", `--${text}`],
      ["completions", text],
    ],
  },
  {
    name: "file",
    lines: (text) => [
      ["inspect", text],
      ["inspect", text, "x.bin"],
      ["verify", text],
      ["diff", text, "x.bin"],
      ["extract", text, "-o", "x"],
      ["build", "--csv", text, "-o", "x"],
      ["verify", "x.bin", "--ca", text],
      ["configure", "--parse_bin", text],
    ],
  },
  {
    name: "file that is there",
    hides: "neither",
    lines: (text, world) => {
      world.put(text, "x");
      return [
        ["inspect", text, text],
        ["verify", text, text],
        ["issue", "--csr", text, "--ca", text, "--ca-key", text, "-o", "x"],
        ["keygen", "-o", text],
        ["keygen", "-o", "k.pem", "--public", text],
      ];
    },
  },
  {
    name: "value",
    lines: (text) => [
      ["keygen", "--curve", text, "-o", "x"],
      ["keygen", "--bits", text, "-o", "x"],
      ["ca", "--subject", text, "-o", "x"],
      ["ca", "--subject", `${text}=x`, "-o", "x"],
      ["build", "--data", text, "-o", "x"],
      ["verify", "x.bin", "--now", text],
      ["provision", "--id", "x", "--san", text, "-o", "x"],
      ["provision", "--id", "x", "--chip", text, "-o", "x"],
      ["configure", "--target_chip", text],
      ["configure", "--priv_key_algo", text, "256"],
    ],
  },
];

for (const place of PLACES) {
  Deno.test(`text is escaped: ${place.name}`, async () => {
    await assertEscaped(place, new MemoryWorld());
  });
}

Deno.test("text is escaped: names that are made", async () => {
  await assertEscaped({
    name: "subject",
    hides: "neither",
    lines: (text, world) => {
      world.files.clear();
      return [
        ["ca", "--subject", `CN=x,1.2.3.4=${text}`, "-o", "c"],
        ["csr", "--key", "c/ca.key.pem", "--subject", `CN=x,1.2.3.4=${text}`, "-o", "r.pem"],
        ["inspect", "r.pem"],
        ["inspect", "c/ca.pem"],
      ];
    },
  }, new MemoryWorld());
});

Deno.test("whatever flag of whatever command has it, no text goes to a terminal as it is", async () => {
  const world = await withDevice();
  for (const { name, flags, positionals = [] } of await loadCommands()) {
    const word = name.split(" ");
    const lines = [
      ...flags.filter(({ value }) => value !== undefined).map((flag) => [`--${flag.name}`]),
      ...positionals.length > 0 ? [[]] : [],
    ];
    for (const line of lines) {
      for (const text of [LONG, `${SEEN}\nFAKE`]) {
        for (const more of [[], ["--json"]]) {
          const all = [...word, ...line, text, ...more];
          isEscaped(await world.run(...all), JSON.stringify(all));
        }
      }
    }
  }
});

Deno.test("of an object identifier without an end a message has the beginning", async () => {
  const world = new MemoryWorld();
  world.put("password", "x\n");
  const endless = derElement(TAG.oid, new Uint8Array(10_000).fill(0x7F));
  const algorithm = (oid: Uint8Array, ...parameters: Uint8Array[]) =>
    derSequence(oid, ...parameters);
  const pbes2 = derOid("1.2.840.113549.1.5.13");
  const pbkdf2 = (...hash: Uint8Array[]) =>
    algorithm(
      derOid("1.2.840.113549.1.5.12"),
      derSequence(derOctets(new Uint8Array(8)), derInteger(100), ...hash),
    );
  const aes = algorithm(derOid("2.16.840.1.101.3.4.1.2"), derOctets(new Uint8Array(16)));
  const encrypted = (...parts: Uint8Array[]) =>
    derSequence(algorithm(...parts as [Uint8Array]), derOctets(new Uint8Array(16)));
  const sec1 = derSequence(derInteger(1), derOctets(new Uint8Array(32).fill(1)));
  const key = (...parts: Uint8Array[]) =>
    derSequence(derInteger(0), algorithm(...parts as [Uint8Array]), derOctets(sec1));
  const files = {
    scheme: encrypted(endless),
    derivation: encrypted(pbes2, derSequence(algorithm(endless), aes)),
    hash: encrypted(pbes2, derSequence(pbkdf2(algorithm(endless, derNull())), aes)),
    cipher: encrypted(pbes2, derSequence(pbkdf2(), algorithm(endless))),
    algorithm: key(endless),
    curve: key(derOid("1.2.840.10045.2.1"), endless),
    "public key": derSequence(algorithm(endless), derBits(new Uint8Array(33))),
    "public curve": derSequence(
      algorithm(derOid("1.2.840.10045.2.1"), endless),
      derBits(new Uint8Array(66)),
    ),
  };
  let count = 0;
  for (const [name, file] of Object.entries(files)) {
    world.put("f", file);
    for (const line of readings("f")) {
      const { stdout, stderr } = await world.run(...line);
      assert(`${stdout}${stderr}`.length < 2000, `${name}: ${line}: ${stdout}${stderr}`);
      if (stderr.includes("…")) count++;
    }
  }
  // Otherwise the test would show nothing.
  assert(count >= Object.keys(files).length, String(count));
});

Deno.test("of a subject without an end a message has the beginning", async () => {
  const world = new MemoryWorld();
  const subject = `CN=x,1.2.3.4=${"y".repeat(1000)}`;
  await world.run("ca", "--subject", subject, "--days", "1", "-o", "long");
  await world.run("keygen", "-o", "key.pem");
  const ca = ["--ca", "long/ca.pem", "--ca-key", "long/ca.key.pem"];
  const issued = ["issue", "--key", "key.pem", "--subject", subject, "--days", "2", ...ca];
  const { stderr } = await world.run(...issued, "-o", "d.pem");
  const warnings = stderr.split("\n").filter((line) => line.startsWith("warning"));
  assert(
    warnings.length > 0 && !repeats(warnings.join()),
    stderr.slice(0, 2000),
  );
  const data = ["d.pem", "long/ca.pem", "key.pem"].map((name) => world.bytes(name));
  const image = encodePartition([1, 0, 2].map((type, at) => ({ type, data: data[at]! })));
  world.put("i.bin", image);
  await world.run("keygen", "-o", "other.pem");
  const lines = [["i.bin"], ["i.bin", "--now", "2040-01-01"], ["i.bin", "--now", "2001-01-01"]];
  for (const line of lines) {
    const { stdout } = await world.run("verify", ...line, "--json");
    const { findings } = JSON.parse(stdout) as { findings: { message: string }[] };
    assert(findings.length > 0);
    for (const { message } of findings) assert(!repeats(message), message);
  }
  for (const key of ["other.pem", "key.pem"]) {
    const files = ["--device-cert", "d.pem", "--ca-cert", "d.pem", "--private-key", key];
    const { stderr } = await world.run("build", ...files, "-o", "o.bin");
    assert(stderr.includes("…") && stderr.length < 5000, stderr.slice(0, 5000));
  }
});
