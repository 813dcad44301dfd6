/** The public modules: what they export, by subject. A new name is a new promise. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** What scripts import from `mod.ts`, types too, by the `@category` of its documentation. */
const TOOLKIT = {
  "Errors and text": "Bytes ErrorCode SecureCertError formatPem",
  "Names and chips":
    "CHIPS Chip ChipName ImageFormat KeyMode TLV_TYPES TLV_TYPE_TABLE TlvType keyModesOf",
  "TLV images": "DecodedTlv Tlv decodePartition decodeTlv encodePartition encodeTlv tlvSize",
  "cust_flash and NVS": `Credentials DecodedNvs NvsItem decodeCustFlash decodeNvs
    decodeNvsCredentials encodeCustFlash encodeNvs encodeNvsCredentials`,
  "Peripheral values": `decodeDsContext decodeDsData decodeSecurityConfig encodeDsContext
    encodeDsData encodeSecurityConfig`,
  "Partition tables": `PartitionTableEntry decodePartitionTable encodePartitionTable
    formatPartitionCsv parsePartitionCsv`,
  "Configuration CSV": "ConfigRow formatConfigCsv parseConfigCsv",
  "Keys and certificates": `Certificate CertificateInput EcCurve Issuer KeyInput PrivateKey
    SigningRequest createCa createIssuer createRequest escapeNameValue exportPrivateKey
    generateKey importPrivateKey issueCertificate keyName readCertificate`,
  "Key peripherals":
    "decryptDsParameters decryptEntry deriveEcdsaKey encryptDsParameters encryptEntry",
  "Flash encryption": "decryptFlash encryptFlash",
  "Signatures": `SignatureKey Signer attachSignatures decodeSignatureBlock decodeSignatureEntry
    encodeSignatureBlock encodeSignatureEntry signPartition signingDigest verifySignatures`,
  "Reading and checking":
    `CredentialFileReport Diff EntryReport FINDINGS Finding Found ImageLocation Inspection
    SecureCert Verdict deviceCredentials diff findSecureCert inspect openSecureCert reportCertificate verify`,
  "Building and changing": `BuildOptions BuildPlan BuildResult DataEntry EfuseKey EfusePlan append
    build buildFromCsv convert createDevelopmentCa extract provision`,
};

/** The same of `lib/batch/mod.ts`. */
const BATCH = {
  "Making a batch": "BulkOptions BulkPhase BulkResult BulkShard BulkState BulkSummary bulk",
  "Ports": `Awaitable BulkFile BulkFiles BulkJob BulkJournal BulkMaker JournaledDevice KeySource
    memoryBatch`,
  "Device list and profile": `BulkData BulkDevice BulkProfile DeviceRow bulkProfileSchema
    countDevices parseBulkProfile readCsvDevices readNdjsonDevices`,
  "Manifest and labels": `ManifestRow formatLabel formatManifestCsv formatManifestCsvHeader
    formatManifestNdjson parseManifestCsv parseManifestNdjson`,
  "Exporters": `EXPORT_SERVICES ExportDevice ExportPart ExportService Exporter exportAws
    exportAzure exportCsv exportRainmaker`,
};

interface Export {
  readonly name: string;
  /** The file that has it, from the root. */
  readonly file: string;
}

/** What the lines `export { … } from "…"` of a module name. */
function exportsOf(path: string): Export[] {
  const url = new URL(path, ROOT);
  return [...Deno.readTextFileSync(url).matchAll(/^export (?:type )?\{(.+)\} from "(.+)";$/gm)]
    .flatMap(([, names, file]) =>
      names!.split(",").map((name) => ({
        name: name.trim().replace(/^type /, ""),
        file: new URL(file!, url).pathname.slice(ROOT.pathname.length),
      }))
    );
}

/** The `@category` in the documentation of an export. */
function categoryOf({ name, file }: Export): string | undefined {
  const text = Deno.readTextFileSync(new URL(file, ROOT));
  const at = text.search(
    new RegExp(`^export (?:async )?(?:function\\*?|const|class|interface|type) ${name}\\b`, "m"),
  );
  const comment = text.slice(text.lastIndexOf("/**", at), at);
  return /@category (.+)/.exec(comment)?.[1];
}

function bySubject(path: string): Record<string, string> {
  const groups = Map.groupBy(exportsOf(path), (each) => categoryOf(each) ?? "no category");
  return Object.fromEntries(
    [...groups].map(([subject, found]) => [
      subject,
      found.map(({ name }) => name).toSorted().join(" "),
    ]),
  );
}

/** A list with its line breaks taken out. */
const flat = (lists: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(lists).map(([subject, names]) => [subject, names.split(/\s+/).join(" ")]),
  );

Deno.test("the public modules export these names, each with its subject", () => {
  assertEquals(bySubject("mod.ts"), flat(TOOLKIT));
  assertEquals(bySubject("lib/batch/mod.ts"), flat(BATCH));
});
