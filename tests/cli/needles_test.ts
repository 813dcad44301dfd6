import { assertEquals } from "@std/assert";
import { exportPrivateKey, generateKey } from "../../mod.ts";
import { hasKey, needlesOf } from "./needles.ts";

Deno.test("a key is found in each notation, and no other key is", async () => {
  for (const options of [{}, { curve: "P-384" }, { type: "rsa", bits: 2048 }] as const) {
    const [key, other] = [await generateKey(options), await generateKey(options)];
    const [needles, others] = [needlesOf(key), needlesOf(other)];
    const der = exportPrivateKey(key, { form: "der" });
    const pem = new TextDecoder().decode(exportPrivateKey(key));
    const hex = [...der].map((byte) => byte.toString(16).padStart(2, "0"));
    const written: Record<string, string | Uint8Array> = {
      pem,
      der,
      traditional: exportPrivateKey(key, { encoding: "traditional", form: "der" }),
      "traditional pem": exportPrivateKey(key, { encoding: "traditional" }),
      json: JSON.stringify({ pem }),
      crlf: pem.replaceAll("\n", "\r\n"),
      "C strings": pem.split("\n").map((line) => `"${line}\\n"`).join("\n"),
      base64: der.toBase64(),
      base64url: der.toBase64({ alphabet: "base64url", omitPadding: true }),
      hex: hex.join(""),
      "upper case": hex.join("").toUpperCase(),
      blanks: hex.join(" "),
      colons: hex.join(":"),
      dump: hex.join(":").replace(/.{45}/g, "$&\n    "),
      "C array": hex.map((byte) => `0x${byte}`).join(", "),
      escapes: hex.map((byte) => `\\x${byte}`).join(""),
      "list of bytes": `[${[...der].join(", ")}]`,
      "in the middle": new Uint8Array([1, ...der, 2]),
      "cut off": der.subarray(0, -20),
    };
    for (const [name, where] of Object.entries(written)) {
      assertEquals([hasKey(needles, where), hasKey(others, where)], [true, false], name);
    }
  }
  const raw = crypto.getRandomValues(new Uint8Array(32));
  const number = BigInt(`0x${raw.toHex()}`).toString();
  assertEquals(hasKey(needlesOf(raw), `key = ${number};`), true);
});
