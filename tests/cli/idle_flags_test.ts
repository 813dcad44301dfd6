/** A flag has an effect or is refused: every flag of every command, in every way to use the command. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { Flag, NamedCommand } from "../../lib/cli/command.ts";
import { loadCommands } from "../../lib/cli/commands.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { importPrivateKey, readCertificate, signingDigest } from "../../mod.ts";
import { MemoryWorld, type Outcome } from "./memory_io.ts";

const ISSUER = "--ca ca/ca.pem --ca-key ca/ca.key.pem";
const FLASH = "--chip esp32c3 --address 0xD000";
const IMAGE = "d/esp_secure_cert.bin";
const CERTIFIED = "--device-cert ec.crt.pem --ca-cert ca/ca.pem";
/** Nothing listens there. */
const SERVER = "127.0.0.1:1";

/** Ways to use each command; RSA keys, which take their time, are made in none. */
const WAYS: Readonly<Record<string, readonly string[]>> = {
  "keygen": ["-o new.pem"],
  "ca": [
    "--subject CN=x -o new",
    "--subject CN=x --key ec.pem -o new",
    "--subject CN=x --issuer ca/ca.pem --issuer-key ca/ca.key.pem -o new",
  ],
  "csr": ["--key ec.pem --subject CN=x -o new.csr"],
  "issue": [
    `--csr ec.csr ${ISSUER} -o new.pem`,
    `--key ec.pem --subject CN=x ${ISSUER} -o new.pem`,
    `--public-key ec.pub.pem --subject CN=x ${ISSUER} -o new.pem`,
  ],
  "provision": [
    "--id x --ca ca -o new",
    "--id x --ca empty -o new",
    "--id x --ca ca --chip esp32h2 --key-mode ecdsa-peripheral -o new",
    "--id x --ca ca --chip esp32c3 --key-mode hmac-encrypted -o new",
    "--id x --ca ca --chip esp32c3 --key-mode hmac-derived -o new",
    "--id x --ca ca --format nvs -o new",
    "--id x --ca ca --format cust_flash -o new",
  ],
  "build": [
    `${CERTIFIED} --private-key ec.pem -o new.bin`,
    `${CERTIFIED} --private-key ec.pem --format nvs -o new.bin`,
    `${CERTIFIED} --private-key ec.pem --format cust_flash -o new.bin`,
    "--ca-cert ca/ca.pem -o new.bin",
    "--device-cert rsa.crt.pem --private-key rsa.pem --chip esp32c3 --key-mode rsa-ds -o new.bin",
    `${CERTIFIED} --private-key ec.pem --chip esp32h2 --key-mode ecdsa-peripheral -o new.bin`,
    `${CERTIFIED} --chip esp32h2 --key-mode ecdsa-peripheral -o new.bin`,
    `${CERTIFIED} --private-key ec.pem --chip esp32c3 --key-mode hmac-encrypted -o new.bin`,
    "--chip esp32c3 --key-mode hmac-derived -o new.bin",
    "--csv plain.csv -o new.bin",
    "--csv keyless.csv -o new.bin",
    "--csv hmac.csv --chip esp32c3 -o new.bin",
  ],
  "convert": [
    `${IMAGE} --to nvs -o new.bin`,
    `${IMAGE} --to cust_flash -o new.bin`,
    `${IMAGE} --to tlv -o new.bin`,
    `${IMAGE} second.bin --to tlv -o new`,
  ],
  "inspect": [
    "h/esp_secure_cert.bin",
    `${IMAGE} second.bin`,
    `enc.bin --flash-key flash.key ${FLASH}`,
  ],
  "verify": [
    "h/esp_secure_cert.bin",
    `${IMAGE} second.bin`,
    `enc.bin --flash-key flash.key ${FLASH}`,
  ],
  "connect": [`${IMAGE} ${SERVER}`, `${IMAGE} ${SERVER} --protocol mqtt`],
  "serve": [
    "--client-ca missing.pem",
    "--client-ca missing.pem --server-cert ec.crt.pem --server-key ec.pem",
  ],
  "sign": [
    `${IMAGE} --key ec.pem -o new.bin`,
    `${IMAGE} --digest`,
    `${IMAGE} --digest --public-key ec.pub.pem -o new.bin`,
    `${IMAGE} --signature answer.sig --public-key ec.pub.pem -o new.bin`,
  ],
  "append": [
    "open.bin --data user1=string:x -o new.bin",
    "open.bin --integrity -o new.bin",
    "signed.bin --drop-signatures -o new.bin",
    "open.bin --replace dev=file:ec.crt.pem -o new.bin",
    "open.bin second.bin --data user1=string:x -o new",
  ],
  "diff": [`${IMAGE} h/esp_secure_cert.bin`],
  "extract": [`${IMAGE} -o new`],
  "encrypt": [
    `${IMAGE} ${FLASH} --key flash.key -o new.bin`,
    `${IMAGE} ${FLASH} --new-key new.key -o new.bin`,
    `${IMAGE} --chip esp32 --address 0xD000 --key flash.key -o new.bin`,
  ],
  "decrypt": [`enc.bin ${FLASH} --key flash.key -o new.bin`],
  "chips": [""],
};

