/** What is misspelled is answered with what was meant, and other spellings of names are taken. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodeName, encodeSans } from "../../lib/crypto/x509/names.ts";
import { parseBulkProfile } from "../../lib/batch/profile/profile.ts";
import { readConfigCsv } from "../../lib/format/config/csv.ts";
import { parsePartitionCsv } from "../../lib/format/table/csv.ts";
import { build, generateKey, keyModesOf, provision, SecureCertError, verify } from "../../mod.ts";
import { COMMON_FLAGS } from "../../lib/cli/flags.ts";
import { loadCommands } from "../../lib/cli/commands.ts";
import { FINDINGS } from "../../lib/findings/findings.ts";
import { MemoryWorld } from "./memory_io.ts";

/** The message of what a function throws. */
function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
    throw error;
  }
  return "";
}

Deno.test("a misspelled word of a command line is answered with the nearest that there is", async () => {
  const world = new MemoryWorld();
  const lines: readonly (readonly [string, string])[] = [
    ["biuld", "hint: did you mean build?"],
    ["Inspect", "hint: did you mean inspect?"],
    ["bulk stauts", "hint: did you mean bulk status?"],
    ["bulk-verify", "hint: did you mean bulk verify?"],
    ["help verfy", "hint: did you mean verify?"],
    ["nonsense", "hint: run --help for the list of commands"],
    ["build --hmac-kye x", "hint: did you mean --hmac-key?"],
    ["build --hmac_key x", "hint: did you mean --hmac-key?"],
    ["provision --output x", "hint: did you mean --out?"],
    ["build --key x", "hint: did you mean --private-key or --hmac-key?"],
    ["build --cert x", "hint: did you mean --device-cert or --ca-cert?"],
    ["keygen k.pem", "hint: did you mean -o k.pem?"],
    ["append a --data user1=SN-1 -o b", "hint: for text write --data user1=string:…"],
    ["append a", "hint: run append --help"],
    ["append a --ca x", "hint: --ca is a flag of"],
    ["inspect a --show-secret", "hint: did you mean --show-secrets?"],
    ["inspect a --key-mode x", "hint: --key-mode is a flag of provision, build and bulk"],
    ["keygen --zzzzz", "hint: run keygen --help for its flags"],
    ["keygen --curve p265", "hint: did you mean P-256?"],
    ["build --chip esp32c33", "hint: did you mean esp32c3?"],
    ["build --chip c3", "hint: did you mean esp32c3?"],
    ["build --key-mode rsads2", "hint: did you mean rsa-ds?"],
    ["convert a --to cust-flsh", "hint: did you mean cust_flash?"],
    ["bulk export a --to asw", "hint: did you mean aws?"],
    ["completions zhs", "hint: did you mean zsh?"],
    ["configure --device-crt x", "hint: did you mean --device-cert?"],
    ["configure --target_chip esp32-c33", "hint: did you mean esp32c3?"],
    ["build --data usr1=string:x -o a", "hint: did you mean --data user1=string:"],
    ["append a --replace cacert=file:x -o a", "hint: did you mean --replace ca=string:"],
    ["append a --replace cacert= -o a", "it is ca, dev, user1 to user5"],
  ];
  for (const [line, text] of lines) {
    const { code, stderr } = await world.run(...line.split(" "));
    assertEquals(code, 2, line);
    assertStringIncludes(stderr, text, line);
  }
});

