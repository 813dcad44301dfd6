/** `bulk` as a process: killed at any moment, run twice at once, stopped, out of disk, in parts. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { splitWords } from "../../../lib/cli/programs/child.ts";
import {
  exportPrivateKey,
  generateKey,
  issueCertificate,
  readCertificate,
  verify,
} from "../../../mod.ts";
import { type ManifestRow, parseManifestNdjson } from "../../../lib/batch/mod.ts";
import { installed, LINUX, needing, POSIX, PROCESSES, processes } from "../../needs.ts";
import { keyProgram } from "./key_program.ts";
import {
  CLI,
  cli,
  command,
  count,
  exists,
  inFolder,
  issuer,
  names,
  outOfDisk,
  program,
  rowsOf,
  run,
  seen,
  sha256,
  start,
  starve,
} from "./process.ts";

const signals = needing(PROCESSES, POSIX);

/** Everything that must hold of a finished folder. */
async function checkBatch(batch: string, ids: readonly string[]): Promise<ManifestRow[]> {
  const rows = rowsOf(batch);
  assertEquals(rows.map(({ id }) => id), ids);
  for (const column of ["serial", "fingerprint", "publicKey", "imageSha256"] as const) {
    assertEquals(new Set(rows.map((row) => row[column])).size, ids.length, column);
  }
  const csv = Deno.readTextFileSync(`${batch}/manifest.csv`).trimEnd().split("\n");
  assertEquals(csv.slice(1).map((line) => line.split(",")[0]), ids);
  const allowed = [
    ".lock",
    "certificates",
    "images",
    "journal.sqlite",
    "labels",
    "manifest.csv",
    "manifest.ndjson",
    "secret",
  ];
  assertEquals(names(batch), allowed);
  const sorted = ids.toSorted();
  assertEquals(names(`${batch}/images`), sorted.map((id) => `${id}.bin`));
  assertEquals(names(`${batch}/certificates`), sorted.map((id) => `${id}.pem`));
  assertEquals(names(`${batch}/secret`), sorted.map((id) => `${id}.key.pem`));
  assertEquals(names(`${batch}/labels`), sorted.map((id) => `${id}.svg`));
  for (const [at, row] of rows.entries()) {
    const image = await Deno.readFile(`${batch}/images/${row.id}.bin`);
    assertEquals(await sha256(image), row.imageSha256);
    if (at % 10 !== 0) continue;
    assertEquals((await verify(image, { ca: issuer.certificate })).ok, true, row.id);
    const { serial } = readCertificate(await Deno.readFile(`${batch}/certificates/${row.id}.pem`));
    assertEquals([serial, row.status], [row.serial, "verified"]);
  }
  return rows;
}

processes.test("killed with -9 again and again, a batch ends as if nothing had happened", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "600", "--labels", "-o", "batch"];
    const batch = `${folder}/batch`;
    const stat = (name: string) =>
      exists(`${batch}/${name}`) ? Deno.statSync(`${batch}/${name}`) : undefined;
    const changed = (name: string) => () => {
      const before = stat(name)?.mtime?.getTime();
      return () => stat(name)?.mtime?.getTime() !== before;
    };
    const ROW = 440; // bytes, a few more than a row has
    const rows = (more: number) => () => {
      const before = stat("manifest.ndjson")?.size ?? 0;
      return () => (stat("manifest.ndjson")?.size ?? 0) >= before + ROW * more;
    };
    // While the folder is made, the list is read, the first devices are made, rows are written.
    const moments = [
      changed("."),
      changed("journal.sqlite-wal"),
      changed("secret"),
      changed("images"),
      rows(1),
      rows(100),
      rows(100),
    ];
    let finished = new Map<string, string>();
    for (const [index, moment] of moments.entries()) {
      const isThen = moment();
      const running = start(command(line, folder));
      assertEquals(await seen(running, isThen), true, `the batch ended before moment ${index}`);
      running.kill("SIGKILL");
      await running.outcome;
      // What a row once said stays said: no device gets a second key.
      const text = await Deno.readTextFile(`${batch}/manifest.ndjson`).catch(() => "");
      const whole = parseManifestNdjson(text.slice(0, text.lastIndexOf("\n") + 1));
      const now = new Map(whole.map(({ id, publicKey }) => [id, publicKey]));
      for (const [id, key] of finished) assertEquals(now.get(id), key, id);
      finished = now;
    }
    assertEquals(finished.size >= 200, true);
    const { code, stderr } = await cli(line, folder);
    assertEquals(code, 0, stderr);
    const made = await checkBatch(batch, count(600));
    const verified = await cli(["bulk", "verify", "batch", "--ca", "ca/ca.pem"], folder);
    assertEquals([verified.code, verified.stderr], [0, ""], verified.stdout);
    // A run with nothing left to do changes nothing.
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals(rowsOf(batch), made);
  });
});