/** A value of each flag that takes any, other than what holds without the flag. */
const VALUES: Readonly<Record<string, string>> = {
  "address": "0x100",
  "alpn": "x",
  "answer-timeout": "9",
  "ca-cert": "other/ca.pem",
  "ca-command": "none",
  "ca-key": "other/ca.key.pem",
  "client-id": "x",
  "config": "3",
  "csr": "ec.csr",
  "csv": "plain.csv",
  "data": "user2=string:more",
  "days": "5",
  "device-cert": "rsa.crt.pem",
  "efuse-key-id": "3",
  "expires-within": "9999",
  "flash-key": "flash.key",
  "hmac-key": "hmac.bin",
  "issuer": "other/ca.pem",
  "issuer-key": "other/ca.key.pem",
  "key": "ec384.pem",
  "listen": "127.0.0.1:99999",
  "new-key": "new.key",
  "now": "2099-01-01",
  "offset": "0x10",
  "out": "elsewhere",
  "password-file": "password.txt",
  "path-length": "3",
  "private-key": "rsa.pem",
  "public": "new.pub",
  "public-key": "rsa.pub.pem",
  "replace": "ca=file:other/ca.pem",
  "salt": "old_salt.bin",
  "san": "dns:x.example",
  "server-ca": "missing.pem",
  "server-cert": "ec.crt.pem",
  "server-key": "ec.pem",
  "server-name": "x",
  "signature": "answer.sig",
  "signing-key": "ec.pub.pem",
  "size": "0x400",
  "subject": "CN=other",
  "table": "table.csv",
  "table-offset": "0x10",
  "timeout": "1",
};

/** Flags whose effect depends on what is in a file, or on what fails, and what they are for. */
const AS_NEEDED: Readonly<Record<string, string>> = {
  "allow-weak": "allows a weak key",
  "drop-signatures": "allows signatures to go",
  "force": "allows a file to be replaced",
  "force-key": "allows a key to be replaced",
  "no-verify": "allows a bad image",
  "integrity": "adds an entry that is there anyway where the image had one",
  "password-file": "opens a key that has a password",
  "hmac-key": "opens entries that need it",
  "table-offset": "finds the image in a dump",
  "show-secrets": "shows keys, where there are any",
  "color": "colours a terminal",
  "chip": "adds rules of the chip, which an image may keep",
  "size": "says how much room there is",
  "timeout": "says how long to wait",
};

/** Commands that find a difference, or no server. */
const FAILING = ["diff", "connect", "serve"];

/** Flags that show only when the two sides meet. */
const ONLINE: Readonly<Record<string, readonly string[]>> = {
  connect: ["protocol", "server-name", "alpn", "client-id", "private-key"],
  serve: ["once", "out"],
};