Deno.test("names of chips, curves, key modes and layouts are taken in the usual spellings", async () => {
  const world = new MemoryWorld();
  for (const curve of ["P-256", "p256", "P256", "prime256v1", "secp256r1", "SECP256R1"]) {
    const { stderr } = await world.run("keygen", "--curve", curve, "-o", `${curve}.pem`);
    assertStringIncludes(stderr, "P-256 private key", curve);
  }
  for (const curve of ["p384", "secp384r1"]) {
    const { stderr } = await world.run("keygen", "--curve", curve, "-o", `${curve}.pem`);
    assertStringIncludes(stderr, "P-384", curve);
  }
  for (const curve of ["p192", "prime192v1", "secp192r1"]) {
    const { stderr } = await world.run("keygen", "--curve", curve, "-o", `${curve}.pem`);
    assertStringIncludes(stderr, "P-192", curve);
  }
  for (const chip of ["ESP32-C3", "esp32_c3", "ESP32C3"]) {
    const modes = ["--key-mode", "HMAC_DERIVED", "--format", "TLV"];
    const line = ["provision", "--id", "a", "--chip", chip, ...modes, "-o", chip, "--json"];
    const { code, stdout, stderr } = await world.run(...line);
    assertEquals(code, 0, stderr);
    assertEquals(JSON.parse(stdout).efuse.chip, "esp32c3");
  }
});

Deno.test("a profile takes the usual spellings, and says what may be meant", () => {
  const profile = { chip: "ESP32-C3", keyMode: "HMAC_DERIVED", key: { curve: "prime256v1" } };
  assertEquals(parseBulkProfile(JSON.stringify(profile)), {
    chip: "esp32c3",
    keyMode: "hmac-derived",
    key: { curve: "P-256" },
  });
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ kyeMode: "plaintext" }, "did you mean keyMode?"],
    [{ chip: "esp32c33" }, "did you mean esp32c3?"],
    [{ key: { curve: "P-265" } }, "did you mean P-256?"],
    [{ data: [{ type: "usr1", string: "" }] }, "did you mean user1?"],
  ];
  for (const [value, text] of wrong) {
    assertStringIncludes(messageOf(() => parseBulkProfile(JSON.stringify(value))), text);
  }
});

