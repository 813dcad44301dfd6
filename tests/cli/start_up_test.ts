/** What commands load, of which most of the time goes that a user waits for them. */
import { assert, assertEquals } from "@std/assert";

const RUN = `
import { Session } from "node:inspector";
const [root, ...line] = Deno.args;
const { run } = await import(root + "lib/cli/run.ts");
const { denoIo } = await import(root + "lib/cli/io.ts");
const code = await run(line, denoIo());
const session = new Session();
session.connect();
const urls = [];
session.on("Debugger.scriptParsed", ({ params: { url } }) => urls.push(url));
await new Promise((done) => session.post("Debugger.enable", done));
await Deno.writeTextFile("loaded.json", JSON.stringify({ code, urls }));
`;
const ROOT = new URL("../../", import.meta.url).href;
/** The slow ones: pkijs and asn1js, curves in JavaScript, and Node's files, which take 40 ms. */
const SLOW = [/pkijs/, /asn1js/, /@noble\/curves/, /lib\/cli\/disk\/deps\.ts/];

async function loaded(folder: string, line: readonly string[]): Promise<string[]> {
  const args = ["run", "--allow-all", "--no-check", "run.js", ROOT, ...line];
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  });
  const { stderr } = await command.output();
  const { code, urls } = JSON.parse(await Deno.readTextFile(`${folder}/loaded.json`));
  assertEquals(code, 0, `${line.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return urls;
}

Deno.test({
  name: "commands that issue nothing load neither pkijs nor curves, and none loads Node's files",
  ignore: Deno.permissions.querySync({ name: "run" }).state !== "granted",
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/run.js`, RUN);
      const slowIn = async (line: string) => {
        const urls = await loaded(folder, line.split(" "));
        return SLOW.filter((slow) => urls.some((url) => slow.test(url))).map(String);
      };
      // It issues certificates, so that it needs pkijs, and shows that the list is of what was loaded.
      const issuing = await slowIn("provision --chip esp32c3 --id a -o made");
      assertEquals(issuing, ["/pkijs/", "/asn1js/"]);
      assertEquals(await slowIn("keygen --curve P-192 -o p192.pem"), ["/@noble\\/curves/"]);
      assert(
        Deno.statSync(new URL("lib/cli/disk/deps.ts", ROOT)).isFile,
        "what SLOW names is there",
      );
      for (
        const line of [
          "--help",
          "chips",
          "inspect made/esp_secure_cert.bin",
          "verify made/esp_secure_cert.bin",
          "diff made/esp_secure_cert.bin made/esp_secure_cert.bin",
          "extract made/esp_secure_cert.bin -o parts",
          "keygen -o key.pem",
          "convert made/esp_secure_cert.bin --to nvs -o nvs.bin",
        ]
      ) assertEquals([line, await slowIn(line)], [line, []]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
