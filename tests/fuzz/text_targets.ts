import * as toolkit from "../../mod.ts";
import * as batch from "../../lib/batch/mod.ts";
import { checkEfusePlan } from "../../lib/batch/check/files.ts";
import type { Bytes } from "../../lib/bytes/pack.ts";
import { encodeUtf8 } from "../../lib/bytes/text.ts";
import { commonNameOf, encodeName } from "../../lib/crypto/x509/names.ts";
import { formatCommand, planEfuse } from "../../lib/key_modes/efuse_plan.ts";
import type { Seeds } from "./seeds.ts";
import { drain, sameValue, type Target, textOf } from "./target.ts";

const ROW: batch.ManifestRow = {
  id: "a",
  serial: "01",
  fingerprint: "00",
  publicKey: "AA==",
  imageSha256: "00",
  keyMode: "ecdsa-peripheral",
  efuseKeyId: 1,
  status: "verified",
  note: 'x "y", z',
};

const PROFILE = {
  chip: "esp32c3",
  format: "tlv",
  keyMode: "plaintext",
  subject: "CN={id}",
  sans: ["dns:{id}.example"],
  days: 10,
  usage: ["client"],
  data: [{ type: 51, string: "{id}" }, { type: "user2", subtype: 1, hex: "00ff" }],
};

/** Lists, profiles, manifests, plans and names: texts of others. */
export function textTargets(seeds: Seeds): readonly Target[] {
  const publicKey = seeds.signer.publicKey.toBase64();
  const ours: batch.ManifestRow = { ...ROW, publicKey };
  const { command, ...plan } = planEfuse({
    chip: "esp32c5",
    keyMode: "ecdsa-peripheral",
    keyFile: "secret/a.key.pem",
    keyId: 1,
    curve: "P-256",
  });
  const lines = (text: Bytes) => textOf(text).split("\n");
  return [
    {
      name: "readCsvDevices",
      seeds: [
        ...seeds.lists,
        encodeUtf8("id;subject;sans;efuse_key_id;user1\ndev-1;CN=a;dns:x|dns:y;1;a\n"),
      ],
      run: (input) => drain(batch.readCsvDevices(lines(input))),
    },
    {
      name: "readNdjsonDevices",
      seeds: seeds.ndjson,
      run: (input) => drain(batch.readNdjsonDevices(lines(input))),
    },
    {
      name: "countDevices",
      seeds: ["dev-{n:06}", "{n}", "a{n:03}b{n}"].map(encodeUtf8),
      run: (input) => Array.from(batch.countDevices(3, textOf(input))),
    },
    {
      name: "parseBulkProfile",
      seeds: [...seeds.profiles, encodeUtf8(JSON.stringify(PROFILE))],
      run(input) {
        const profile = batch.parseBulkProfile(textOf(input));
        sameValue(profile, batch.parseBulkProfile(JSON.stringify(profile)));
      },
    },
    {
      name: "parseManifestNdjson",
      seeds: [ROW, { ...ours, efuseKeyId: null }].map((row) =>
        encodeUtf8(batch.formatManifestNdjson(row))
      ),
      run(input) {
        const rows = batch.parseManifestNdjson(textOf(input));
        const text = rows.map((row) => batch.formatManifestNdjson(row)).join("");
        sameValue(rows, batch.parseManifestNdjson(text));
        rows.map((row) => [batch.formatLabel(row), batch.formatManifestCsv(row, ["note"])]);
      },
    },
    {
      name: "parseManifestCsv",
      seeds: [ROW, { ...ours, efuseKeyId: null, note: "=1" }].map((row) =>
        encodeUtf8(batch.formatManifestCsvHeader(["note"]) + batch.formatManifestCsv(row, ["note"]))
      ),
      run(input) {
        const rows = batch.parseManifestCsv(textOf(input));
        const columns = Object.keys(rows[0] ?? {});
        const text = rows.map((row) => batch.formatManifestCsv(row, columns)).join("");
        const again = batch.parseManifestCsv(batch.formatManifestCsvHeader(columns) + text);
        // Columns of one's own come after those of every manifest, wherever they were.
        const sorted = (row: batch.ManifestRow) => Object.entries(row).toSorted();
        sameValue(rows.map(sorted), again.map(sorted));
      },
    },
    {
      name: "checkEfusePlan",
      seeds: [encodeUtf8(JSON.stringify({ ...plan, command: formatCommand(command) }))],
      run: (input) => checkEfusePlan(ours, input),
    },
    {
      name: "checkEfusePlan of another row",
      seeds: [encodeUtf8(batch.formatManifestNdjson(ours))],
      run: (input) =>
        batch.parseManifestNdjson(textOf(input)).map((row) =>
          checkEfusePlan(row, encodeUtf8('{"chip":"esp32c5"}'))
        ),
    },
    {
      name: "createRequest",
      seeds: ["CN=device 1,O=Example", "CN=a\\,b+OU=#0c0161,dns:a.example", "ip:::1,email:a@b"]
        .map(encodeUtf8),
      run(input) {
        const [subject = "", ...sans] = textOf(input).split(",");
        return toolkit.createRequest({ key: seeds.signer, subject, sans });
      },
    },
    {
      name: "escapeNameValue",
      seeds: [encodeUtf8('a,b+c"d\\e<f>;# x')],
      run(input) {
        const value = textOf(input);
        sameValue(value, commonNameOf(encodeName(`CN=${toolkit.escapeNameValue(value)}`)));
      },
    },
  ];
}
