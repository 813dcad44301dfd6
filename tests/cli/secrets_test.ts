/** A key in any notation is in nothing that a command prints, fails with or leaves behind. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  decodePartition,
  encodePartition,
  exportPrivateKey,
  formatConfigCsv,
  generateKey,
  importPrivateKey,
  type PrivateKey,
} from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";
import { assertNone, needlesOf } from "./needles.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Ways to write bytes down. */
function notations(bytes: Uint8Array): string[] {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  return [
    ...["", " ", ":", ", 0x"].flatMap((
      between,
    ) => [hex.join(between), hex.join(between).toUpperCase()]),
    BigInt(`0x${hex.join("")}`).toString(),
    bytes.toBase64(),
    bytes.toBase64({ alphabet: "base64url", omitPadding: true }),
  ];
}

const MODES: readonly (readonly string[])[] = [
  [],
  ["--type", "rsa"],
  ["--key-mode", "rsa-ds", "--chip", "esp32c3"],
  ["--key-mode", "ecdsa-peripheral", "--chip", "esp32h2"],
  ["--key-mode", "hmac-encrypted", "--chip", "esp32c3"],
  ["--key-mode", "hmac-derived", "--chip", "esp32c3"],
];

const HEADER = formatConfigCsv([]).split("\n")[0]!;

/** Command lines for a device in `d`, its CA in `ca`, and what {@linkcode putImages} puts beside them. */
function linesOf(mode: readonly string[], hmac: boolean): readonly (readonly string[])[] {
  const image = "d/esp_secure_cert.bin";
  const key = "d/device.key.pem";
  const opened = hmac ? ["--hmac-key", "d/hmac_key.bin"] : [];
  const images = [image, "f64.bin", "f128.bin", "f255.bin", "u.bin"];
  const chip = mode.includes("--chip") ? [] : ["--chip", "esp32c3"];
  const credentials = ["--device-cert", "d/device.pem", "--ca-cert", "ca/ca.pem"];
  const hide = mode.filter((word) => word !== "--type" && word !== "rsa");
  const ca = ["--ca", "ca/ca.pem", "--ca-key", "ca/ca.key.pem"];
  const encrypted = [image, ...mode.slice(-2), ...chip, "--address", "0xD000"]
    .filter((word) => word !== "--type" && word !== "rsa");
  return [
    ...images.flatMap((name) => [
      ...[[], opened].flatMap((flags) => [
        ["inspect", name, ...flags],
        ["verify", name, ...flags],
        ["diff", name, image],
        ["convert", name, "--to", "nvs", ...flags, "-o", `${name}.nvs`],
      ]),
      ["extract", name, "-o", `x-${name}`],
      ["append", name, "--data", "user2=string:x", "-o", `${name}.more`],
      ["append", name, "--data", `user3=file:${key}`, "-o", `${name}.key`],
      ["sign", name, "--key", "s.pem", "-o", `${name}.signed`],
      ["convert", name, "--to", "tlv", "-o", `${name}.tlv`],
      ["configure", "--parse_bin", name],
    ]),
    ["inspect", key],
    ["inspect", ...images],
    ["verify", ...images],
    ...["row.csv", "hex.csv"].flatMap((csv) => [
      ["build", "--csv", csv, "-o", "b.bin"],
      ["configure", "--esp_secure_cert_csv", csv, "--skip_flash"],
    ]),
    ["build", ...credentials, "--private-key", key, ...hide, ...opened, "-o", "built.bin"],
    ["build", ...credentials, "--private-key", key, "--data", `user1=file:${key}`, "-o", "k.bin"],
    ["build", "--private-key", "ca/ca.key.pem", ...credentials, "-o", "wrong.bin"],
    ["ca", "--subject", "CN=x", "--key", key, "-o", "ca2"],
    ["csr", "--key", key, "--subject", "CN=x", "-o", "r.csr"],
    ["issue", "--csr", "r.csr", ...ca, "-o", "i.pem"],
    ["issue", "--key", key, "--subject", "CN=x", ...ca, "-o", "j.pem"],
    ["issue", "--csr", key, ...ca, "-o", "none.pem"],
    ["encrypt", ...encrypted, "--new-key", "flash.key", "-o", "enc.bin"],
    ["encrypt", ...encrypted, "--key", "d/hmac_key.bin", "-o", "enc2.bin"],
    ["decrypt", "enc.bin", ...encrypted.slice(1), "--key", "flash.key", "-o", "dec.bin"],
    ["decrypt", "enc.bin", ...encrypted.slice(1), "--key", key, "-o", "none.bin"],
    ["inspect", "enc.bin", ...encrypted.slice(1), "--flash-key", "flash.key"],
    ["verify", "enc.bin", ...encrypted.slice(1), "--flash-key", "flash.key"],
  ];
}