/** The files that the lines above name; nothing changes them. */
let made: Promise<MemoryWorld> | undefined;

async function fixtures(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  for (const [name, size] of [["hmac.bin", 32], ["old_salt.bin", 32], ["flash.key", 32]] as const) {
    world.put(name, new Uint8Array(size).fill(name.length));
  }
  world.put("password.txt", "secret\n");
  const lines = [
    "ca --subject CN=Root -o ca",
    "ca --subject CN=Other -o other",
    "provision --id a --ca ca -o d",
    "provision --id b --ca ca -o e",
    "provision --id h --ca ca --chip esp32c3 --key-mode hmac-encrypted --hmac-key hmac.bin -o h",
    "keygen --type rsa -o rsa.pem --public rsa.pub.pem",
    "keygen -o ec.pem --public ec.pub.pem",
    "keygen --curve P-384 -o ec384.pem",
    `issue --key rsa.pem --subject CN=r ${ISSUER} -o rsa.crt.pem`,
    `issue --key ec.pem --subject CN=e ${ISSUER} -o ec.crt.pem`,
    "csr --key ec.pem --subject CN=e -o ec.csr",
    `sign ${IMAGE} --key ec.pem -o signed.bin`,
    `build ${CERTIFIED} --private-key ec.pem --no-integrity -o open.bin`,
    `encrypt ${IMAGE} ${FLASH} --key flash.key -o enc.bin`,
  ];
  for (const line of lines) {
    const { code, stderr } = await world.run(...line.split(" "));
    assertEquals(code, 0, `${line}: ${stderr}`);
  }
  world.put("second.bin", world.bytes("e/esp_secure_cert.bin"));
  world.put("answer.sig", await answerOf(world));
  const certificates = [
    "ESP_SECURE_CERT_CA_CERT_TLV,0,ca/ca.pem,file,,,,,",
    "ESP_SECURE_CERT_DEV_CERT_TLV,0,ec.crt.pem,file,,,,,",
  ];
  const key = (rest: string) => [`ESP_SECURE_CERT_PRIV_KEY_TLV,0,ec.pem,file,${rest}`];
  const rows = {
    "plain.csv": key("plaintext,,,,"),
    "hmac.csv": key("hmac-encrypted,,,1,"),
    "keyless.csv": [],
  };
  for (const [name, own] of Object.entries(rows)) {
    world.put(name, [CONFIG_COLUMNS.join(), ...certificates, ...own, ""].join("\n"));
  }
  world.put("table.csv", "esp_secure_cert,0x3F,,0x12000,0x2000,\n");
  return world;
}

/** What an external signer with the key ec.pem answers. */
async function answerOf(world: MemoryWorld): Promise<Uint8Array> {
  const { message } = await signingDigest(world.bytes(IMAGE));
  const { pkcs8 } = await importPrivateKey(world.bytes("ec.pem"));
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign(algorithm, key, message));
}

/** What a command does, and all of that as text. */
interface Seen extends Outcome {
  readonly text: string;
}

/** Basic constraints and extended key usage, which inspect does not show. */
const EXTENSIONS = /0603551d(?:13|25).{36}/g;

/**
 * Runs a command in a copy of a world: what is printed, and what is in the files that are written.
 *
 * @param isSame Whether the same line does the same each time; else keys, serial numbers, signatures and
 * times are left out.
 */
async function seen(world: MemoryWorld, words: readonly string[], isSame: boolean): Promise<Seen> {
  const copy = new MemoryWorld();
  for (const [path, file] of world.files) copy.files.set(path, file);
  const outcome = await copy.run(...words);
  const written = [...copy.files].filter(([path, file]) => world.files.get(path) !== file);
  const files = written.map(([path, { bytes }]) =>
    isSame ? Promise.resolve(`${path} ${bytes.toHex()}`) : shownFile(path, bytes, copy)
  );
  const { code, stdout, stderr } = outcome;
  const text = [code, stdout, stderr, ...await Promise.all(files)].join("\n");
  return { ...outcome, text: isSame ? text : withoutChance(text) };
}