signals.test("a second process on the same folder is refused with a line", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "20000", "-o", "batch"];
    const running = start(command([...line, "--json"], folder));
    assertEquals(await seen(running, () => exists(`${folder}/batch/manifest.csv`)), true);
    const second = await cli(line, folder);
    assertEquals([second.code, second.stdout], [1, ""]);
    assertStringIncludes(second.stderr, "error: another process is working on batch\n");
    running.kill("SIGINT");
    const first = await running.outcome;
    assertEquals(first.code, 1);
    assertStringIncludes(first.stderr, "stopped; run the same command again to continue");
    const last = JSON.parse(first.stdout.trim().split("\n").at(-1)!);
    const { counts, stopped } = last.summary;
    assertEquals([stopped, counts.verified + counts.pending, counts.failed], [true, 20000, 0]);
    assertEquals(rowsOf(`${folder}/batch`).length, counts.verified);
    assertEquals(names(`${folder}/batch/images`).length, counts.verified);
  });
});

outOfDisk.test("out of disk, a batch ends with one line and continues later", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "400", "--labels", "-o", "batch"];
    await starve(line, folder, [40, 120, 200]);
    await checkBatch(`${folder}/batch`, count(400));
  });
});

processes.test("manifests that were cut or went on too far are those of the journal again", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/list.csv`, 'id,line,user1\na,"1, x",u\nb,2,u\nc,3,u\n');
    const line = ["bulk", "--devices", "list.csv", "-o", "batch"];
    assertEquals((await cli(line, folder)).code, 0);
    const paths = ["ndjson", "csv"].map((end) => `${folder}/batch/manifest.${end}`);
    const whole = paths.map((path) => Deno.readTextFileSync(path));
    assertStringIncludes(whole[1]!, 'plaintext,,verified,"1, x"\n');
    Deno.writeTextFileSync(paths[0]!, whole[0]!.slice(0, 50));
    Deno.writeTextFileSync(paths[1]!, whole[1]! + "half a li");
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals(paths.map((path) => Deno.readTextFileSync(path)), whole);
    await Deno.remove(paths[1]!);
    assertEquals((await cli(line, folder)).code, 0);
    assertEquals(paths.map((path) => Deno.readTextFileSync(path)), whole);
  });
});

processes.test("another list, profile or CA on the same folder is refused", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "3", "-o", "batch"];
    assertEquals((await cli(line, folder)).code, 0);
    const cases = [
      [["bulk", "--count", "4", "-o", "batch"], "has 4 devices, the list has"],
      [["bulk", "--count", "2", "-o", "batch"], "has 3 devices, the list has 2"],
      [[...line, "--id-template", "x{n}"], "is not what it was in the first run"],
      [[...line, "--days", "5"], "the profile is not that of the first run"],
      [["bulk", "--count", "3", "-o", "ca"], "is not a batch's folder"],
    ] as const;
    for (const [words, text] of cases.slice(1)) {
      const { code, stderr } = await cli(words, folder);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, text);
    }
    assertEquals((await cli(line, folder)).code, 0);
  });
});

processes.test("ready keys are used once; what failed is tried again; a key command makes the others", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/keys`);
    const key = await generateKey();
    await Deno.writeFile(`${folder}/keys/1.pem`, await exportPrivateKey(key));
    await Deno.writeFile(`${folder}/keys/2.der`, await exportPrivateKey(key, { form: "der" }));
    await Deno.writeFile(`${folder}/keys/3.pem`, await exportPrivateKey(await generateKey()));
    const line = ["bulk", "--count", "3", "--keys", "keys", "--labels", "-o", "batch"];
    const first = await cli(line, folder);
    assertEquals(first.code, 1);
    assertStringIncludes(first.stderr, "failed dev-000003: no P-256 key is left in keys");
    assertStringIncludes(first.stdout, "keys from ready keys of keys");
    assertEquals(rowsOf(`${folder}/batch`).map(({ status }) => status), [
      "verified",
      "verified",
      "failed",
    ]);
    assertEquals(names(`${folder}/batch/images`).length, 2);
    await Deno.writeFile(`${folder}/keys/0.pem`, await exportPrivateKey(await generateKey()));
    assertEquals((await cli(line, folder)).code, 1);
    const again = await cli([...line, "--retry-failed"], folder);
    assertEquals(again.code, 0, again.stderr);
    await checkBatch(`${folder}/batch`, count(3));
    const words = keyProgram("failFor={id},dev-000002,3", "make");
    const made = await cli(["bulk", "--count", "3", "--key-command", words, "-o", "run"], folder);
    assertEquals(made.code, 1);
    assertStringIncludes(made.stderr, "failed dev-000002: the key command ended with code 3");
    assertEquals(rowsOf(`${folder}/run`).map(({ status }) => status), [
      "verified",
      "failed",
      "verified",
    ]);
  });
});

