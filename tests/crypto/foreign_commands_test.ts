/** The commands that messages name for other formats: what they make is read. */
import { assert, assertEquals } from "@std/assert";
import type { Wanted } from "../../lib/crypto/foreign.ts";
import { importPrivateKey, readCertificate } from "../../mod.ts";
import { installed, needing, POSIX, PROCESSES } from "../needs.ts";
import { cli } from "../cli/batch/batch.ts";
import { inFolder } from "../process.ts";

const MAKE = `
openssl ecparam -genkey -noout -name prime256v1 -out sec1.pem
openssl pkcs8 -topk8 -nocrypt -in sec1.pem -out key.pem
openssl req -x509 -new -key key.pem -subj /CN=x -days 30 -out certificate.pem
openssl pkey -in key.pem -outform DER -out key.der
openssl genrsa -out rsa.pem 2048`;

/** A shell command that makes FILE from key.pem, key.der and certificate.pem, and what is wanted. */
const FORMATS: Readonly<
  Record<string, readonly [make: string, wanted: Wanted, ...needs: string[]]>
> = {
  "PKCS#12": [
    "openssl pkcs12 -export -inkey key.pem -in certificate.pem -passout pass:x -out FILE",
    "private key",
  ],
  "PKCS#12, certificate": [
    "openssl pkcs12 -export -inkey key.pem -in certificate.pem -passout pass:x -out FILE",
    "certificate",
  ],
  "PKCS#12 without a MAC": [
    "openssl pkcs12 -export -nomac -inkey key.pem -in certificate.pem -passout pass:x -out FILE",
    "private key",
  ],
  "PKCS#7": ["openssl crl2pkcs7 -nocrl -certfile certificate.pem -out FILE", "certificate"],
  "PKCS#7 in DER": [
    "openssl crl2pkcs7 -nocrl -certfile certificate.pem -outform DER -out FILE",
    "certificate",
  ],
  "CMS": [
    "echo x | openssl cms -sign -signer certificate.pem -inkey key.pem -outform PEM -out FILE",
    "certificate",
  ],
  "S/MIME": [
    "echo x | openssl smime -sign -signer certificate.pem -inkey key.pem -out FILE",
    "certificate",
  ],
  "OpenSSH": [
    "cp key.pem FILE; chmod 600 FILE; ssh-keygen -q -p -N '' -f FILE",
    "private key",
    "ssh-keygen",
  ],
  "escaped line breaks": ["awk '{printf \"%s\\\\n\", $0}' key.pem > FILE", "private key"],
  "strings with line breaks": ["sed 's/.*/  \"&\\\\n\"/' key.pem > FILE", "private key"],
  "strings with commas": ["sed 's/.*/\"&\",/' key.pem > FILE", "private key"],
  "strings that are added": ["sed \"s/.*/'&\\\\\\\\n' +/\" key.pem > FILE", "private key"],
  "a macro": ["sed 's/.*/  \"&\\\\r\\\\n\" \\\\/' key.pem > FILE", "private key"],
  "a mail that quotes": ["sed 's/^/> /' key.pem > FILE", "private key"],
  "a Kubernetes secret": ['echo "  tls.key: $(base64 -w0 key.pem)" > FILE', "private key"],
  "base64 of PEM": ["base64 key.pem > FILE", "private key"],
  "base64": ["base64 key.der > FILE", "private key"],
  "base64url": ["base64 -w0 key.der | tr +/ -_ | tr -d = > FILE", "private key"],
  "hex": ["xxd -p key.der > FILE", "private key", "xxd"],
  "hex with colons": ["xxd -p -c1 -u key.der | paste -sd: > FILE", "private key", "xxd"],
  "hex dump": ["xxd key.der > FILE", "private key", "xxd"],
  "hex dump with bars": ["hexdump -C key.der > FILE", "private key", "xxd", "hexdump"],
  "C array": [
    "(echo 'unsigned char k[] = {'; xxd -i < key.der; echo '};') > FILE",
    "private key",
    "xxd",
  ],
  "C array, decimal": [
    "(echo 'char k[9] = {'; od -An -v -tu1 -w8 key.der | sed 's/  */, /g; s/^, //; s/$/,/'; echo '};') > FILE",
    "private key",
    "xxd",
  ],
  "zlib": [
    "python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))' < key.pem > FILE",
    "private key",
    "python3",
  ],
  "tar": ["tar -cf FILE key.der && mv key.der given.der", "private key", "tar"],
  "gzip": ["gzip -c key.pem > FILE", "private key"],
  "xz": ["xz -c key.pem > FILE", "private key", "xz"],
  "Zstandard": ["zstd -q -c key.pem > FILE", "private key", "zstd"],
  "LZ4": ["lz4 -q -c key.pem > FILE", "private key", "lz4"],
  "bzip2": ["bzip2 -c key.pem > FILE", "private key", "bzip2"],
  "ZIP": ["zip -q FILE.zip key.pem; mv FILE.zip FILE", "private key", "zip", "unzip"],
  "uuencode": [
    "(echo 'begin-base64 644 key.der'; base64 key.der; echo ====) > FILE",
    "private key",
  ],
  "JSON": ["jq -Rs '{a: [{key: .}]}' key.pem > FILE", "private key", "jq"],
  "PRIVATEKEYBLOB": [
    "cp rsa.pem key.pem; openssl rsa -in rsa.pem -outform MSBLOB -out FILE",
    "private key",
  ],
  "PVK": [
    "cp rsa.pem key.pem; openssl rsa -in rsa.pem -outform PVK -pvk-none -out FILE",
    "private key",
  ],
  "PKCS#12 of old programs": [
    "openssl pkcs12 -export -legacy -inkey key.pem -in certificate.pem -passout pass:x -out FILE",
    "private key",
  ],
  "PKCS#12 of old programs, certificate": [
    "openssl pkcs12 -export -legacy -inkey key.pem -in certificate.pem -passout pass:x -out FILE",
    "certificate",
  ],
  "old password, 3DES": [
    "openssl pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-3DES -passout pass:x -out FILE",
    "private key",
  ],
  "old password, DES": [
    "openssl pkcs8 -topk8 -in key.pem -v1 PBE-MD5-DES -provider legacy -provider default -passout pass:x -out FILE",
    "private key",
  ],
  "old password, RC2": [
    "openssl pkcs8 -topk8 -in key.pem -v1 PBE-SHA1-RC2-128 -provider legacy -provider default -passout pass:x -out FILE",
    "private key",
  ],
  "public key of a private key": ["cp key.pem FILE", "public key"],
  "public key of a certificate": ["cp certificate.pem FILE", "public key"],
  "public key of a request": ["openssl req -new -key key.pem -subj /CN=x -out FILE", "public key"],
  "public key in PKCS#1": [
    "openssl rsa -in rsa.pem -RSAPublicKey_out -out FILE",
    "public key",
  ],
  "public key of OpenSSH": [
    "cp key.pem k; chmod 600 k; ssh-keygen -y -f k > FILE",
    "public key",
    "ssh-keygen",
  ],
  "Java": [
    "keytool -genkeypair -keyalg EC -alias a -dname CN=x -storetype JKS -keystore FILE -storepass changeit -keypass changeit",
    "private key",
    "keytool",
  ],
  "Java, JCEKS": [
    "keytool -genkeypair -keyalg EC -alias a -dname CN=x -storetype JCEKS -keystore FILE -storepass changeit -keypass changeit",
    "certificate",
    "keytool",
  ],
};