async function shownFile(path: string, bytes: Uint8Array, world: MemoryWorld): Promise<string> {
  const { stdout } = await world.run("inspect", path, "--json");
  const [label] = /BEGIN [A-Z ]+/.exec(new TextDecoder().decode(bytes)) ?? [];
  const extensions = label === "BEGIN CERTIFICATE"
    ? readCertificate(bytes).der.toHex().match(EXTENSIONS) ?? []
    : [];
  const spaced = extensions.map((each) => each.match(/../g)!.join(" "));
  return [path, label ?? `${bytes.length} bytes`, stdout, ...spaced].join("\n");
}

/** Without what is another each time: ECDSA signatures in DER have various lengths. */
function withoutChance(text: string): string {
  return text.replace(/\b(0x)?[0-9a-f]{7,}\b/gi, "#")
    .replace(/\d\d:\d\d:\d\d(\.\d+)?/g, "#")
    .replace(/("(offset|size|used|length)": |(at|\() ?)(0x)?(?!8192)[0-9a-f]{3,4}\b/g, "$1#")
    .replace(/\b(?!8192)\d{3,4} bytes/g, "# bytes");
}

/** What a flag may be given: each of its choices, or one value. */
function givenForms({ name: command }: NamedCommand, flag: Flag): readonly string[][] {
  if (flag.value === undefined) return [[`--${flag.name}`]];
  const ca = command === "provision" ? "other" : "other/ca.pem";
  // One RSA key that takes its time is enough.
  const choices = flag.choices?.includes("3072") ? ["3072"] : flag.choices;
  const values = choices ?? [flag.name === "ca" ? ca : VALUES[flag.name]];
  return values.map((value) => {
    if (value === undefined) throw new Error(`no value for --${flag.name}`);
    return [`--${flag.name}`, value];
  });
}

for (const [name, ways] of Object.entries(WAYS)) {
  Deno.test(`every flag of ${name} has an effect or is refused`, async () => {
    const world = await (made ??= fixtures());
    const command = (await loadCommands()).find((each) => each.name === name)!;
    const idle: string[] = [];
    for (const way of ways) {
      const line = [name, ...way.split(" ").filter((word) => word !== "")];
      const isGiven = ({ name, short }: Flag) =>
        line.includes(`--${name}`) || line.includes(`-${short}`);
      const isSame = (await seen(world, line, true)).text === (await seen(world, line, true)).text;
      const base = await seen(world, line, isSame);
      assertEquals((await seen(world, line, isSame)).text, base.text);
      assertEquals(base.code, FAILING.includes(name) ? 1 : 0, base.stderr);
      for (const flag of command.flags.filter((flag) => !isGiven(flag))) {
        let hasEffect = false;
        for (const given of givenForms(command, flag)) {
          const { code, text, stderr } = await seen(world, [...line, ...given], isSame);
          hasEffect ||= text !== base.text;
          const isNamed = stderr.includes(flag.name) || stderr.includes(`-${flag.short} `);
          assertEquals(code !== 2 || isNamed, true, `${[...line, ...given].join(" ")}: ${stderr}`);
        }
        if (hasEffect || flag.name in AS_NEEDED) continue;
        if (ONLINE[name]?.includes(flag.name)) continue;
        idle.push(`${line.join(" ")} --${flag.name}`);
      }
    }
    assertEquals(idle, []);
  });
}

Deno.test("a flag that would have no effect is refused, with what to do", async () => {
  const world = await (made ??= fixtures());
  const csv = "build --csv plain.csv -o new.bin";
  const lines: readonly (readonly [line: string, flag: string, message: string])[] = [
    [csv, "--salt old_salt.bin", "--salt does not go with --csv\nhint: a row of the CSV"],
    [csv, "--efuse-key-id 3", "does not go with --csv\nhint: the column efuse_id says it"],
    [csv, "--key-mode rsa-ds", "does not go with --csv\nhint: the column priv_key_type says it"],
    [
      csv,
      "--hmac-key hmac.bin",
      "is for rows with an eFuse key, and the CSV has none\nhint: leave",
    ],
    ["build --ca-cert ca/ca.pem -o new.bin", "--ca other/ca.pem", "goes with --device-cert"],
    [
      "build --ca-cert ca/ca.pem -o new.bin",
      "--password-file password.txt",
      "goes with --private-key",
    ],
    [
      "build --private-key ec.pem -o new.bin",
      "--hmac-key hmac.bin",
      "hint: it goes with --key-mode rsa-ds",
    ],
    [
      "build --private-key ec.pem -o new.bin",
      "--salt old_salt.bin",
      "hint: it goes with --key-mode hmac-derived",
    ],
    [
      "build --chip esp32c3 --key-mode hmac-derived -o new.bin",
      "--private-key ec.pem",
      "does not go with --key-mode hmac-derived",
    ],
    ["build --private-key ec.pem --format nvs -o new.bin", "--fill", "--fill is for tlv"],
    [`convert ${IMAGE} --to cust_flash -o new.bin`, "--no-integrity", "--no-integrity is for tlv"],
    ["provision --id x --ca empty -o new", "--password-file password.txt", "hint: make a CA first"],
    [
      "provision --id x --ca ca --chip esp32c3 --key-mode rsa-ds -o new",
      "--curve P-384",
      "does not go with --type rsa",
    ],
    ["keygen -o new.pem", "--bits 2048", "hint: give --type rsa"],
    ["keygen --type rsa -o new.pem", "--curve P-384", "--curve does not go with --type rsa"],
    ["ca --subject CN=x --key ec.pem -o new", "--curve P-384", "is for a new key"],
    ["ca --subject CN=x -o new", "--password-file password.txt", "goes with --key or --issuer-key"],
    [`issue --csr ec.csr ${ISSUER}`, "--answer-timeout 9", "goes with --ca-command"],
    [
      "issue --csr ec.csr --ca ca/ca.pem --ca-command none",
      "--password-file password.txt",
      "goes with --key or --ca-key",
    ],
    [`sign ${IMAGE} --digest`, "--password-file password.txt", "goes with --key"],
    [
      `append ${IMAGE} --integrity -o new.bin`,
      "--password-file password.txt",
      "is for an entry with a private key",
    ],
    [`inspect ${IMAGE} second.bin`, "--show-secrets", "is for one image, or --json"],
    [`connect ${IMAGE} ${SERVER}`, "--password-file password.txt", "goes with --private-key"],
    ["serve --client-ca ca/ca.pem", "--password-file password.txt", "goes with --server-key"],
    ["bulk --count 1 -o new", "--answer-timeout 9", "goes with --key-server or --ca-command"],
    ["bulk --count 1 -o new", "--efuse-key-id 3", "does not go with --key-mode plaintext"],
    [
      "bulk --count 1 --key-mode hmac-derived --chip esp32c3 -o new",
      "--curve P-384",
      "--curve does not go with",
    ],
  ];
  for (const [line, flag, message] of lines) {
    const { code, stderr } = await world.run(...line.split(" "), ...flag.split(" "));
    assertEquals(code, 2, `${line} ${flag}: ${stderr}`);
    assertStringIncludes(stderr, message);
    assertMatch(stderr, /^error: .*\nhint: .*$/m);
  }
});

Deno.test("inspect --chip reports what the chip lacks", async () => {
  const world = await (made ??= fixtures());
  const image = "h/esp_secure_cert.bin";
  const codes = async (...flags: readonly string[]) => {
    const { stdout } = await world.run("inspect", image, "--json", ...flags);
    return JSON.parse(stdout).findings.map(({ code }: { code: string }) => code);
  };
  assertEquals((await codes()).includes("CHIP_UNSUPPORTED"), false);
  assertEquals((await codes("--chip", "esp32")).includes("CHIP_UNSUPPORTED"), true);
});