/** The image with the key's flags changed, its key as user data, and as cells of a CSV. */
function putImages(world: MemoryWorld, key: PrivateKey): void {
  const { entries } = decodePartition(world.bytes("d/esp_secure_cert.bin"));
  for (const flags of [0x40, 0x80, 0xFF]) {
    const flagged = entries.filter(({ type }) => type !== 255)
      .map((entry) => entry.type === 2 ? { ...entry, flags } : entry);
    world.put(`f${flags}.bin`, encodePartition(flagged, { integrity: true }));
  }
  const pem = text(world.bytes("d/device.key.pem"));
  world.put("u.bin", encodePartition([{ type: 51, data: new TextEncoder().encode(pem) }]));
  const row = { type: 2, subtype: 0, keyMode: "plaintext" } as const;
  world.put("row.csv", formatConfigCsv([{ ...row, dataType: "file", dataValue: pem.trim() }]));
  world.put("hex.csv", `${HEADER}\n2,0,${key.pkcs8.toHex()}0,hex,plaintext,,,,\n`);
}

for (const mode of MODES) {
  Deno.test(`no command prints or leaves a key: ${mode.join(" ") || "plaintext"}`, async () => {
    const world = new MemoryWorld();
    await world.run("keygen", "-o", "s.pem");
    const made = await world.run("provision", "--id", "d", "-o", "d", ...mode);
    assertEquals(made.code, 0, made.stderr);
    const printed: (readonly [line: readonly string[], output: string])[] = [
      [["provision"], made.stdout + made.stderr],
    ];
    const key = await importPrivateKey(world.bytes("d/device.key.pem"));
    const others = await Promise.all(
      ["ca/ca.key.pem", "s.pem"].map((path) => importPrivateKey(world.bytes(path))),
    );
    const hmac = world.files.get("d/hmac_key.bin")?.bytes;
    putImages(world, key);
    const good = new Set<string>();
    for (const line of linesOf(mode, hmac !== undefined)) {
      for (const more of [[], ["--json"]]) {
        const { code, stdout, stderr } = await world.run(...line, ...more);
        if (code === 0) good.add(line[0]!);
        printed.push([line, `${stdout}\n${stderr}`]);
      }
    }
    const flashKey = world.bytes("flash.key");
    const needles = needlesOf(key, ...others, flashKey, ...hmac === undefined ? [] : [hmac]);
    // Otherwise the test would show nothing.
    const done = ["build", "issue", "encrypt", "decrypt", "append", "convert", "sign", "extract"];
    assertEquals(done.filter((name) => !good.has(name)), []);
    for (const [line, output] of printed) assertNone(needles, output, line.join(" "));
    for (const { path, bytes, secret } of world.files.values()) {
      if (secret || /^(row|hex)\.csv$|^[fu]\d*\.bin$/.test(path)) continue;
      assertNone(needles, bytes, path);
    }
  });
}

