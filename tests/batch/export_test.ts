/** What is exported, against the shapes that the services publish. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { commonNameOf } from "../../lib/crypto/x509/names.ts";
import { SecureCertError } from "../../lib/bytes/errors.ts";
import { readCsv } from "../../lib/bytes/csv.ts";
import { aws, exportAws } from "../../lib/batch/export/aws.ts";
import { azure, exportAzure } from "../../lib/batch/export/azure.ts";
import { csv, exportCsv } from "../../lib/batch/export/csv.ts";
import {
  certificateProblems,
  exportColumns,
  type ExportDevice,
  exportDevice,
  type Exporter,
  storedCaNotes,
} from "../../lib/batch/export/exporter.ts";
import { exportRainmaker, rainmaker } from "../../lib/batch/export/rainmaker.ts";
import { formatManifestCsv, MANIFEST_COLUMNS, type ManifestRow } from "../../lib/batch/manifest.ts";
import {
  createCa,
  createDevelopmentCa,
  formatPem,
  generateKey,
  issueCertificate,
  readCertificate,
} from "../../mod.ts";
import { sha256 } from "../cli/batch/batch.ts";

const issuer = await createDevelopmentCa();
const ca = issuer.certificate;
const { publicKey } = await generateKey();

async function device(id: string, subject = `CN=${id}`, extra = {}): Promise<ExportDevice> {
  const der = await issueCertificate({ issuer, publicKey, subject });
  const info = readCertificate(der);
  const row: ManifestRow = {
    id,
    serial: info.serial,
    fingerprint: "ab".repeat(32),
    publicKey: "AA==",
    imageSha256: "cd".repeat(32),
    keyMode: "plaintext",
    efuseKeyId: null,
    status: "verified",
    ...extra,
  };
  // A bundle, as a device may store it: what is exported is the device's own certificate.
  const bundle = der.pem + ca.pem;
  return exportDevice(row, new TextEncoder().encode(bundle));
}

const devices = [await device("dev-1"), await device("dev-2")];
const pem = ({ certificate }: ExportDevice) => formatPem("CERTIFICATE", certificate.der);

/** The files of an export, each in one piece. */
async function filesOf(
  { parts }: Exporter,
  all: readonly ExportDevice[],
): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  async function* stream() {
    yield* all;
  }
  for await (const { file, text } of parts(stream())) files[file] = (files[file] ?? "") + text;
  return files;
}

const lines = (text: string) => text.trimEnd().split("\n").map((line) => JSON.parse(line));
const records = (text: string) => {
  const { records, problems } = readCsv(text);
  assertEquals(problems, []);
  return records.map((record) => record.map(({ text }) => text));
};

Deno.test("aws: an object of parameters a line, and a template that declares and uses each", async () => {
  const files = await filesOf(exportAws({ ca, policy: "devices" }), devices);
  assertEquals(Object.keys(files), ["template.json", "parameters.ndjson"]);
  const parameters = lines(files["parameters.ndjson"]!);
  assertEquals(
    parameters,
    devices.map((each) => ({
      ThingName: each.row.id,
      SerialNumber: each.row.serial,
      CertificatePem: pem(each),
    })),
  );
  const { Parameters, Resources, ...rest } = JSON.parse(files["template.json"]!);
  assertEquals(rest, {});
  for (const { Type } of Object.values<{ Type: string }>(Parameters)) assertEquals(Type, "String");
  assertEquals(Parameters.CACertificatePem.Default, ca.pem);
  const withoutDefault = Object.keys(Parameters).filter((name) => !("Default" in Parameters[name]));
  assertEquals(withoutDefault.sort(), Object.keys(parameters[0]).sort());
  const refs = [...JSON.stringify(Resources).matchAll(/\{"Ref":"(\w+)"\}/g)].map(([, name]) =>
    name!
  );
  assertEquals(refs.sort(), Object.keys(Parameters).sort());
  assertEquals(Object.values<{ Type: string }>(Resources).map(({ Type }) => Type), [
    "AWS::IoT::Thing",
    "AWS::IoT::Certificate",
    "AWS::IoT::Policy",
  ]);
  assertEquals(Resources.certificate.Properties.Status, "ACTIVE");
  assertEquals(Resources.policy.Properties, { PolicyName: "devices" });
  const without = await filesOf(exportAws({ ca }), []);
  assertEquals(Object.keys(JSON.parse(without["template.json"]!).Resources), [
    "thing",
    "certificate",
  ]);
});

