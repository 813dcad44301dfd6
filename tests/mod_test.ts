import { assertEquals } from "@std/assert";
import * as batch from "../lib/batch/mod.ts";
import * as toolkit from "../mod.ts";

/** What scripts import by name. */
const EXPORTS = `
  encodeTlv decodeTlv tlvSize encodePartition decodePartition
  encodeCustFlash decodeCustFlash encodeNvs decodeNvs encodeNvsCredentials decodeNvsCredentials
  encodeDsData decodeDsData encodeDsContext decodeDsContext encodeSecurityConfig decodeSecurityConfig
  encodeSignatureBlock decodeSignatureBlock encodeSignatureEntry decodeSignatureEntry
  parseConfigCsv formatConfigCsv
  encodePartitionTable decodePartitionTable parsePartitionCsv formatPartitionCsv
  generateKey importPrivateKey exportPrivateKey
  createCa createRequest issueCertificate readCertificate
  encryptDsParameters decryptDsParameters encryptEntry decryptEntry deriveEcdsaKey
  signPartition verifySignatures openSecureCert
  build inspect verify extract convert diff append provision
  CHIPS TLV_TYPES SecureCertError
`.trim().split(/\s+/);

/** The same of the batch's own module. */
const BATCH_EXPORTS = `
  bulk countDevices readCsvDevices readNdjsonDevices parseBulkProfile memoryBatch
  formatManifestCsv formatManifestCsvHeader formatManifestNdjson parseManifestNdjson
  exportAws exportAzure exportCsv exportRainmaker
`.trim().split(/\s+/);

Deno.test("every name that scripts import is exported", () => {
  assertEquals(EXPORTS.filter((name) => !(name in toolkit)), []);
  assertEquals(BATCH_EXPORTS.filter((name) => !(name in batch)), []);
  assertEquals(BATCH_EXPORTS.filter((name) => name in toolkit), []);
});