processes.test("--csr stops for an external CA, --certificates continues and refuses what does not fit", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "3", "-o", "batch"];
    const first = await cli([...line, "--csr"], folder);
    assertEquals(first.code, 0, first.stderr);
    assertEquals(names(`${folder}/batch`).includes("certificates"), false);
    await Deno.mkdir(`${folder}/issued`);
    const issue = async (name: string, request?: Uint8Array) => {
      const of = request ? { request } : { subject: "CN=x", ...await generateKey() };
      const der = await issueCertificate({ issuer, ...of });
      await Deno.writeTextFile(`${folder}/issued/${name}.pem`, der.pem);
    };
    const requests = count(3).map((id) => Deno.readFileSync(`${folder}/batch/csr/${id}.csr`));
    await issue("any name", requests[1]);
    await issue("b", requests[0]);
    await issue("stranger");
    await Deno.writeTextFile(`${folder}/issued/broken.pem`, "no certificate");
    const go = [...line, "--certificates", "issued"];
    const second = await cli(go, folder);
    assertEquals(second.code, 1);
    assertStringIncludes(
      second.stderr,
      "refused issued/stranger.pem: its key is not that of a device",
    );
    assertStringIncludes(second.stderr, "refused issued/broken.pem: ");
    assertStringIncludes(second.stderr, "1 have no certificate yet");
    assertEquals(rowsOf(`${folder}/batch`).map(({ id }) => id), count(2));
    await Deno.remove(`${folder}/issued/stranger.pem`);
    await issue("c", requests[2]);
    const third = await cli(go, folder);
    assertEquals(third.code, 0, third.stderr);
    assertEquals(
      rowsOf(`${folder}/batch`).map(({ status }) => status),
      Array(3).fill("verified"),
    );
  });
});

processes.test("few devices are made by one thread, more by one a processor", async () => {
  await inFolder(async (folder) => {
    const threadsFor = async (devices: number) => {
      const line = ["bulk", "--count", `${devices}`, "-o", `b${devices}`, "--json"];
      const made = await cli(line, folder);
      assertEquals(made.code, 0, made.stderr);
      const { summary } = JSON.parse(made.stdout.trimEnd().split("\n").at(-1)!);
      assertEquals(summary.counts.verified, devices);
      return summary.workers;
    };
    assertEquals(await threadsFor(8), 1);
    assertEquals(await threadsFor(9), navigator.hardwareConcurrency);
  });
});