Deno.test("aws: names that a thing cannot have are reported, and a CA too long for a template is refused", async () => {
  const { problemsOf } = exportAws({ ca });
  assertEquals(problemsOf(devices[0]!), []);
  assertEquals(problemsOf(await device("a:b_c-1")), []);
  for (const id of ["dev.1", "dev 1", "é", "x".repeat(129)]) {
    assertEquals(problemsOf(await device(id, "CN=x")).length, 1, id);
  }
  for (const policy of ["", "a b", "é", "x".repeat(129)]) {
    assertThrows(() => exportAws({ ca, policy }), RangeError, "is not a name of a policy");
  }
  assertEquals(exportAws({ ca, policy: "a.b_c+d=e,f@g-1" }).problemsOf(devices[0]!), []);
  const leaf = devices[0]!.certificate.der;
  assertEquals(
    assertThrows(() => exportAws({ ca: leaf }), SecureCertError).code,
    "ERR_CERTIFICATE",
  );
  const subject = Array.from({ length: 150 }, (_, at) => `OU=${String(at).padStart(60, "x")}`)
    .join();
  const long = await createCa({ subject: `CN=long,${subject}`, key: issuer.key });
  assertEquals(assertThrows(() => exportAws({ ca: long }), SecureCertError).code, "ERR_TOO_LARGE");
});

Deno.test("azure: requests of at most ten enrolments, and the group", async () => {
  const many = Array.from({ length: 23 }, (_, at) => ({
    ...devices[0]!,
    row: { ...devices[0]!.row, id: `dev-${at}` },
  }));
  const files = await filesOf(exportAzure({ ca, group: "hall-3" }), many);
  assertEquals(Object.keys(files), ["enrollment_group.json", "enrollments.ndjson"]);
  const requests = lines(files["enrollments.ndjson"]!);
  assertEquals(requests.map(({ enrollments }) => enrollments.length), [10, 10, 3]);
  for (const request of requests) {
    assertEquals(Object.keys(request).sort(), ["enrollments", "mode"]);
    assertEquals(request.mode, "create");
  }
  assertEquals(requests[0].enrollments[0], {
    registrationId: "dev-0",
    deviceId: "dev-0",
    attestation: {
      type: "x509",
      x509: { clientCertificates: { primary: { certificate: pem(devices[0]!) } } },
    },
    provisioningStatus: "enabled",
  });
  assertEquals(JSON.parse(files["enrollment_group.json"]!), {
    enrollmentGroupId: "hall-3",
    attestation: {
      type: "x509",
      x509: {
        signingCertificates: { primary: { certificate: ca.pem } },
      },
    },
    provisioningStatus: "enabled",
  });
  const ten = await filesOf(exportAzure({ ca }), many.slice(0, 10));
  assertEquals(lines(ten["enrollments.ndjson"]!).length, 1);
  assertEquals((await filesOf(exportAzure({ ca }), []))["enrollments.ndjson"], undefined);
  for (const group of ["a.", "a b", ""]) {
    assertThrows(() => exportAzure({ ca, group }), RangeError);
  }
  exportAzure({ ca, group: "eu:devices-" });
});

