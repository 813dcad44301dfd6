/** Characters that no terminal may get as they are, in lists, profiles, manifests and journals of batches. */
import { DatabaseSync } from "../../../lib/cli/batch/deps.ts";
import { needing, POSIX } from "../../needs.ts";
import { assertEquals } from "@std/assert";
import { assertEscaped, type Place, repeats, type World } from "../hostile.ts";
import { bulkIn, cli, copyFolder, inFolder } from "./batch.ts";

const world: World = { run: cli };

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** Places in what `bulk` reads; nothing is made, since the image of a chip does not exist. */
function placesOfBulk(folder: string): readonly Place[] {
  const bulk = (...flags: readonly string[]) => [
    ["bulk", "--workers", "1", "-o", `${folder}/out`, "--ca", `${folder}/none`, ...flags],
  ];
  const list = (text: string) => {
    Deno.writeTextFileSync(`${folder}/list`, text);
    return bulk("--devices", `${folder}/list`, "--key-mode", "rsa-ds", "--chip", "esp32");
  };
  const profile = (value: unknown) => {
    Deno.writeTextFileSync(`${folder}/profile`, JSON.stringify(value));
    return bulk("--count", "1", "--profile", `${folder}/profile`);
  };
  const anywhere = { printedBy: "some or none" } as const;
  return [
    { ...anywhere, name: "id", hides: "long", lines: (text) => list(`id\n${quoted(text)}\n`) },
    {
      ...anywhere,
      name: "id",
      hides: "long",
      lines: (text) => list(`id\n${quoted(text)}\n${quoted(text)}\n`),
    },
    {
      ...anywhere,
      name: "id in NDJSON",
      hides: "long",
      lines: (text) => list(JSON.stringify({ id: text })),
    },
    {
      name: "title twice",
      lines: (text) => list(`id,${quoted(text)},${quoted(text)}\na,b,c\n`),
    },
    {
      ...anywhere,
      name: "member of a line",
      lines: (text) => list(JSON.stringify({ id: "a", [text]: [text] })),
    },
    ...["chip", "keyMode", "subject", "sans", "efuseKeyId"].map((column): Place => ({
      ...anywhere,
      name: `cell ${column}`,
      lines: (text) => list(`id,${column}\na,${quoted(text)}\n`),
    })),
    { name: "member of a profile", lines: (text) => profile({ [text]: 1 }) },
    ...["chip", "keyMode", "format", "subject", "ca", "caCert", "usage", "days"].map((
      member,
    ): Place => ({
      ...anywhere,
      name: `profile's ${member}`,
      lines: (text) => profile({ [member]: text, size: 1 }),
    })),
    {
      ...anywhere,
      name: "profile's data",
      lines: (text) => profile({ data: [{ type: text, text: "x" }] }),
    },
    {
      name: "argument",
      lines: (text) => [
        ...bulk("--count", text),
        ...bulk("--count", "1", "--shard", text),
        ...bulk("--devices", text),
        ...bulk("--count", "1", "--profile", text),
        ...bulk("--count", "1", "--ca-cert", text),
        ["bulk", "status", text],
        ["bulk", "verify", text],
        ["bulk", "merge", text, "-o", `${folder}/out`],
        ["bulk", "export", text, "--to", "csv", "-o", `${folder}/out`],
      ],
    },
  ];
}

Deno.test("text of lists and profiles is escaped", async () => {
  await inFolder(async (folder) => {
    for (const place of placesOfBulk(folder)) await assertEscaped(place, world);
  });
});

Deno.test("titles of columns that are kept are escaped", async () => {
  await inFolder(async (folder) => {
    let count = 0;
    await assertEscaped({
      name: "title",
      printedBy: "some",
      lines: (text) => {
        Deno.writeTextFileSync(`${folder}/list`, `id,${quoted(text)}\na,b\n`);
        const batch = `${folder}/${count++}`;
        const flags = ["--ca", `${folder}/ca`, "--workers", "1"];
        return [["bulk", "--devices", `${folder}/list`, ...flags, "-o", batch]];
      },
    }, world);
  });
});

