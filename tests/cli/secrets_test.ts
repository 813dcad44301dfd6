/** A key in any notation is in nothing that a command prints, fails with or leaves behind. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodePartition, exportPrivateKey, generateKey, type PrivateKey } from "../../mod.ts";
import { formatConfigCsv } from "../../lib/format/config/csv.ts";
import { MemoryWorld } from "./memory_io.ts";

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

/** What of a key must be nowhere: its encodings, and its secret numbers. */
function needles(key: PrivateKey, ...raw: readonly Uint8Array[]): string[] {
  const encodings = (["pkcs8", "traditional"] as const).map((encoding) =>
    exportPrivateKey(key, { encoding, form: "der" })
  );
  // The lines with the secret numbers: those of the public ones are in certificates too.
  const pem = (["pkcs8", "traditional"] as const).flatMap((encoding) => {
    const lines = text(exportPrivateKey(key, { encoding })).trim().split("\n").slice(1, -1);
    if (key.type === "rsa") return lines.slice(-lines.length / 2, -1);
    return lines.slice(...encoding === "pkcs8" ? [1, 2] : [0, 1]);
  });
  return [...pem, ...[...encodings, ...raw].flatMap(notations)].filter(({ length }) =>
    length >= 16
  );
}

function assertNone(secrets: readonly string[], where: string, line: readonly string[]): void {
  const found = secrets.find((secret) => where.includes(secret));
  const at = found === undefined ? 0 : where.indexOf(found);
  assertEquals(found, undefined, `${line[0]}: ${where.slice(Math.max(0, at - 80), at + 20)}`);
}

const MODES: readonly (readonly string[])[] = [
  [],
  ["--type", "rsa"],
  ["--key-mode", "rsa-ds", "--chip", "esp32c3"],
  ["--key-mode", "ecdsa-peripheral", "--chip", "esp32h2"],
  ["--key-mode", "hmac-encrypted", "--chip", "esp32c3"],
  ["--key-mode", "hmac-derived", "--chip", "esp32c3"],
];

Deno.test("no command prints or leaves a key of any mode", async () => {
  const { importPrivateKey } = await import("../../mod.ts");
  for (const mode of MODES) {
    const world = new MemoryWorld();
    const printed: [readonly string[], string][] = [];
    const run = async (...line: readonly string[]) => {
      for (const more of [[], ["--json"]]) {
        const { stdout, stderr } = await world.run(...line, ...more);
        printed.push([line, `${stdout}\n${stderr}`]);
      }
    };
    await run("provision", "--id", "d", "-o", "d", ...mode);
    const key = await importPrivateKey(world.bytes("d/device.key.pem"));
    const hmac = world.files.get("d/hmac_key.bin")?.bytes;
    const ca = await importPrivateKey(world.bytes("ca/ca.key.pem"));
    const secrets = [...needles(key, ...hmac ? [hmac] : []), ...needles(ca)];
    const image = "d/esp_secure_cert.bin";
    const opened = hmac ? ["--hmac-key", "d/hmac_key.bin"] : [];
    const { entries } = await import("../../mod.ts").then(({ decodePartition }) =>
      decodePartition(world.bytes(image))
    );
    const pem = text(world.bytes("d/device.key.pem"));
    for (const flags of [0x40, 0x80, 0xFF]) {
      const flagged = entries.filter(({ type }) => type !== 255)
        .map((entry) => entry.type === 2 ? { ...entry, flags } : entry);
      world.put(`f${flags}.bin`, encodePartition(flagged, { integrity: true }));
    }
    world.put("u.bin", encodePartition([{ type: 51, data: new TextEncoder().encode(pem) }]));
    const row = { type: 2, subtype: 0, keyMode: "plaintext" } as const;
    world.put("row.csv", formatConfigCsv([{ ...row, dataType: "file", dataValue: pem.trim() }]));
    const [header] = formatConfigCsv([]).split("\n");
    world.put("hex.csv", `${header}\n2,0,${key.pkcs8.toHex()}0,hex,plaintext,,,,\n`);
    const images = [image, "f64.bin", "f128.bin", "f255.bin", "u.bin"];
    for (const name of images) {
      for (const flags of [[], opened]) {
        await run("inspect", name, ...flags);
        await run("verify", name, ...flags);
        await run("diff", name, image, ...flags);
        await run("convert", name, "--to", "nvs", ...flags, "-o", `${name}.nvs`);
      }
      await run("extract", name, "-o", `x-${name}`);
      await run("append", name, "--data", "user2=string:x", "-o", `${name}.more`);
      await run("sign", name, "--key", "d/device.key.pem", "-o", `${name}.signed`);
      await run("configure", "--parse_bin", name);
    }
    for (const csv of ["row.csv", "hex.csv"]) {
      await run("build", "--csv", csv, "-o", "b.bin");
      await run("configure", "--esp_secure_cert_csv", csv, "--skip_flash");
    }
    await run("ca", "--subject", "CN=x", "--key", "d/device.key.pem", "-o", "ca2");
    await run("csr", "--key", "d/device.key.pem", "--subject", "CN=x", "-o", "r.csr");
    for (const [line, output] of printed) assertNone(secrets, output, line);
    for (const { path, bytes, secret } of world.files.values()) {
      if (secret || /^(row|hex)\.csv$|^[fu]\d*\.bin$/.test(path)) continue;
      assertNone(secrets, text(bytes), [path]);
    }
  }
});

Deno.test("a key that is typed where something else belongs is not repeated", async () => {
  const key = await generateKey();
  const secrets = needles(key);
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
        assertNone([...secrets, word], stdout + stderr, line);
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
