/** What goes wrong on a line: lost journals, other CAs, odd keys, certificates that moved. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { takeCertificates } from "../../../lib/cli/batch/run/certificates.ts";
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import { folderJournal } from "../../../lib/cli/batch/journal/journal.ts";
import {
  createDevelopmentCa,
  exportPrivateKey,
  generateKey,
  issueCertificate,
} from "../../../mod.ts";
import { readRequest } from "../../../lib/crypto/x509/request.ts";
import { needing, POSIX, PROCESSES, processes } from "../../needs.ts";
import { keyProgram } from "./key_program.ts";
import {
  CLI,
  cli,
  command,
  deno,
  exists,
  inFolder,
  issuer,
  names,
  rowsOf,
  seen,
  start,
  statesOf,
} from "./process.ts";

const signals = needing(PROCESSES, POSIX);

const verified = (count: number) => Array(count).fill("verified");

async function writeKey(path: string, options: Parameters<typeof generateKey>[0] = {}) {
  await Deno.writeFile(path, await exportPrivateKey(await generateKey(options)));
}

processes.test("a journal that knows less than the manifest is refused, and no device gets a second key", async () => {
  await inFolder(async (folder) => {
    const list = `${folder}/list.csv`;
    const batch = `${folder}/batch`;
    const line = ["bulk", "--devices", "list.csv", "-o", "batch"];
    await Deno.writeTextFile(list, "id\na\nb\n");
    assertEquals((await cli(line, folder)).code, 0);
    const old = await Deno.readFile(`${batch}/journal.sqlite`);
    await Deno.writeTextFile(list, "id\na\nb\nc\n");
    assertEquals((await cli(line, folder)).code, 0);
    const manifest = await Deno.readTextFile(`${batch}/manifest.ndjson`);
    for (const journal of [old, new Uint8Array()]) {
      await Deno.writeFile(`${batch}/journal.sqlite`, journal);
      for (const end of ["-wal", "-shm"]) {
        await Deno.remove(`${batch}/journal.sqlite${end}`).catch(() => {});
      }
      const { code, stderr } = await cli(line, folder);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, "devices that the journal does not know");
      assertEquals(await Deno.readTextFile(`${batch}/manifest.ndjson`), manifest);
    }
  });
});

processes.test("a crash while the folder is made leaves a folder that can be gone on with", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/batch/images`, { recursive: true });
    await Deno.writeTextFile(`${folder}/batch/journal.sqlite`, "");
    const { code, stderr } = await cli(["bulk", "--count", "1", "-o", "batch"], folder);
    assertEquals(code, 0, stderr);
    await Deno.mkdir(`${folder}/other`);
    const database = new DatabaseSync(`${folder}/other/journal.sqlite`);
    database.exec("CREATE TABLE devices (a)");
    database.close();
    const before = await Deno.readFile(`${folder}/other/journal.sqlite`);
    const foreign = await cli(["bulk", "--count", "1", "-o", "other"], folder);
    assertStringIncludes(foreign.stderr, "other/journal.sqlite is a database of something else");
    assertEquals(await Deno.readFile(`${folder}/other/journal.sqlite`), before);
    await Deno.writeTextFile(`${folder}/other/journal.sqlite`, "no database at all".repeat(100));
    const damaged = await cli(["bulk", "--count", "1", "-o", "other"], folder);
    assertMatch(damaged.stderr, /^error: Cannot read other\/journal.sqlite: it is damaged/);
  });
});

processes.test("what was written to replace another file is removed when the batch continues", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "3", "--workers", "2", "-o", "out"];
    assertEquals((await cli(line, folder)).code, 0);
    const left = `${folder}/out/secret/.1`;
    await Deno.writeTextFile(left, "half a key");
    assertEquals((await cli(line, folder)).code, 0);
    await assertRejects(() => Deno.lstat(left), Deno.errors.NotFound);
  });
});

processes.test("a run that came to nothing leaves nothing, and does not bind a later one", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/list.csv`, "id,keyMode\na,rsa-ds\n");
    const line = ["bulk", "--devices", "list.csv", "-o", "batch"];
    const bad = await cli([...line, "--json"], folder);
    assertEquals(JSON.parse(bad.stdout).error.problems, ["a: rsa-ds needs a chip"]);
    assertEquals(names(folder), ["ca", "list.csv"]);
    const good = await cli([...line, "--chip", "esp32s3"], folder);
    assertEquals(good.code, 0, good.stderr);
    await Deno.mkdir(`${folder}/full`);
    await Deno.writeTextFile(`${folder}/full/README`, "");
    const full = await cli([...line, "--chip", "esp32s3", "-o", "full"], folder);
    assertEquals([full.code, names(`${folder}/full`)], [2, ["README"]]);
    const other = await cli(["bulk", "--count", "1", "-o", "full"], folder);
    assertEquals([other.code, names(`${folder}/full`)], [1, ["README"]]);
  });
});

processes.test("a device that failed leaves no key; a retry needs the CA that the batch has", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    await writeKey(`${folder}/keys/1.pem`);
    const line = ["bulk", "--count", "2", "--id-template", "d{n}", "-o", "batch"];
    assertEquals((await cli([...line, "--keys", "keys"], folder)).code, 1);
    assertEquals(names(`${folder}/batch/secret`), ["d1.key.pem"]);
    const otherCa = ["--ca", "other", "--retry-failed", "--keys", "keys"];
    await cli(["ca", "--subject", "CN=Other", "-o", "other"], folder);
    const mixed = await cli([...line, ...otherCa], folder);
    assertStringIncludes(mixed.stderr, "the CA is not that of the first run");
    await Deno.remove(`${folder}/other`, { recursive: true });
    await writeKey(`${folder}/keys/2.pem`);
    const again = [...line, "--keys", "keys", "--retry-failed"];
    const none = await cli([...again, "--ca", "none"], folder);
    assertStringIncludes(none.stderr, "no CA in none: the first run of this batch had one");
    assertEquals(names(folder), ["batch", "ca", "keys"]);
    assertEquals((await cli(again, folder)).code, 0);
    assertEquals(statesOf(`${folder}/batch`), verified(2));
  });
});

processes.test("a batch in which every device failed is fixed, also with another CA", async () => {
  await inFolder(async (folder) => {
    await cli(["ca", "--subject", "CN=Other", "-o", "other"], folder);
    const line = ["bulk", "--count", "2", "--id-template", "d{n}", "-o", "batch"];
    const failed = await cli([...line, "--key-command", keyProgram("fail=1")], folder);
    assertEquals([failed.code, statesOf(`${folder}/batch`)], [1, ["failed", "failed"]]);
    const again = await cli(
      [...line, "--retry-failed", "--key-command", keyProgram("fail=1")],
      folder,
    );
    assertEquals([again.code, statesOf(`${folder}/batch`)], [1, ["failed", "failed"]]);
    const good = await cli([...line, "--retry-failed", "--ca", "other"], folder);
    assertEquals(good.code, 0, good.stderr);
    assertEquals(statesOf(`${folder}/batch`), verified(2));
    const check = await cli(["bulk", "verify", "batch", "--ca", "other/ca.pem"], folder);
    assertEquals(check.code, 0, check.stdout);
  });
});

processes.test("a retry that comes to nothing changes nothing, and requests outlive no lost journal", async () => {
  await inFolder(async (folder) => {
    await cli(["ca", "--subject", "CN=Other", "-o", "other"], folder);
    await Deno.writeTextFile(`${folder}/list.csv`, "id\na\nb\n");
    await Deno.writeTextFile(`${folder}/wrong.csv`, "id\nx\nb\n");
    const line = ["bulk", "--devices", "list.csv", "-o", "batch"];
    assertEquals((await cli([...line, "--key-command", keyProgram("fail=1")], folder)).code, 1);
    const slip = ["bulk", "--devices", "wrong.csv", "-o", "batch", "--ca", "other"];
    assertEquals((await cli([...slip, "--retry-failed"], folder)).code, 1);
    assertEquals(statesOf(`${folder}/batch`), ["failed", "failed"]);
    const good = await cli([...line, "--retry-failed"], folder);
    assertEquals(good.code, 0, good.stderr);
    const requests = ["bulk", "--count", "2", "--csr", "-o", "two"];
    assertEquals((await cli(requests, folder)).code, 0);
    await Deno.writeTextFile(`${folder}/two/journal.sqlite`, "");
    const lost = await cli(requests, folder);
    assertEquals(lost.code, 1);
    assertStringIncludes(lost.stderr, "two has keys of devices that the journal does not know");
  });
});

signals.test("a batch that is not finished takes no other CA, and none at all another signing key", async () => {
  await inFolder(async (folder) => {
    await cli(["ca", "--subject", "CN=Other", "-o", "other"], folder);
    for (const name of ["one", "two"]) {
      await writeKey(`${folder}/${name}.pem`, { type: "rsa", bits: 3072 });
    }
    await Deno.copyFile(`${folder}/one.pem`, `${folder}/sign.pem`);
    await Deno.writeTextFile(`${folder}/profile.json`, '{"signingKeys":["sign.pem"]}');
    await Deno.writeTextFile(`${folder}/list.csv`, "id\na\nb\n");
    const line = ["bulk", "--devices", "list.csv", "--profile", "profile.json", "-o", "batch"];
    const interrupt = keyProgram("signalParent=SIGINT", "fail=130");
    const stopped = await cli([...line, "--workers", "1", "--key-command", interrupt], folder);
    assertEquals(stopped.code, 1);
    assertStringIncludes(stopped.stderr, "stopped; run the same command again to continue");
    assertEquals(names(`${folder}/batch`).includes("secret"), false);
    const other = await cli([...line, "--ca", "other", "--retry-failed"], folder);
    assertStringIncludes(other.stderr, "the CA is not that of the first run");
    await Deno.copyFile(`${folder}/two.pem`, `${folder}/sign.pem`);
    assertStringIncludes(
      (await cli(line, folder)).stderr,
      "a signing key is not that of the first run",
    );
    await Deno.copyFile(`${folder}/one.pem`, `${folder}/sign.pem`);
    const good = await cli(line, folder);
    assertEquals(good.code, 0, good.stderr);
  });
});

processes.test("what is not a key is skipped, and shards take different ones", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    await Deno.writeTextFile(`${folder}/keys/0.txt`, "no key");
    await writeKey(`${folder}/keys/1.pem`, { curve: "P-384" });
    for (const name of [2, 3, 4, 5, 6, 7]) await writeKey(`${folder}/keys/${name}.pem`);
    await Deno.copyFile(`${folder}/keys/2.pem`, `${folder}/keys/8.pem`);
    const line = ["bulk", "--count", "4", "--keys", "keys"];
    const parts = [];
    for (const part of [1, 2]) {
      parts.push(await cli([...line, "--shard", `${part}/2`, "-o", `s${part}`], folder));
    }
    assertEquals(parts.map(({ code }) => code), [0, 0], parts[0]!.stderr + parts[1]!.stderr);
    assertStringIncludes(parts[0]!.stderr, "skipped keys/0.txt: ");
    const keys = ["s1", "s2"].flatMap((part) => rowsOf(`${folder}/${part}`));
    assertEquals(new Set(keys.map(({ publicKey }) => publicKey)).size, 4);
  });
});

processes.test("a signature that its chip does not take is found before the first key", async () => {
  await inFolder(async (folder) => {
    await writeKey(`${folder}/sign.pem`);
    await Deno.writeTextFile(`${folder}/profile.json`, '{"signingKeys":["sign.pem"]}');
    await Deno.writeTextFile(`${folder}/list.csv`, "id,chip\na,esp32c6\nb,esp32c3\n");
    const line = ["bulk", "--devices", "list.csv", "--profile", "profile.json", "-o", "out"];
    const { code, stderr } = await cli(line, folder);
    assertEquals(code, 1);
    assertMatch(stderr, /^b: .*esp32c3 verifies no ecdsa256; it has rsa3072$/m);
    assertEquals(names(folder).includes("out"), false);
    await Deno.writeTextFile(`${folder}/list.csv`, "id,chip\na,esp32c6\n");
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals((await cli(["bulk", "verify", "out"], folder)).code, 0);
  });
});

processes.test("standard input is a password or a list, not both", async () => {
  await inFolder(async (folder) => {
    await writeKey(`${folder}/sign.pem`);
    await Deno.writeTextFile(`${folder}/profile.json`, '{"signingKeys":["sign.pem"]}');
    const inputs = ["--devices", "-", "--password-file", "-", "--profile", "profile.json"];
    const { code, stderr } = await cli(["bulk", ...inputs, "-o", "out"], folder);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "standard input (-) can be read once");
  });
});

const KEY_LINE = ["bulk", "--count", "2", "--id-template", "d{n}", "--key-command"];

processes.test("a key command that prints without end or fails costs its device only", async () => {
  await inFolder(async (folder) => {
    const reason = async (words: string, out: string) =>
      (await cli([...KEY_LINE, words, "-o", out], folder)).stderr;
    const missing = await reason("nosuchprogram {id}", "z");
    assertStringIncludes(missing, "Cannot run nosuchprogram: no such program");
    assertEquals(exists(`${folder}/z`), false);
    const endless = await reason(keyProgram("flood"), "a");
    assertStringIncludes(endless, "d1: the key command printed more than");
    const said = await reason(keyProgram("say=no token", "say=-----BEGIN X", "fail=3"), "b");
    assertMatch(said, /d2: the key command ended with code 3\n/);
    assertEquals(/token|BEGIN/.test(said), false, said);
    assertEquals(said.match(/hint: .* run it by hand with d[12] for \{id\}/g)?.length, 1, said);
    await writeKey(`${folder}/d1.pem`);
    const failure = await reason(keyProgram("print={id}.pem", "fail=143"), "e");
    assertStringIncludes(failure, "d2: the key command ended with code 143\n");
    assertEquals(statesOf(`${folder}/e`), ["verified", "failed"]);
  });
});

signals.test("a key command that a signal ends costs its device only", async () => {
  await inFolder(async (folder) => {
    await writeKey(`${folder}/d1.pem`);
    const words = keyProgram("print={id}.pem", "signalSelf=SIGTERM");
    const { stderr } = await cli([...KEY_LINE, words, "-o", "out"], folder);
    assertStringIncludes(stderr, "d2: the key command was ended by SIGTERM\n");
    assertEquals(statesOf(`${folder}/out`), ["verified", "failed"]);
  });
});

processes.test("what a key command has started and left is not waited for", async () => {
  await inFolder(async (folder) => {
    for (const id of ["d1", "d2"]) await writeKey(`${folder}/${id}.pem`);
    const words = keyProgram("leave={id}.pid", "print={id}.pem");
    const { code, stderr } = await cli([...KEY_LINE, words, "-o", "out"], folder);
    assertEquals(code, 0, stderr);
    // They run until they are killed, and so they ran longer than the batch; this throws otherwise.
    for (const id of ["d1", "d2"]) {
      Deno.kill(Number(await Deno.readTextFile(`${folder}/${id}.pid`)), "SIGKILL");
    }
  });
});

signals.test("SIGTERM ends a key command that hangs, and its devices stay as they were", async () => {
  await inFolder(async (folder) => {
    const words = keyProgram("mark={id}.runs", "hang");
    const line = [...KEY_LINE, words, "-o", "batch"];
    const running = start(command(line, folder));
    assertEquals(await seen(running, () => exists(`${folder}/d1.runs`)), true);
    running.kill("SIGTERM");
    const { code, stderr } = await running.outcome;
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "run the same command again");
    const { stdout } = await cli(["bulk", "status", "batch", "--json"], folder);
    assertEquals(JSON.parse(stdout).states.pending, 2);
  });
});

signals.test("Ctrl-C is heard while a long list is read", async () => {
  await inFolder(async (folder) => {
    const running = start(command(["bulk", "--count", "3000000", "-o", "batch"], folder));
    // The journal takes the list in one transaction, of some hundred MB.
    const journal = `${folder}/batch/journal.sqlite-wal`;
    const isRead = () => exists(journal) && Deno.statSync(journal).size > 4_000_000;
    assertEquals(await seen(running, isRead), true);
    running.kill("SIGINT");
    const { code, stderr } = await running.outcome;
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, "stopped; run the same command again");
    const again = await cli(["bulk", "--count", "1", "-o", "batch"], folder);
    assertEquals(again.code, 0, again.stderr);
  });
});

processes.test("numbers of NDJSON are kept as they are written, and a new column goes into every row", async () => {
  await inFolder(async (folder) => {
    const list = `${folder}/list.ndjson`;
    const line = ["bulk", "--devices", "list.ndjson", "-o", "batch"];
    await Deno.writeTextFile(list, '{"id":12345678901234567890,"lot":1.50}\n');
    assertEquals((await cli(line, folder)).code, 0);
    await Deno.writeTextFile(
      list,
      '{"id":12345678901234567890,"lot":1.50}\n{"id":"b","hall":3}\n',
    );
    const second = await cli(line, folder);
    assertEquals(second.code, 0, second.stderr);
    const [header, first, other] = (await Deno.readTextFile(`${folder}/batch/manifest.csv`))
      .trim()
      .split("\n");
    assertStringIncludes(header!, ",status,lot,hall");
    assertMatch(first!, /^12345678901234567890,.*,verified,1\.50,$/);
    assertMatch(other!, /^b,.*,verified,,3$/);
    const check = await cli(["bulk", "verify", "batch"], folder);
    assertEquals(check.code, 0, check.stdout + check.stderr);
  });
});

processes.test("certificates come with or without those of their CA, and not with another device's name", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "3", "--id-template", "d{n}", "-o", "batch"];
    const unready = await cli([...line, "--certificates", "ca"], folder);
    assertEquals(unready.code, 1);
    assertStringIncludes(unready.stderr, "3 have no request yet; continue with --csr");
    assertEquals((await cli([...line, "--csr"], folder)).code, 0);
    const plain = await cli(line, folder);
    assertEquals(plain.code, 1);
    assertStringIncludes(
      plain.stderr,
      "3 have no certificate yet; continue with --certificates DIR",
    );
    await Deno.mkdir(`${folder}/issued`);
    const pems: string[] = [];
    for (
      const [id, subject] of [["d1", "CN=d1"], ["d2", "CN=AWS IoT Certificate"], ["d3", "CN=D1"]]
    ) {
      const request = await Deno.readFile(`${folder}/batch/csr/${id}.csr`);
      const { publicKey } = await readRequest(request);
      const der = await issueCertificate({ issuer, publicKey, subject: subject! });
      pems.push(der.pem);
    }
    const stranger = await createDevelopmentCa();
    const ca = stranger.certificate.pem;
    const { publicKey } = await readRequest(await Deno.readFile(`${folder}/batch/csr/d1.csr`));
    const foreign = await issueCertificate({ issuer: stranger, publicKey, subject: "CN=d1" });
    await Deno.writeFile(`${folder}/issued/0.der`, foreign.der);
    await Deno.writeTextFile(`${folder}/issued/1.cert`, ca + pems[0]);
    await Deno.writeTextFile(`${folder}/issued/2.pem`, pems[1]! + pems[2]!);
    await Deno.writeTextFile(`${folder}/issued/notes.txt`, "");
    const database = new DatabaseSync(`${folder}/batch/journal.sqlite`);
    const journal = folderJournal(`${folder}/batch`, database);
    const { certificate } = issuer;
    const work = { folder: { database }, journal };
    const taken = await takeCertificates(`${folder}/issued`, certificate.der, work, () => {});
    assertEquals([taken.fitting, taken.strangers, taken.others], [2, [], 1]);
    assertMatch(
      taken.refused[0]!,
      /0\.der: the CA did not issue it for d1: the key of "CN=[^"]+" did not sign "CN=d1"$/,
    );
    assertMatch(taken.refused[1]!, /2\.pem: it has the key of d3 and the name of d1$/);
    database.close();
    // What was taken needs its files no more.
    await Deno.remove(`${folder}/issued`, { recursive: true });
    await Deno.mkdir(`${folder}/issued`);
    const { code, stderr } = await cli([...line, "--certificates", "issued"], folder);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "1 have no certificate yet");
    assertEquals(statesOf(`${folder}/batch`), verified(2));
  });
});

processes.test("what two rows share, what has expired and what the CA did not issue is reported beforehand", async () => {
  await inFolder(async (folder) => {
    const issue = async (name: string, issuedBy = issuer, ended = false) => {
      const key = await generateKey();
      await Deno.writeFile(`${folder}/${name}.key`, await exportPrivateKey(key));
      const der = await issueCertificate({
        issuer: issuedBy,
        publicKey: key.publicKey,
        subject: `CN=${name}`,
        days: 1,
        ...ended && { now: () => new Date("2026-01-01") },
      });
      await Deno.writeFile(`${folder}/${name}.der`, der.der);
    };
    await issue("good");
    await issue("ended", issuer, true);
    await issue("foreign", await createDevelopmentCa());
    const rows = ["a,good", "b,good", "c,ended", "d,foreign"].map((row) =>
      row.replace(/,(.*)/, ",$1.key,$1.der")
    );
    const header = "id,privateKey,certificate";
    await Deno.writeTextFile(`${folder}/list.csv`, [header, ...rows, "e,,"].join("\n"));
    const made = await cli(["bulk", "--devices", "list.csv", "-o", "out"], folder);
    assertEquals(made.code, 1);
    const [ofB, ofC, ofD, ...rest] = made.stderr.split("\n").slice(0, -2);
    assertEquals([ofB, ofC, rest], [
      "b: its key is that of a already",
      "c: its certificate ended 2026-01-02T00:00:00.000Z",
      [],
    ]);
    assertMatch(ofD!, /^d: the CA did not issue its certificate: .* did not sign "CN=foreign"$/);
    assertEquals(names(folder).includes("out"), false);
    await Deno.writeTextFile(`${folder}/list.csv`, [header, rows[0], "e,,"].join("\n"));
    const requests = await cli(["bulk", "--devices", "list.csv", "--csr", "-o", "out"], folder);
    assertStringIncludes(requests.stderr, "a: it has a certificate, and --csr is for devices");
    assertEquals((await cli(["bulk", "--devices", "list.csv", "-o", "out"], folder)).code, 0);
    assertEquals((await cli(["bulk", "verify", "out"], folder)).code, 0);
  });
});

processes.test("files that rows name are read before the first key", async () => {
  await inFolder(async (folder) => {
    const key = await generateKey();
    const other = await generateKey();
    await Deno.writeFile(`${folder}/key.pem`, await exportPrivateKey(key));
    await writeKey(`${folder}/rsa.pem`, { type: "rsa" });
    const certificate = await issueCertificate({
      issuer,
      publicKey: other.publicKey,
      subject: "CN=x",
    });
    await Deno.writeTextFile(`${folder}/cert.pem`, certificate.pem);
    await Deno.writeTextFile(
      `${folder}/list.csv`,
      "id,privateKey,certificate\na,key.pem,cert.pem\nb,none.pem,\nc,rsa.pem,\nd,,cert.pem\n" +
        "e,key.pem,key.pem\nf,ca,\n",
    );
    const { code, stderr } = await cli(["bulk", "--devices", "list.csv", "-o", "b"], folder);
    assertEquals(code, 1);
    assertEquals(stderr.split("\n").slice(0, -2), [
      "a: its certificate is for another key",
      "b: Cannot read none.pem: no such file",
      "c: its key is RSA-2048, the profile wants P-256",
      "d: a certificate needs its key, in the column privateKey",
      "e: Cannot decode certificate: the file is a private key; give the certificate that belongs to it",
      "f: Cannot read ca: it is a folder",
    ]);
    const read = ["run", `--allow-read=${folder}/ca`, `--allow-write=${folder}/b`, "--no-prompt"];
    const words = [CLI, "bulk", "--count", "1", "--ca", `${folder}/ca`, "-o", `${folder}/b`];
    const denied = await deno([...read, ...words], folder);
    assertMatch(denied.stderr, /hint: add --allow-read=.*\/b\n/);
  });
});