Deno.test("azure: a registration ID is the common name, and capitals do not distinguish two", async () => {
  const { problemsOf } = exportAzure({ ca });
  assertEquals(problemsOf(devices[0]!), []);
  assertMatch(problemsOf(await device("DEV-1"))[0]!, /capitals/);
  assertMatch(problemsOf(await device("dev-3", "CN=other"))[0]!, /common name "other".*"dev-3"/);
  assertMatch(problemsOf(await device("dev-4", "O=none"))[0]!, /no common name/);
  for (const id of ["dev-1-", "_x"]) assertEquals(problemsOf(await device(id)), []);
  for (const id of ["a.", "a_", "a b", "a/b", "x".repeat(129)]) {
    const wrong = problemsOf({ ...devices[0]!, row: { ...devices[0]!.row, id } });
    assert(wrong.some((text) => text.includes("registration ID")), id);
  }
});

Deno.test("rainmaker: node_id, certs and the columns for tags", async () => {
  const tagged = [await device("n1", "CN=n1", { city: "Pune, east", certs: "x" })];
  const files = await filesOf(exportRainmaker({ columns: ["city", "certs", "id"] }), tagged);
  assertEquals(Object.keys(files), ["node_certs.csv"]);
  assertEquals(records(files["node_certs.csv"]!), [
    ["node_id", "certs", "city", "list_certs"],
    ["n1", pem(tagged[0]!), "Pune, east", "x"],
  ]);
  const plain = await filesOf(exportRainmaker(), devices);
  assert(
    plain["node_certs.csv"]!.startsWith('node_id,certs\ndev-1,"-----BEGIN CERTIFICATE-----\n'),
  );
  assertEquals(exportRainmaker().problemsOf(devices[0]!), []);
  assertEquals(exportRainmaker().problemsOf(await device("n2", "CN=n1")).length, 1);
  assertMatch(exportRainmaker().problemsOf(await device("n.1"))[0]!, /a thing's name/);
});

Deno.test("a column with the name of one of the export's own is kept under another, which is reported", async () => {
  const { columns, notes } = exportColumns(["certs", "list_certs", "city"], ["certs"]);
  assertEquals(columns.map(({ title }) => title), ["list_list_certs", "list_certs", "city"]);
  assertEquals(notes.length, 1);
  assertMatch(notes[0]!, /certs of the list is list_list_certs here/);
  const exporter = exportCsv({ columns: ["notAfter"] });
  assertEquals(exporter.notes?.length, 1);
  const files = await filesOf(exporter, [await device("n1", "CN=n1", { notAfter: "2099" })]);
  const [head, row] = records(files["devices.csv"]!);
  assertEquals(row![head!.indexOf("list_notAfter")], "2099");
});

Deno.test("a column may have the name of what every object inherits", async () => {
  const columns = ["constructor", "toString"];
  const with1 = await device("n1", "CN=n1", { constructor: "x" });
  for (
    const [exporter, file] of [
      [exportCsv({ columns }), "devices.csv"],
      [exportRainmaker({ columns }), "node_certs.csv"],
    ] as const
  ) {
    const [head, one, two] = records((await filesOf(exporter, [with1, devices[0]!]))[file]!);
    const [at, other] = columns.map((name) => head!.indexOf(name));
    assertEquals([one![at!], one![other!], two![at!]], ["x", "", ""]);
  }
  assertMatch(formatManifestCsv(devices[0]!.row, columns), /,verified,,\n$/);
});

Deno.test("the certificate is the row's, and the CA signed it", async () => {
  const [one] = devices;
  const fingerprint = await sha256(one!.certificate.der);
  const right = { ...one!, row: { ...one!.row, fingerprint } };
  assertEquals(await certificateProblems(right, readCertificate(ca)), []);
  assertMatch((await certificateProblems(one!))[0]!, /not the one that the manifest lists/);
  const { certificate: stranger } = await createDevelopmentCa();
  assertMatch(
    (await certificateProblems(right, readCertificate(stranger)))[0]!,
    /did not sign the certificate/,
  );
});

Deno.test("csv: the manifest's columns and the certificate", async () => {
  const [one] = [await device("n1", "CN=n1,O=Example", { hall: 'a "b"' })];
  const files = await filesOf(exportCsv({ columns: ["hall", "subject"] }), [one!]);
  const [head, row] = records(files["devices.csv"]!);
  assertEquals(head, [
    ...MANIFEST_COLUMNS,
    "hall",
    "list_subject",
    "subject",
    "notBefore",
    "notAfter",
    "certificate",
  ]);
  const cells = Object.fromEntries(head!.map((name, at) => [name, row![at]]));
  assertEquals([cells.id, cells.hall, cells.efuseKeyId], ["n1", 'a "b"', ""]);
  assertEquals([cells.subject, cells.certificate], ["CN=n1,O=Example", pem(one!)]);
  assertEquals(new Date(cells.notAfter!), one!.certificate.notAfter);
  assertEquals(exportCsv().problemsOf(one!), []);
});

Deno.test("the common name is read from the certificate's bytes, not from its text", async () => {
  for (const name of ["a,b", "x\\+y", "é", " a"]) {
    const escaped = name.replace(/[,+\\ ]/g, "\\$&");
    const { certificate } = await device("x", `O=o,CN=${escaped}`);
    assertEquals(commonNameOf(certificate.subjectDer), name);
  }
});

Deno.test("exports read no more devices than they need at a time", async () => {
  let read = 0;
  async function* endless() {
    for (;;) {
      read++;
      yield devices[0]!;
    }
  }
  for (const exporter of [exportAws({ ca }), exportAzure({ ca }), exportRainmaker(), exportCsv()]) {
    read = 0;
    let parts = 0;
    for await (const _ of exporter.parts(endless())) if (++parts === 5) break;
    assert(read <= 40, `${read}`);
  }
});

Deno.test("aws: without a CA the certificates are the account's, by the SHA-256 of their DER", async () => {
  const exporter = exportAws({ policy: "devices" });
  assertMatch(exporter.notes!.join(), /certificates that the account has/);
  const files = await filesOf(exporter, devices);
  assertEquals(
    lines(files["parameters.ndjson"]!),
    devices.map(({ row }) => ({
      ThingName: row.id,
      SerialNumber: row.serial,
      CertificateId: row.fingerprint,
    })),
  );
  const { Parameters, Resources } = JSON.parse(files["template.json"]!);
  assertEquals(Object.keys(Parameters), ["ThingName", "SerialNumber", "CertificateId"]);
  assertEquals(Resources.certificate.Properties, {
    CertificateId: { Ref: "CertificateId" },
    Status: "ACTIVE",
  });
});

Deno.test("devices that store no root of a service are warned of, with the flag and the file", async () => {
  const named = (name: string) => createCa({ subject: `CN=${name},O=X`, key: issuer.key });
  const rows = [
    [aws, "Amazon Root CA 1", "AmazonRootCA1.pem"],
    [aws, "Amazon Root CA 3", "AmazonRootCA1.pem"],
    [aws, "Starfield Services Root Certificate Authority - G2", "AmazonRootCA1.pem"],
    [rainmaker, "Amazon Root CA 1", "AmazonRootCA1.pem"],
    [azure, "DigiCert Global Root G2", "DigiCertGlobalRootG2.pem"],
    [azure, "Microsoft RSA Root Certificate Authority 2017", "DigiCertGlobalRootG2.pem"],
  ] as const;
  for (const [service, name, file] of rows) {
    const root = await named(name);
    assertEquals(storedCaNotes(service, [root]), []);
    assertEquals(storedCaNotes(service, [ca, root]), []);
    for (const stored of [[], [ca], [await named(`${name} X`)]]) {
      const [note, ...others] = storedCaNotes(service, stored);
      assertEquals(others, []);
      assert(note!.includes(`--ca-cert ${file}`), note);
    }
  }
  assertEquals(storedCaNotes(csv, [ca]), []);
});
