/** What fails works when it is done as the hint says: its flag is given, or its command is run. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FINDINGS } from "../../lib/findings/findings.ts";
import { encodePartitionTable, exportPrivateKey } from "../../mod.ts";
import { rsaKey, takeRsaKeysFromVectors } from "../rsa_keys.ts";
import { vector } from "../vectors.ts";
import { MemoryWorld, type Outcome } from "./memory_io.ts";

takeRsaKeysFromVectors();

const ISSUER = "--ca ca/ca.pem --ca-key ca/ca.key.pem";
const IMAGE = "d/esp_secure_cert.bin";
const OTHER_KEY = "--device-cert d/device.pem --ca-cert ca/ca.pem --private-key e/device.key.pem";
const FILES = "--device-cert d/device.pem --ca-cert ca/ca.pem --private-key d/device.key.pem";

/** Runs lines that must do their work. */
async function done(world: MemoryWorld, ...lines: readonly string[]): Promise<Outcome> {
  let outcome: Outcome | undefined;
  for (const line of lines) {
    outcome = await world.run(...words(line));
    assertEquals(outcome.code, 0, `${line}: ${outcome.stdout}${outcome.stderr}`);
  }
  return outcome!;
}

/** The words of a line, as a shell splits one without escapes. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!);
}

async function fixtures(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  world.put("flash.key", new Uint8Array(32).fill(5));
  world.put("large.txt", new Uint8Array(9000).fill(0x61));
  world.put("weak.pem", exportPrivateKey(await rsaKey(1024)));
  const hmac = "--chip esp32c3 --key-mode hmac-encrypted";
  await done(
    world,
    "ca --subject CN=Root -o ca",
    "ca --subject CN=Other -o other",
    "provision --id a --ca ca -o d",
    "provision --id b --ca ca -o e",
    `provision --id h --ca ca ${hmac} -o h`,
    "provision --id r --ca ca --chip esp32c3 --key-mode rsa-ds -o r",
    "keygen -o ec.pem --public ec.pub.pem",
    "csr --key ec.pem --subject CN=x -o ec.csr",
    "csr --key weak.pem --subject CN=w -o weak.csr",
    `sign ${IMAGE} --key ec.pem -o signed.bin`,
    `append ${IMAGE} --data user1=string:x -o user.bin`,
    `encrypt ${IMAGE} --chip esp32c3 --address 0xD000 --key flash.key -o enc.bin`,
    `issue --key d/device.key.pem --subject CN=a --days 5 ${ISSUER} -o soon.pem`,
    `build ${FILES.replace("d/device.pem", "soon.pem")} -o soon.bin`,
    `build ${FILES.replace("ca/ca.pem", "other/ca.pem")} -o server.bin`,
  );
  const entry = { name: "esp_secure_cert", type: 0x3F, subtype: 6, offset: 0xD100, size: 0x2000 };
  const dump = new Uint8Array(0x40000).fill(0xFF);
  dump.set(encodePartitionTable([entry]), 0xB000);
  dump.set(world.bytes(IMAGE), 0xD100);
  world.put("odd.bin", dump);
  world.put("odd_size.bin", new Uint8Array([...world.bytes(IMAGE), 0xFF, 0xFF, 0xFF]));
  world.put("protected.pem", vector("plain/rsa2048.encrypted.pem"));
  world.put("pw.txt", "test1234");
  return world;
}

let made: Promise<MemoryWorld> | undefined;

/** A copy of the files, for one case. */
async function copy(): Promise<MemoryWorld> {
  const world = new MemoryWorld();
  for (const [path, file] of (await (made ??= fixtures())).files) world.files.set(path, file);
  return world;
}