processes.test("shards make every device once", async () => {
  await inFolder(async (folder) => {
    const line = ["bulk", "--count", "10", "--workers", "1"];
    const other = await cli([...line, "--shard", "1/3", "--ca", "none", "-o", "s1"], folder);
    assertEquals(other.code, 1);
    assertStringIncludes(other.stderr, "the shards of a batch share one");
    assertEquals(names(folder), ["ca"]);
    const parts = await Promise.all([
      cli([...line, "--shard", "1/3", "-o", "s1"], folder),
      cli([...line, "--shard", "2/3", "-o", "s2"], folder),
      cli([...line, "--shard", "3/3", "-o", "s3"], folder),
    ]);
    assertEquals(
      parts.map(({ code }) => code),
      [0, 0, 0],
      parts.map(({ stderr }) => stderr).join(),
    );
    const ids = ["s1", "s2", "s3"].flatMap((part) =>
      rowsOf(`${folder}/${part}`).map(({ id }) => id)
    );
    assertEquals(ids.toSorted(), count(10));
    for (const part of ["s1", "s2", "s3"]) {
      const check = await cli(["bulk", "verify", part, "--count", "10"], folder);
      assertEquals(check.code, 0, check.stdout);
    }
    for (const words of [[], ["--shard", "2/3"], ["--shard", "1/3", "--labels"]]) {
      const other = await cli([...line, ...words, "-o", "s1"], folder);
      assertEquals(other.code, 1);
      assertStringIncludes(
        other.stderr,
        `${words.at(-1) === "--labels" ? "--labels" : "--shard"} is`,
      );
    }
  });
});

processes.test("a wrong list is reported row by row and leaves no device; only the owner reads secrets", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/bad.csv`, "id,chip\na,esp32c3\nA,\nb/c,\nd,esp9\n");
    const bad = await cli(["bulk", "--devices", "bad.csv", "-o", "batch", "--json"], folder);
    assertEquals(bad.code, 1);
    for (const part of ["A: the id is there twice", "line 4: id", 'd: chip "esp9"']) {
      assertStringIncludes(bad.stderr, part);
    }
    assertEquals(JSON.parse(bad.stdout).error.code, "ERR_PLAN");
    await Deno.writeTextFile(
      `${folder}/good.ndjson`,
      '{"id":"a","chip":"esp32c3","keyMode":"hmac-derived"}\n',
    );
    const good = await cli(["bulk", "--devices", "good.ndjson", "-o", "batch"], folder);
    assertEquals(good.code, 0, good.stderr);
    const secret = ["a.hmac.bin", "a.key.pem", "a.salt.bin"];
    assertEquals(names(`${folder}/batch/secret`), secret);
    if (Deno.build.os === "windows") return;
    const mode = (path: string) => Deno.statSync(`${folder}/batch/${path}`).mode! & 0o777;
    assertEquals(secret.map((name) => mode(`secret/${name}`)), [0o600, 0o600, 0o600]);
    assertEquals([mode("secret"), mode("journal.sqlite"), mode("images/a.bin")], [
      0o700,
      0o600,
      0o600,
    ]);
  });
});

needing(PROCESSES).test(
  "the permission that more threads need is named, and is enough",
  async () => {
    await inFolder(async (folder) => {
      const bulk = async (out: string, ...more: string[]) => {
        const allowed = [
          "--no-prompt",
          `--allow-read=ca,${out}`,
          `--allow-write=ca,${out}`,
          ...more,
        ];
        const line = ["bulk", "--count", "2", "--workers", "2", "-o", out];
        const words = ["run", ...allowed, new URL(CLI).pathname, ...line];
        const { code, stderr, stdout } = await run(Deno.execPath(), words, folder);
        assertEquals(code, 0, stderr);
        return stderr + stdout;
      };
      const [, more] = /^one thread; for more, add (--allow-read=\S+)$/m.exec(await bulk("one"))!;
      const both = await bulk("two", more!.replace("=", `=ca,two,`));
      assertEquals(both.includes("one thread"), false, both);
      assertStringIncludes(both, "2 threads");
    });
  },
);

needing(PROCESSES, LINUX, installed("script")).test(
  "threads on a terminal ask for nothing",
  async () => {
    await inFolder(async (folder) => {
      const line =
        `"${Deno.execPath()}" run --allow-read --allow-write=. "${new URL(CLI).pathname}"` +
        " bulk --count 2 --workers 2 -o batch";
      const running = start(program("script", ["-qec", line, "/dev/null"], folder));
      // A question that nobody answers waits for ever.
      const timer = setTimeout(() => running.kill("SIGKILL"), 60_000);
      const { code, stdout } = await running.outcome;
      clearTimeout(timer);
      assertEquals([code, stdout.includes("Deno requests")], [0, false], stdout);
      assertStringIncludes(stdout, "2 threads");
    });
  },
);

Deno.test("a command line is split as a shell splits it", () => {
  assertEquals(splitWords(`a "b c" 'd "e' f\\ g --x="y z"`), [
    "a",
    "b c",
    'd "e',
    "f g",
    "--x=y z",
  ]);
});