/** A command line that reads such a file. */
function lineFor(wanted: Wanted, path: string): readonly string[] {
  switch (wanted) {
    case "private key":
      return ["csr", "--key", path, "--subject", "CN=x", "--password-file", "password.txt"];
    case "certificate":
      return ["build", "--ca-cert", path];
    case "public key": {
      const ca = ["--ca", "original.crt", "--ca-key", "original.pem"];
      return ["issue", "--public-key", path, "--subject", "CN=x", ...ca];
    }
    case "signing request":
      return ["issue", "--csr", path, "--ca", "original.crt", "--ca-key", "original.pem"];
  }
}

/** The advice in what a command printed. */
function adviceIn(stderr: string): string {
  const [, advice] = /(?:the file is [^;]+|PKCS#5 v1\.5\)); (.*)$/m.exec(stderr) ?? [];
  assert(advice !== undefined, stderr);
  return advice!;
}

for (const [name, [make, wanted, ...needs]] of Object.entries(FORMATS)) {
  needing(PROCESSES, POSIX, installed("openssl"), ...needs.map(installed)).test(
    `the command for another format makes a ${wanted}: ${name}`,
    async () => {
      await inFolder(async (folder) => {
        const run = async (path: string) => {
          const line = [...lineFor(wanted, path), "-o", "made.out", "--force"];
          const inside = (word: string) => /\.\w+$|^FILE$/.test(word) ? `${folder}/${word}` : word;
          return await cli(...line.map(inside));
        };
        await shell(MAKE, folder);
        await shell(make, folder);
        await Deno.writeTextFile(`${folder}/password.txt`, "x\n");
        await Deno.rename(`${folder}/key.pem`, `${folder}/original.pem`);
        await Deno.rename(`${folder}/certificate.pem`, `${folder}/original.crt`);
        const { code, stderr } = await run("FILE");
        assertEquals(code, 1, stderr);
        await Deno.copyFile(`${folder}/FILE`, `${folder}/COPY.pem`);
        await Deno.chmod(`${folder}/COPY.pem`, 0o600);
        const before = names(folder);
        await shell(commandsOf(adviceIn(stderr)), folder);
        const made = names(folder).filter((each) => !before.includes(each));
        const path = made.find((each) => each !== "all.p12") ?? "COPY.pem";
        const converted = await run(path);
        assertEquals(converted.code, 0, converted.stderr);
        if (name.startsWith("Java")) return;
        const bytes = await Deno.readFile(`${folder}/${path}`);
        if (wanted === "certificate") {
          const original = await Deno.readFile(`${folder}/original.crt`);
          assertEquals(readCertificate(bytes).der, readCertificate(original).der);
        } else if (wanted === "private key") {
          const original = await Deno.readFile(`${folder}/original.pem`);
          assertEquals(
            (await importPrivateKey(bytes, { password: "x" })).pkcs8,
            (await importPrivateKey(original)).pkcs8,
          );
        }
      });
    },
  );
}

/** What a shell runs of an advice, with passwords where a program asks for them. */
function commandsOf(advice: string): string {
  return advice.split("; and that to PEM: ").map((each) => each.replace(/^[^:]*: /, ""))
    .join("\n")
    .replace(/ \(tls.crt.*\)$/, "")
    .replace(/\bCOPY$/m, "COPY.pem")
    .replace(/\bOUT$/, "out.pem")
    .replace("openssl pkcs8 ", "openssl pkcs8 -passin pass:x -passout pass:x ")
    .replaceAll(
      "openssl pkcs12 ",
      `openssl pkcs12 -passin pass:${/keytool/.test(advice) ? "changeit" : "x"} `,
    )
    .replaceAll("keytool ", "keytool -noprompt -srcstorepass changeit -deststorepass changeit ");
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name);
}

async function shell(script: string, folder: string): Promise<void> {
  const command = new Deno.Command("bash", { args: ["-e", "-c", script], cwd: folder });
  const { success, stderr } = await command.output();
  assertEquals(success, true, `${script}: ${new TextDecoder().decode(stderr)}`);
}