/** What fails, what the hint says, and what is added for it. */
const FLAGS: readonly (readonly [line: string, hint: string, added: string])[] = [
  [
    "append signed.bin --data user1=string:x -o n.bin",
    "append --drop-signatures",
    "--drop-signatures",
  ],
  [`issue --csr weak.csr ${ISSUER} -o n.pem`, "with --allow-weak", "--allow-weak"],
  [
    "csr --key protected.pem --subject CN=x -o n.csr",
    "with --password-file",
    "--password-file pw.txt",
  ],
  [
    "convert h/esp_secure_cert.bin --to cust_flash -o n.bin",
    "with --hmac-key",
    "--hmac-key h/hmac_key.bin",
  ],
  [`build ${FILES} --data user1=file:large.txt -o n.bin`, "a larger --size", "--size 0x4000"],
  [`build ${OTHER_KEY} -o n.bin`, "anyway with --no-verify", "--no-verify"],
  [
    `append ${IMAGE} --replace dev=file:e/device.pem -o n.bin`,
    "anyway with --no-verify",
    "--no-verify",
  ],
  ["provision --id a --ca ca -o d", "give --force-key", "--force-key"],
  [
    "provision --id a --ca ca --chip esp32c3 --key-mode hmac-encrypted -o h",
    "--force-key",
    "--force-key",
  ],
  [
    `encrypt ${IMAGE} --chip esp32c3 --address 0 -o n.bin`,
    "--new-key FILE makes a key",
    "--new-key n.key",
  ],
  [
    `encrypt ${IMAGE} --chip esp32c3 --address 0 --new-key flash.key -o n.bin`,
    "--force-key",
    "--force-key",
  ],
  [
    "inspect enc.bin --flash-key flash.key --chip esp32c3",
    "its offset in the table",
    "--address 0xD000",
  ],
  ["inspect odd.bin", "give --table-offset", "--table-offset 0xB000"],
  ["verify odd.bin", "give --table-offset", "--table-offset 0xB000"],
];

for (const [line, hint, added] of FLAGS) {
  Deno.test(`the hint of ${line.split(" -o ")[0]} works`, async () => {
    const world = await copy();
    const { code, stderr } = await world.run(...words(line));
    assertEquals(code === 0, false);
    assertMatch(stderr, /^hint: /m);
    assertStringIncludes(stderr.slice(stderr.indexOf("hint: ")), hint);
    const fixed = await world.run(...words(line), ...words(added));
    assertEquals(fixed.code, 0, fixed.stdout + fixed.stderr);
  });
}

/** What fails, and a hint with what is to be written instead; the part of the line that it replaces. */
const INSTEAD: readonly (readonly [line: string, hint: RegExp, wrong: string])[] = [
  [
    `encrypt ${IMAGE} --chip esp32c3 --address 0 --new-key flash.key -o n.bin`,
    /give (--key \S+) to use/,
    "--new-key flash.key",
  ],
  ["append user.bin --data user1=string:y -o n.bin", /(--replace) replaces/, "--data"],
  [`biuld ${FILES} -o n.bin`, /did you mean (build)\?/, "biuld"],
  [`build ${FILES} --data usr1=string:x -o n.bin`, /did you mean (--data user1)=/, "--data usr1"],
  ["keygen --curve p265 -o n.pem", /did you mean (P-256)\?/, "p265"],
  ["keygen --otu n.pem", /did you mean (--out)\?/, "--otu"],
  ["csr --key ec.pem --subject /CN=x/O=y -o n.csr", /write (\S+)$/m, "/CN=x/O=y"],
  [
    "csr --key ec.pem --subject CN=x --san x.example -o n.csr",
    /did you mean (dns:x.example)\?/,
    "x.example",
  ],
  ["keygen --bits 3072 -o n.pem", /give (--type rsa)$/m, "keygen"],
];

for (const [line, pattern, wrong] of INSTEAD) {
  Deno.test(`what ${line.split(" -o ")[0]} is answered with works`, async () => {
    const world = await copy();
    const { code, stderr } = await world.run(...words(line));
    assertEquals(code === 0, false, line);
    const [, right] = pattern.exec(stderr) ?? [];
    assert(right !== undefined, stderr);
    const fixed = wrong === "keygen" ? `${line} ${right}` : line.replace(wrong, right!);
    await done(world, fixed);
  });
}

Deno.test("hints that send to another command name one that runs", async () => {
  const world = await copy();
  const lines = [
    "keygen --zzzzz",
    "build --key-mode rsa-ds -o n.bin",
    "nonsense",
    "keygen x",
    "verify",
    "configure --zzzzz",
    "bulk -o x",
    `issue ${ISSUER}`,
  ];
  for (const line of lines) {
    const { code, stderr } = await world.run(...words(line));
    assertEquals(code, 2, line);
    const [, command] = /^hint: run (chips|[\w ]*--help)/m.exec(stderr) ?? [];
    assert(command !== undefined, stderr);
    await done(world, command!);
  }
  const { stderr } = await world.run("append", IMAGE, "--signing-key", "ec.pub.pem");
  const [, owner] = /--signing-key is a flag of (\w+)$/m.exec(stderr) ?? [];
  await done(world, `${owner} signed.bin --signing-key ec.pub.pem`);
});

