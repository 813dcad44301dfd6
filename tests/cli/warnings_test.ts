/** Commands used in their ordinary way warn of nothing but what a person must decide. */
import { assertEquals } from "@std/assert";
import { loadCommands } from "../../lib/cli/commands.ts";
import { takeRsaKeysFromVectors } from "../rsa_keys.ts";
import { MemoryWorld } from "./memory_io.ts";

takeRsaKeysFromVectors();

const ISSUER = "--ca ca/ca.pem --ca-key ca/ca.key.pem";
const FILES = "--device-cert device.pem --ca-cert ca/ca.pem --private-key device.key.pem";
/** Each says what must be decided: whether the flash is encrypted, and which firmware reads it. */
const DECISIONS = ["PLAINTEXT_KEY", "GCM_READER_VERSION"];

/** Commands in their ordinary way, in order, and the findings that each has. */
const RUNS: readonly (readonly [line: string, ...codes: string[]])[] = [
  ["keygen -o device.key.pem"],
  ["keygen --type rsa -o rsa.pem"],
  ["keygen -o signing.pem --public signing.pub.pem"],
  ["ca --subject CN=Root -o ca"],
  ["ca --subject CN=Devices --issuer ca/ca.pem --issuer-key ca/ca.key.pem -o devices"],
  ["csr --key device.key.pem --subject CN=x -o x.csr"],
  [`issue --csr x.csr ${ISSUER} -o device.pem`],
  ["ca --subject CN=Ever --days forever -o ever"],
  ["issue --csr x.csr --ca ever/ca.pem --ca-key ever/ca.key.pem --days forever -o long.pem"],
  [`issue --key rsa.pem --subject CN=r ${ISSUER} -o rsa.crt.pem`],
  [`build ${FILES} -o plain.bin`, "PLAINTEXT_KEY"],
  [`build ${FILES} --format nvs -o nvs.bin`, "PLAINTEXT_KEY"],
  [`build ${FILES} --format cust_flash -o cust.bin`, "PLAINTEXT_KEY"],
  [`build ${FILES} --data user1=string:SN-1 --fill -o user.bin`, "PLAINTEXT_KEY"],
  ["build --ca-cert ca/ca.pem --device-cert rsa.crt.pem --private-key rsa.pem --chip esp32c3 --key-mode rsa-ds -o rd/i.bin"],
  [`build ${FILES} --chip esp32h2 --key-mode ecdsa-peripheral -o ep/i.bin`],
  [`build ${FILES} --chip esp32c3 --key-mode hmac-encrypted -o he/i.bin`, "GCM_READER_VERSION"],
  ["build --chip esp32c3 --key-mode hmac-derived -o hd/i.bin"],
  ["provision --id a --ca dev -o p", "PLAINTEXT_KEY"],
  ["provision --id a --ca dev --chip esp32c3 --key-mode rsa-ds -o q"],
  ["provision --id a --ca dev --chip esp32h2 --key-mode ecdsa-peripheral -o r"],
  ["provision --id a --ca dev --chip esp32c3 --key-mode hmac-encrypted -o s", "GCM_READER_VERSION"],
  ["provision --id a --ca dev --chip esp32c3 --key-mode hmac-derived -o t"],
  ["inspect plain.bin", "PLAINTEXT_KEY"],
  ["inspect ca/ca.pem"],
  ["inspect device.key.pem"],
  ["inspect rd/i.bin"],
  ["verify plain.bin --ca ca/ca.pem", "PLAINTEXT_KEY"],
  ["verify rd/i.bin --chip esp32c3 --hmac-key rd/hmac_key.bin"],
  ["verify plain.bin user.bin", "PLAINTEXT_KEY"],
  ["convert plain.bin --to nvs -o c.bin", "PLAINTEXT_KEY"],
  ["append plain.bin --data user1=string:x -o a.bin", "PLAINTEXT_KEY"],
  ["sign rd/i.bin --key signing.pem -o signed.bin"],
  ["sign rd/i.bin --digest"],
  ["verify signed.bin --signing-key signing.pub.pem"],
  ["diff plain.bin plain.bin"],
  ["extract plain.bin -o pieces"],
  ["build --csv pieces/esp_secure_cert.csv -o again.bin", "PLAINTEXT_KEY"],
  ["encrypt plain.bin --chip esp32c3 --address 0xD000 --new-key flash.key -o enc.bin"],
  ["decrypt enc.bin --chip esp32c3 --address 0xD000 --key flash.key -o dec.bin"],
  ["inspect enc.bin --flash-key flash.key --chip esp32c3 --address 0xD000", "PLAINTEXT_KEY"],
  [
    "configure --device-cert device.pem --ca-cert ca/ca.pem --private-key device.key.pem --skip_flash",
    "PLAINTEXT_KEY",
  ],
  ["chips"],
  ["completions bash"],
];

Deno.test("commands in their ordinary way warn only of what must be decided", async () => {
  const world = new MemoryWorld();
  const seen: (readonly string[])[] = [];
  for (const [line] of RUNS) {
    const { code, stdout, stderr } = await world.run(...line.split(" "));
    assertEquals(code, 0, `${line}: ${stderr}`);
    const isScript = line.startsWith("completions");
    const text = isScript ? stderr : stdout + "\n" + stderr;
    const warned = [...text.matchAll(/\bwarning:? *([A-Z0-9_]{4,}|.*)/gi)].map(([, what]) => what!)
      .filter((what) => what !== "");
    seen.push([line, ...new Set(warned)]);
  }
  assertEquals(seen, RUNS);
  const found = seen.flatMap(([, ...codes]) => codes);
  assertEquals([...new Set(found)].toSorted(), DECISIONS.toSorted());
  const commands = (await loadCommands()).map(({ name }) => name)
    .filter((name) => !/^(bulk|connect|serve)/.test(name));
  const used = new Set(RUNS.map(([line]) => line.split(" ")[0]!));
  assertEquals(commands.filter((name) => !used.has(name)), []);
});