Deno.test("a key that is typed where something else belongs is not repeated", async () => {
  const key = await generateKey();
  const secrets = needlesOf(key);
  const typed = [
    text(exportPrivateKey(key)),
    ...notations(exportPrivateKey(key, { form: "der" })),
    ...notations(crypto.getRandomValues(new Uint8Array(32))),
  ];
  const lines = (word: string): readonly (readonly string[])[] => [
    [word],
    ["help", word],
    ["keygen", word],
    ["keygen", `--${word}`],
    ["keygen", `--nothing=${word}`],
    ["keygen", `--curve=${word}`],
    ["keygen", "--bits", word],
    ["inspect", word],
    ["inspect", "x", word],
    ["inspect", "i.bin", "--offset", word],
    ["verify", "i.bin", "--hmac-key", word],
    ["verify", "i.bin", `--hmac-key=${word}`],
    ["verify", "i.bin", "--ca", word],
    ["verify", "i.bin", "--now", word],
    ["verify", "i.bin", "--chip", word],
    ["build", "--private-key", word, "-o", "o"],
    ["build", "--private-key", "k.pem", "--password-file", word, "-o", "o"],
    ["build", "--csv", word, "-o", "o"],
    ["build", "--data", word, "-o", "o"],
    ["build", "--data", `user9=hex:${word}`, "-o", "o"],
    ["build", "--data", `user1=file:${word}`, "-o", "o"],
    ["csr", "--key", word, "--subject", "CN=x"],
    ["csr", "--key", "k.pem", "--subject", word],
    ["csr", "--key", "k.pem", "--subject", "CN=x", "--san", word],
    ["issue", "--csr", word, "--ca", word, "--ca-key", word, "-o", "o"],
    ["sign", "i.bin", "--key", word, "-o", "o"],
    ["convert", "i.bin", "--to", word, "-o", "o"],
    ["diff", "i.bin", word],
    ["append", "i.bin", "--replace", word, "-o", "o"],
    ["completions", word],
    ["configure", word],
    ["configure", `--${word}`],
    ["configure", "--private-key", word],
    ["configure", "--efuse_key_id", word],
    ["configure", "--target_chip", word],
    ["configure", "--sec_cert_part_offset", word],
    ["configure", "--priv_key_algo", word, word],
    ["bulk", "--count", word, "-o", "b"],
    ["bulk", "--count", "1", "--shard", word, "-o", "b"],
  ];
  const world = new MemoryWorld();
  world.put("i.bin", "no image");
  world.put("k.pem", exportPrivateKey(key));
  for (const word of typed) {
    for (const line of lines(word)) {
      for (const more of [[], ["--json"]]) {
        const { code, stdout, stderr } = await world.run(...line, ...more);
        assertEquals(code === 0, false, line.join(" "));
        assertNone(secrets, stdout + stderr, line.join(" "));
        assertEquals((stdout + stderr).includes(word), false, line.join(" "));
      }
    }
  }
});

Deno.test("a missing file of a key or password flag has no name", async () => {
  const world = new MemoryWorld();
  await world.run("keygen", "-o", "k.pem");
  await world.run("provision", "--id", "d", "-o", "d");
  const word = "hunter2";
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ["--password-file", [
      "csr",
      "--key",
      "k.pem",
      "--subject",
      "CN=x",
      "--password-file",
      word,
      "-o",
      "o",
    ]],
    ["--key", ["csr", "--key", word, "--subject", "CN=x", "-o", "o"]],
    ["--hmac-key", ["verify", "d/esp_secure_cert.bin", "--hmac-key", word]],
    ["--private-key", ["build", "--private-key", word, "-o", "o"]],
    ["--ca-key", [
      "issue",
      "--key",
      "k.pem",
      "--subject",
      "CN=x",
      "--ca",
      "ca/ca.pem",
      "--ca-key",
      word,
      "-o",
      "o",
    ]],
    ["--issuer-key", [
      "ca",
      "--subject",
      "CN=x",
      "--issuer",
      "ca/ca.pem",
      "--issuer-key",
      word,
      "-o",
      "c",
    ]],
    ["--key", ["sign", "d/esp_secure_cert.bin", "--key", word, "-o", "o"]],
  ];
  for (const [flag, line] of lines) {
    for (const more of [[], ["--json"]]) {
      const { code, stdout, stderr } = await world.run(...line, ...more);
      assertEquals([code, (stdout + stderr).includes(word)], [1, false], stderr);
      assertStringIncludes(stderr, `Cannot read the file of ${flag}: no such file`);
    }
  }
});