Deno.test("a check that was not made is made with the flag that is named", async () => {
  const world = await copy();
  const cases: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["signed.bin", { "signing-key": "ec.pub.pem" }],
    ["h/esp_secure_cert.bin", { "hmac-key": "h/hmac_key.bin" }],
    ["r/esp_secure_cert.bin", { "hmac-key": "r/hmac_key.bin", "chip": "esp32c3" }],
  ];
  for (const [image, values] of cases) {
    const { stdout } = await done(world, `verify ${image}`);
    const flags = [...stdout.matchAll(/not checked: .*give --([a-z-]+)/g)].map(([, flag]) => flag!);
    assertEquals(flags.toSorted(), Object.keys(values).toSorted(), stdout);
    const given = flags.map((flag) => `--${flag} ${values[flag]}`).join(" ");
    const checked = await done(world, `verify ${image} ${given} --json`);
    assertEquals(JSON.parse(checked.stdout).complete, true);
  }
});

Deno.test("extract says how to build the same image again", async () => {
  const world = await copy();
  const images = [
    IMAGE,
    "h/esp_secure_cert.bin",
    "r/esp_secure_cert.bin",
    "signed.bin",
    "p.bin",
    "n.bin",
    "c.bin",
  ];
  await done(
    world,
    "provision --id p --ca ca --chip esp32h2 --key-mode ecdsa-peripheral -o p",
    "convert p/esp_secure_cert.bin --to tlv -o p.bin",
    `convert ${IMAGE} --to nvs -o n.bin`,
    `convert ${IMAGE} --to cust_flash -o c.bin`,
  );
  for (const [at, image] of images.entries()) {
    const { stderr } = await done(world, `extract ${image} -o 'pieces of ${at}'`);
    const [, command] = /build it again with: (.*)$/m.exec(stderr) ?? [];
    await done(world, command!.replace("IMAGE", `again${at}.bin`));
    assertEquals(world.bytes(`again${at}.bin`), world.bytes(image), image);
  }
});

/** The calls of this program in the steps that a command prints. */
function callsIn(stderr: string): string[] {
  const lines = stderr.replaceAll(/ \\\n\s+/g, " ").split("\n");
  return lines.flatMap((line) => /^ {7}esp-secure-cert (.*)$/.exec(line)?.[1] ?? []);
}

Deno.test("the steps of provision and build are calls that work", async () => {
  const world = await copy();
  world.program = "esp-secure-cert";
  const lines = [
    "provision --id x --ca ca -o n",
    "provision --id x --ca ca --chip esp32c3 --key-mode rsa-ds -o n",
    "provision --id x --ca ca --chip esp32h2 --key-mode ecdsa-peripheral -o n",
    "provision --id x --ca ca --chip esp32c3 --key-mode hmac-encrypted -o n",
    "provision --id x --ca ca --chip esp32c3 --key-mode hmac-derived -o 'n o'",
    `build ${FILES} -o n/b.bin`,
    `build ${FILES} --format nvs -o n/b.bin`,
    `build ${FILES} --chip esp32c3 --key-mode hmac-encrypted -o n/b.bin`,
  ];
  for (const line of lines) {
    const folder = await copy();
    folder.program = world.program;
    const { stderr } = await done(folder, line);
    const image = /--json|-o (?:'(.*)'|(\S+))$/.exec(line)!;
    const out = image[1] ?? image[2]!;
    folder.put(
      "board.bin",
      folder.bytes(out.endsWith(".bin") ? out : `${out}/esp_secure_cert.bin`),
    );
    folder.put(
      "KEY.pem",
      folder.bytes(line.startsWith("prov") ? `${out}/device.key.pem` : "d/device.key.pem"),
    );
    const [verify, connect] = callsIn(stderr);
    await done(folder, verify!);
    const reached = await folder.run(...words(connect!.replace("HOST:8883", "127.0.0.1:1")));
    assertEquals(reached.code, 1, reached.stderr);
    assertStringIncludes(reached.stdout, "NOT PROVED");
  }
});