/** Places in a finished batch of one device. */
function placesOfBatch(good: string, batch: string): readonly Place[] {
  const lines = (flags: readonly string[] = []) => [
    ["bulk", "status", batch],
    ["bulk", "verify", batch, ...flags],
    ["bulk", "merge", batch, ...flags, "-o", `${batch}.out`],
    ["bulk", "export", batch, "--to", "csv", "-o", `${batch}.out`],
  ];
  const file = (name: string) => ({
    read: () => Deno.readTextFileSync(`${good}/${name}`),
    write: (text: string) => Deno.writeTextFileSync(`${batch}/${name}`, text),
  });
  const [manifest, plan] = [file("manifest.ndjson"), file("efuse/dev-000001.json")];
  const journal = (column: string, text: string, state: string) => {
    for (const name of ["journal.sqlite"]) Deno.copyFileSync(`${good}/${name}`, `${batch}/${name}`);
    const database = new DatabaseSync(`${batch}/journal.sqlite`);
    database.prepare(`UPDATE devices SET state = ?, ${column} = ?`).run(state, text);
    database.close();
    return lines();
  };
  const [row, efuses] = [JSON.parse(manifest.read()), JSON.parse(plan.read())];
  return [
    ...[...Object.keys(row), "more"].map((column): Place => ({
      name: `manifest's ${column}`,
      // An id, and what is compared with another one, may be a digest.
      hides: column === "id" ? "long" : "both",
      printedBy: "some or none",
      lines: (text) => {
        manifest.write(JSON.stringify({ ...row, [column]: text }) + "\n");
        return lines();
      },
    })),
    {
      name: "column of the manifest",
      printedBy: "some or none",
      lines: (text) => {
        manifest.write(JSON.stringify({ ...row, [text]: text }) + "\n");
        return lines();
      },
    },
    ...Object.keys(efuses).map((member): Place => ({
      name: `eFuse plan's ${member}`,
      printedBy: "some or none",
      lines: (text) => {
        manifest.write(manifest.read());
        plan.write(JSON.stringify({ ...efuses, [member]: text }));
        return lines();
      },
    })),
    ...["reason", "id", "fields", "keyMode", "serial"].map((column): Place => ({
      name: `journal's ${column}`,
      // What a device failed with is in this program's own words, and its id was checked before.
      hides: ["reason", "id"].includes(column) ? "neither" : "both",
      printedBy: column === "reason" ? "some" : "some or none",
      lines: (text) => {
        plan.write(plan.read());
        const value = column === "fields" ? JSON.stringify({ [text]: text }) : text;
        return journal(column, value, "failed");
      },
    })),
    {
      name: "file that belongs to no device",
      hides: "neither",
      printedBy: "some",
      lines: (text) => {
        journal("reason", "", "verified");
        Deno.writeTextFileSync(`${batch}/images/${text}.bin`, "x");
        return lines();
      },
    },
    {
      name: "folder",
      lines: (text) => [["inspect", `${batch}/${text}`], ["verify", `${batch}/${text}`]],
    },
  ];
}

needing(POSIX).test("text of manifests, journals and folders is escaped", async () => {
  await inFolder(async (folder) => {
    const flags = ["--count", "1", "--key-mode", "hmac-derived", "--chip", "esp32c3"];
    const good = await bulkIn(folder, "good", ...flags);
    await copyFolder(good, `${folder}/bad`);
    for (const place of placesOfBatch(good, `${folder}/bad`)) await assertEscaped(place, world);
  });
});

/** Files in the place of a device's key, with a text of their own. */
const KEY_FILES: Readonly<Record<string, (text: string) => string>> = {
  "PEM label": (text) => `-----BEGIN ${text}-----\nAAAA\n`,
  "DEK-Info": (text) =>
    `-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: ${text},00\n\nAAAA\n` +
    "-----END RSA PRIVATE KEY-----\n",
  "kty of a JWK": (text) => JSON.stringify({ kty: text }),
  "crv of a JWK": (text) => JSON.stringify({ kty: "EC", crv: text }),
  "text of another kind": (text) => text,
};

needing(POSIX).test(
  "the text of a key that is refused is escaped, and no journal has it",
  async () => {
    await inFolder(async (folder) => {
      assertEquals((await cli("ca", "--subject", "CN=x", "-o", `${folder}/ca`)).code, 0);
      await Deno.mkdir(`${folder}/keys`);
      Deno.writeTextFileSync(`${folder}/password`, "x");
      const made = { texts: [] as string[], batch: "" };
      for (const [name, fileOf] of Object.entries(KEY_FILES)) {
        await assertEscaped({
          name,
          printedBy: "some or none",
          lines: (text) => {
            Deno.writeTextFileSync(`${folder}/keys/dev-000001.pem`, fileOf(text));
            made.batch = `${folder}/${made.texts.length}`;
            made.texts.push(text);
            const keys = ["--keys", `${folder}/keys`, "--password-file", `${folder}/password`];
            const line = [
              "bulk",
              "--count",
              "1",
              "--workers",
              "1",
              "--ca",
              `${folder}/ca`,
              ...keys,
            ];
            return [[...line, "-o", made.batch], ["bulk", "status", made.batch]];
          },
        }, world);
      }
      for (const at of made.texts.keys()) {
        for (const { name, isFile } of Deno.readDirSync(`${folder}/${at}`)) {
          if (!isFile) continue;
          const left = new TextDecoder("latin1").decode(
            Deno.readFileSync(`${folder}/${at}/${name}`),
          );
          assertEquals(repeats(left), false, `${name} of ${made.texts[at]!.slice(0, 100)}`);
        }
      }
    });
  },
);
