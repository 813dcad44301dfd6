/** The commands that messages name for other formats: what they make is read. */
import { assert, assertEquals } from "@std/assert";
import { foreignFormat, type Wanted } from "../../lib/crypto/foreign.ts";
import { importPrivateKey, readCertificate } from "../../mod.ts";
import { installed, needing, POSIX, PROCESSES } from "../needs.ts";
import { inFolder } from "../process.ts";

const MAKE = `
openssl ecparam -genkey -noout -name prime256v1 -out sec1.pem
openssl pkcs8 -topk8 -nocrypt -in sec1.pem -out key.pem
openssl req -x509 -new -key key.pem -subj /CN=x -days 30 -out certificate.pem
openssl pkey -in key.pem -outform DER -out key.der`;

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
  "trusted certificate": ["openssl x509 -trustout -in certificate.pem -out FILE", "certificate"],
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
  "gzip": ["gzip -c key.pem > FILE.gz; cp FILE.gz FILE", "private key"],
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

for (const [name, [make, wanted, ...needs]] of Object.entries(FORMATS)) {
  needing(PROCESSES, POSIX, installed("openssl"), ...needs.map(installed)).test(
    `the command for another format makes a ${wanted}: ${name}`,
    async () => {
      await inFolder(async (folder) => {
        await shell(MAKE, folder);
        await shell(make, folder);
        const file = await Deno.readFile(`${folder}/FILE`);
        const { remedy } = foreignFormat(file, wanted) ?? {};
        const advice = typeof remedy === "string" ? remedy : remedy?.[wanted];
        assert(advice !== undefined, name);
        await Deno.rename(`${folder}/key.pem`, `${folder}/original.pem`);
        await Deno.rename(`${folder}/certificate.pem`, `${folder}/original.crt`);
        await Deno.copyFile(`${folder}/FILE`, `${folder}/COPY`);
        await Deno.chmod(`${folder}/COPY`, 0o600);
        const before = names(folder);
        await shell(commandsOf(advice!), folder);
        const [made] = [
          "all.pem",
          ...names(folder).filter((each) => !before.includes(each)),
          "COPY",
        ]
          .filter((each) => names(folder).includes(each));
        const bytes = await Deno.readFile(`${folder}/${made}`);
        if (name.startsWith("Java")) {
          assert((await importPrivateKey(bytes)).publicKey.length > 0);
        } else if (wanted === "certificate") {
          const original = await Deno.readFile(`${folder}/original.crt`);
          assertEquals(readCertificate(bytes).der, readCertificate(original).der);
        } else {
          const original = await Deno.readFile(`${folder}/original.pem`);
          assertEquals(
            (await importPrivateKey(bytes)).pkcs8,
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
    .replaceAll("FILE.pem", "FILE")
    .replace(/gunzip FILE$/, "gunzip -c FILE.gz > out.pem")
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