Deno.test("the two commands for a derived key make an image that verifies, with all that was asked for", async () => {
  const world = await copy();
  world.program = "esp-secure-cert";
  const first =
    "build --key-mode hmac-derived --chip esp32c3 --efuse-key-id 2 --data user1=string:SN-1 " +
    "--size 0x1000 --fill --ca-cert other/ca.pem -o x/first.bin";
  const { stderr } = await done(world, first);
  const [issue, build] = callsIn(stderr);
  const last = await done(world, issue!, build!);
  assertEquals(world.bytes("x/final.bin").length, 0x1000);
  const [verify] = callsIn(last.stderr);
  world.put("board.bin", world.bytes("x/final.bin"));
  const checked = await done(world, `${verify} --ca ca/ca.pem --json`);
  assertEquals(JSON.parse(checked.stdout).complete, true);
  const { stdout } = await done(world, "inspect x/final.bin --json");
  assertStringIncludes(stdout, '"text": "SN-1"');
  assertStringIncludes(stdout, '"subject": "CN=Other"');
  // A second time in that folder, with what is said then.
  const again = await world.run(...words(first));
  assertEquals(again.code, 1);
  const [, flags] = /build with (.*); else/.exec(again.stderr) ?? [];
  const second = `${first.replace("first", "third")} ${
    flags!.replace("--device-cert", "--device-cert x/device.pem").replaceAll(/,| and/g, "")
  }`;
  await done(world, second);
});

/** An image with a finding, and the command of its advice, by code. */
const CURES: Readonly<Record<string, readonly [line: string, cure: string, checked: string]>> = {
  LOOKS_ENCRYPTED: [
    "verify enc.bin",
    "verify enc.bin --flash-key flash.key --chip esp32c3 --address 0xD000",
    "",
  ],
  NO_DEVICE_CERT: ["build --ca-cert ca/ca.pem -o n.bin", `build ${FILES} -o m.bin`, "verify m.bin"],
  NO_CA_CERT: [
    "build --device-cert d/device.pem -o n.bin",
    `build ${FILES} -o m.bin`,
    "verify m.bin",
  ],
  NO_KEY: ["build --device-cert d/device.pem -o n.bin", `build ${FILES} -o m.bin`, "verify m.bin"],
  PLAINTEXT_KEY: [
    `verify ${IMAGE}`,
    `build ${FILES} --key-mode hmac-encrypted --chip esp32c3 -o m.bin`,
    "verify m.bin --hmac-key hmac_key.bin",
  ],
  CHAIN_BROKEN: [`verify ${IMAGE} --ca other/ca.pem`, `verify ${IMAGE} --ca ca/ca.pem`, ""],
  CERT_EXPIRES_SOON: [
    "verify soon.bin",
    "append soon.bin --replace dev=file:d/device.pem -o m.bin",
    "verify m.bin",
  ],
  NOT_ALIGNED: ["verify odd_size.bin", "convert odd_size.bin --to tlv -o m.bin", "verify m.bin"],
  CHIP_UNSUPPORTED: [
    "verify h/esp_secure_cert.bin --chip esp32",
    "chips",
    "verify h/esp_secure_cert.bin --chip esp32c3",
  ],
};
/** Findings whose advice names a command that builds the image again, because none repairs it. */
const REBUILT = [
  "FLAGS_MISREAD",
  "KEY_REFUSED",
  "CERT_REFUSED",
  "CHAIN_UNCHECKED",
  "DS_SIZE",
  "DS_CONTEXT",
  "GCM_READER_VERSION",
  "NVS_TYPE",
];

Deno.test("the advice on a finding makes it go away", async () => {
  const named = Object.entries(FINDINGS).filter(([, { advice }]) => advice.includes("`"))
    .map(([code]) => code).filter((code) => !REBUILT.includes(code));
  assertEquals(named.toSorted(), Object.keys(CURES).toSorted());
  for (const [code, [line, cure, checked]] of Object.entries(CURES)) {
    const world = await copy();
    const seen = await world.run(...words(line));
    assertStringIncludes(seen.stdout + seen.stderr, code);
    const cured = await done(world, cure);
    const after = checked === "" ? cured : await done(world, checked);
    assertEquals((after.stdout + after.stderr).includes(` ${code}`), false, code);
  }
});
