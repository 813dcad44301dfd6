/**
 * A program that answers lines, as `--key-server` and `--ca-command` start it: it makes keys or signs with
 * a key in a file, and does what else its arguments say: `keys after=1 fail=3` ends with code 3 instead of
 * giving a second key. It imports nothing, so that it starts quickly.
 */
type Answer = (request: string) => Promise<string>;

const encoder = new TextEncoder();
const print = (text: string) => Deno.stdout.writeSync(encoder.encode(text));
const sleep = () => new Promise<never>(() => setInterval(() => {}, 1000));

async function newKey(request: string): Promise<string> {
  const [type, kind = ""] = request.split(" ");
  const hash = "SHA-256";
  const publicExponent = new Uint8Array([1, 0, 1]);
  const algorithm = type === "rsa"
    ? { name: "RSASSA-PKCS1-v1_5", modulusLength: Number(kind), publicExponent, hash }
    : { name: "ECDSA", namedCurve: kind };
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign"]) as CryptoKeyPair;
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).toBase64();
}

/** Signs with a PKCS#8 key, DER; r and s of ECDSA go into a DER sequence. */
async function signWith(key: Uint8Array<ArrayBuffer>, request: string): Promise<string> {
  const [name, text = ""] = request.split(" ");
  const isEc = name!.startsWith("ecdsa");
  const hash = name!.endsWith("384") ? "SHA-384" : "SHA-256";
  const namedCurve = hash === "SHA-384" ? "P-384" : "P-256";
  const algorithm = isEc
    ? { name: "ECDSA", namedCurve, hash }
    : { name: "RSASSA-PKCS1-v1_5", hash };
  const handle = await crypto.subtle.importKey("pkcs8", key, algorithm, false, ["sign"]);
  const signed = await crypto.subtle.sign(algorithm, handle, Uint8Array.fromBase64(text));
  const raw = new Uint8Array(signed);
  if (!isEc) return raw.toBase64();
  const numbers = [raw.subarray(0, raw.length / 2), raw.subarray(raw.length / 2)].flatMap(
    (each) => {
      const start = each.findIndex((byte) => byte !== 0);
      const digits = [...each[start]! > 127 ? [0] : [], ...each.subarray(start)];
      return [2, digits.length, ...digits];
    },
  );
  return Uint8Array.of(0x30, numbers.length, ...numbers).toBase64();
}

let last = "";

/** What it does instead of an answer, with the honest one at hand. */
const FAULTS: Readonly<
  Record<string, (answer: string, word: string) => unknown>
> = {
  hang: sleep,
  fail: (_, code) => Deno.exit(Number(code)),
  signal: (_, name) => {
    Deno.kill(Deno.pid, name as Deno.Signal);
    return sleep();
  },
  twice: (answer) => print(`${answer}\n${answer}\n`),
  /** A second answer that comes a little later. */
  more: (answer) => {
    print(`${answer}\n`);
    setTimeout(() => print(`${answer}\n`), 1);
  },
  garbage: () => print("no token -----BEGIN PRIVATE KEY-----\n"),
  bytes: () => Deno.stdout.writeSync(new Uint8Array([0xFF, 0, 0x80, 10])),
  empty: () => print("\n"),
  flood: async () => {
    for (const a = new Uint8Array(65536).fill(65);;) await Deno.stdout.write(a);
  },
  refuse: () => print("error the PIN 1234 is wrong\n"),
  repeat: (answer) => print(`${last === "" ? last = answer : last}\n`),
  /** Another answer to every request, such as a key of another kind. */
  say: (_, text) => print(`${text}\n`),
  /** Starts another that holds its output open, and ends. */
  leave: (_, path) => {
    const args = ["run", "-A", "--no-prompt", import.meta.url, "sleep"];
    const held = { stdin: "null", stdout: "inherit", stderr: "null" } as const;
    const child = new Deno.Command(Deno.execPath(), { args, ...held }).spawn();
    Deno.writeTextFileSync(path, String(child.pid));
    Deno.exit(5);
  },
};

/** The command line of this program. */
export function lineProgram(...args: readonly string[]): string {
  const words = [Deno.execPath(), "run", "-A", "--no-prompt", import.meta.url, ...args];
  return words.map((word) => `"${word.replaceAll("\\", "/")}"`).join(" ");
}

async function serve(answer: Answer, options: readonly string[][]): Promise<void> {
  let left = Infinity;
  let fault: (answer: string) => unknown = (text) => print(`${text}\n`);
  for (const [name, word = ""] of options) {
    if (name === "after") left = Number(word);
    else if (name === "mark") Deno.writeTextFileSync(`${word}.${Deno.pid}`, "");
    else if (name === "stubborn") Deno.addSignalListener("SIGTERM", () => {});
    else {
      left = left === Infinity ? 0 : left;
      fault = (text) => FAULTS[name!]!(text, word);
    }
  }
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const made = await answer(line);
      if (left-- > 0) print(`${made}\n`);
      else await fault(made);
    }
  }
  if (options.some(([name]) => name === "stubborn")) await sleep();
}

if (import.meta.main) {
  const [what, ...words] = Deno.args.map((arg) => arg.split(/=(.*)/s));
  console.error("secret: the PIN is 1234");
  if (what![0] === "sleep") await sleep();
  else if (what![0] === "keys") await serve(newKey, words);
  else {
    const key = Deno.readFileSync(what![1]!);
    await serve((request) => signWith(key, request), words);
  }
}
