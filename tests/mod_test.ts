import { assertEquals } from "@std/assert";
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
  build inspect verify extract convert diff append provision bulk
  CHIPS TLV_TYPES SecureCertError
`.trim().split(/\s+/);

Deno.test("every name that scripts import is exported", () => {
  const missing = EXPORTS.filter((name) => !(name in toolkit));
  assertEquals(missing, []);
});