Deno.test("programs may spell chips and curves as people do", async () => {
  const key = await generateKey({ curve: "prime256v1" as "P-256" });
  assertEquals(key.curve, "P-256");
  const chip = "ESP32-C3" as "esp32c3";
  assertEquals(keyModesOf(chip), keyModesOf("esp32c3"));
  const { image, efuse } = await build({ privateKey: key, keyMode: "hmac-encrypted", chip });
  assertEquals(efuse?.plan.chip, "esp32c3");
  assertEquals((await verify(image, { chip })).format, "tlv");
  let message = "";
  try {
    await verify(image, { chip: "esp32c33" as "esp32c3" });
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals(message, 'Unknown chip "esp32c33"; did you mean esp32c3?');
  assertEquals(typeof provision, "function");
});

Deno.test("columns and words of tables that are misspelled are answered with what may be meant", () => {
  const header =
    "tlv_type,tlv_subtyp,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id,efuse_key";
  const messages = (csv: string) =>
    readConfigCsv(csv).problems.map(({ message }) => message).join();
  assertStringIncludes(messages(header), '"tlv_subtyp": did you mean tlv_subtype?');
  const good = header.replace("subtyp,", "subtype,");
  assertStringIncludes(
    messages(`${good}\nDEV_CRT,0,a,string,,,,,`),
    "did you mean dev?",
  );
  const key = "ESP_SECURE_CERT_PRIV_KEY_TLV,0,a,file";
  assertStringIncludes(messages(`${good}\n${key},plaintxt,,,,`), "did you mean plaintext?");
  const table = (row: string) => messageOf(() => parsePartitionCsv(row));
  assertStringIncludes(table("a,daat,nvs,,0x1000,"), "did you mean data?");
  assertStringIncludes(table("a,data,nsv,,0x1000,"), "did you mean nvs?");
  assertStringIncludes(table("a,data,nvs,,0x1000,encryptd"), "did you mean encrypted?");
});

Deno.test("names of subjects are answered with the form that is taken", () => {
  const subjects: readonly (readonly [string, string])[] = [
    ["/CN=x", "write CN=x"],
    ["x", "write CN=NAME"],
    ["/C=DE/O=Example, Inc./CN=a/b", "write C=DE,O=Example\\, Inc.,CN=a/b"],
    ["commonName=x", "did you mean CN?"],
    ["organisation=x", "did you mean O?"],
    ["CM=x", "did you mean CN?"],
    ["email=a@b", "did you mean emailAddress?"],
  ];
  for (const [subject, text] of subjects) {
    assertStringIncludes(messageOf(() => encodeName(subject)), text, subject);
  }
  assertEquals(messageOf(() => encodeName("qq=x")).includes("did you mean"), false);
  const sans: readonly (readonly [string, string])[] = [
    ["dn:x", "did you mean dns:x?"],
    ["url:http://x", "did you mean uri:http://x?"],
    ["device.local", "did you mean dns:device.local?"],
    ["192.0.2.1", "did you mean ip:192.0.2.1?"],
    ["a@example.org", "did you mean email:a@example.org?"],
  ];
  for (const [san, text] of sans) {
    assertStringIncludes(messageOf(() => encodeSans([san])), text, san);
  }
});

Deno.test("a hint names only flags of the command that gives it, or the command that has them", async () => {
  const commands = await loadCommands();
  const flagsOf = (command: string) =>
    [
      ...commands.find(({ name }) => name === command)!.flags,
      ...COMMON_FLAGS,
    ].map(({ name }) => name);
  const misplaced = (text: string, own: string) =>
    [...text.matchAll(/(?:(\w+) )?--([a-z][a-z_-]+)/g)].filter(([, before, flag]) => {
      const owner = commands.some(({ name }) => name === before) ? before! : own;
      return !/^allow-(read|write|run)/.test(flag!) && !flagsOf(owner).includes(flag!);
    }).map(([each]) => `${own}: ${each} in ${text}`);
  const world = new MemoryWorld();
  await world.run("provision", "--id", "a", "-o", "d");
  for (const name of ["text", "empty"]) world.put(name, name === "text" ? "hello" : "");
  world.put("big", new Uint8Array(0x9000));
  const files = [
    "d/esp_secure_cert.bin",
    "d/device.pem",
    "d/device.key.pem",
    "text",
    "empty",
    "big",
  ];
  let count = 0;
  for (const { name, flags, positionals = [] } of commands) {
    const given = positionals.map(() => files[0]!);
    const lines = [
      [],
      ["--nonsens"],
      ["--ca-crt", "x"],
      ...flags.flatMap((flag) =>
        flag.value === undefined ? [] : [
          [`--${flag.name}`],
          [...given, `--${flag.name}`, "zzz", "-o", "x"],
          ...files.map((file) => [...given, `--${flag.name}`, file, "-o", "new"]),
        ]
      ),
      ...files.map((file) => [...positionals.map(() => file), "-o", "text"]),
    ];
    for (const line of lines) {
      const { stderr, stdout } = await world.run(...name.split(" "), ...line);
      const hints = `${stdout}\n${stderr}`.match(/^\s*(hint:|→).*(\n {4}(?!→).*)*/gm) ?? [];
      count += hints.length;
      // Which commands have a flag is said where this one lacks it.
      const others = hints.filter((hint) => !/is a flag of/.test(hint));
      assertEquals(others.flatMap((hint) => misplaced(hint, name)), [], line.join(" "));
    }
  }
  assertEquals(count > 100, true);
  // Any command may print the advice on a finding.
  for (const { advice } of Object.values(FINDINGS)) {
    assertEquals(misplaced(advice, "completions"), []);
  }
});

Deno.test("text in any language is called text, and not taken for a dump of flash", async () => {
  const world = new MemoryWorld();
  world.put("notes.md", "Zürich – 東京 █\n".repeat(5000));
  const { code, stdout, stderr } = await world.run("verify", "notes.md");
  assertEquals(code, 1);
  assertStringIncludes(stdout, "looks like text");
  assertEquals(stderr.includes("hint"), false, stderr);
});
