import * as toolkit from "../../mod.ts";
import type { Bytes } from "../../lib/bytes/pack.ts";
import { encodeUtf8 } from "../../lib/bytes/text.ts";
import { deviceTargets } from "./device_targets.ts";
import { dumpTargets } from "./dump_targets.ts";
import { fixCustFlash, fixDer, fixNvs, fixSignatureBlock, fixTable, fixTlv } from "./guards.ts";
import { peripheralTargets } from "./peripheral_targets.ts";
import type { Seeds } from "./seeds.ts";
import { all, erasedTo, now, same, sameValue, type Target, textOf } from "./target.ts";
import { textTargets } from "./text_targets.ts";

/** Where the firmware looks, and a place where it does not. */
const PARTITIONS = [
  { type: 0x3F, label: "esp_secure_cert" },
  { type: 0x3F, label: "pre_prov" },
  { type: 1, label: "esp_secure_cert" },
  { type: 1, label: "pre_prov" },
  { type: 1, label: "nvs" },
] as const;

/** All that the firmware gives of an image. */
async function getters(opened: toolkit.SecureCert): Promise<void> {
  await all([
    opened.entries(),
    opened.entry("ESP_SECURE_CERT_DEV_CERT_TLV", 254),
    opened.deviceCert(),
    opened.caCert(),
    opened.privateKey(),
    opened.privateKeyType(),
    opened.privateKeyEfuseBlock(),
    opened.dsContext(),
    opened.verifyIntegrity(),
  ]);
}

/** Everything that reads bytes of others, and the verbs. */
export function targets(seeds: Seeds): readonly Target[] {
  const { tlv, custFlash, nvs, table, certificates, keys, requests, hmacKey } = seeds;
  const images = [...tlv, ...custFlash, ...nvs];
  const other = toolkit.encodePartition([{ type: 55, subtype: 0, data: new Uint8Array(3) }]);
  const guard = fixImage;
  const image = (name: string, run: Target["run"]): Target => ({ name, seeds: images, guard, run });
  const chain = (name: string, run: Target["run"]): Target => ({ name, seeds: tlv, guard, run });
  return [
    {
      name: "decodeTlv",
      seeds: tlv,
      guard: fixTlv,
      run(input) {
        const { value, size } = toolkit.decodeTlv(input);
        same(input.subarray(0, size), toolkit.encodeTlv(value));
      },
    },
    {
      name: "decodePartition",
      seeds: tlv,
      guard: fixTlv,
      run(input) {
        const { entries, used } = toolkit.decodePartition(input);
        const again = toolkit.encodePartition(entries, { size: used });
        same(input, erasedTo(again, input.length));
      },
    },
    {
      name: "decodeCustFlash",
      seeds: custFlash,
      guard: fixCustFlash,
      run(input) {
        const { credentials, legacy } = toolkit.decodeCustFlash(input);
        same(input, toolkit.encodeCustFlash(credentials, { legacy, size: input.length }));
      },
    },
    {
      name: "decodeNvs",
      seeds: nvs,
      guard: fixNvs,
      run(input) {
        const { items, problems } = toolkit.decodeNvs(input);
        if (problems.length > 0) return;
        const plain = (each: readonly toolkit.NvsItem[]) =>
          each.map(({ namespace, key, type, value }) => `${namespace} ${key} ${type} ${value}`)
            .sort();
        const again = toolkit.encodeNvs(items, { size: 0x10000 });
        sameValue(plain(items), plain(toolkit.decodeNvs(again).items));
      },
    },
    {
      name: "decodeNvsCredentials",
      seeds: nvs,
      guard: fixNvs,
      run(input) {
        const { credentials, problems } = toolkit.decodeNvsCredentials(input);
        if (problems.length > 0) return;
        const again = toolkit.encodeNvsCredentials(credentials, { size: 0x10000 });
        sameValue(credentials, toolkit.decodeNvsCredentials(again).credentials);
      },
    },
    {
      name: "decodeDsData",
      seeds: seeds.dsData,
      run: (input) => same(input, toolkit.encodeDsData(toolkit.decodeDsData(input))),
    },
    {
      name: "decodeDsContext",
      seeds: seeds.dsContext,
      run: (input) => same(input, toolkit.encodeDsContext(toolkit.decodeDsContext(input))),
    },
    {
      name: "decodeSecurityConfig",
      seeds: seeds.securityConfig,
      run: (input) =>
        same(input, toolkit.encodeSecurityConfig(toolkit.decodeSecurityConfig(input))),
    },
    {
      name: "decodeSignatureBlock",
      seeds: seeds.signatureBlocks,
      guard: fixSignatureBlock,
      run: (input) =>
        same(input, toolkit.encodeSignatureBlock(toolkit.decodeSignatureBlock(input))),
    },
    {
      name: "decodeSignatureEntry",
      seeds: seeds.signatureEntries,
      guard: fixSignatureBlock,
      run: (input) =>
        same(input, toolkit.encodeSignatureEntry(toolkit.decodeSignatureEntry(input))),
    },
    {
      name: "parseConfigCsv",
      seeds: seeds.configs,
      run(input) {
        const rows = toolkit.parseConfigCsv(textOf(input));
        const lineless = (rows: readonly toolkit.ConfigRow[]) =>
          rows.map((row) => ({ ...row, line: 0 }));
        const again = toolkit.parseConfigCsv(toolkit.formatConfigCsv(rows));
        sameValue(lineless(rows), lineless(again));
      },
    },
    {
      name: "parsePartitionCsv",
      seeds: seeds.partitionCsvs,
      run(input) {
        const entries = toolkit.parsePartitionCsv(textOf(input));
        sameValue(entries, toolkit.parsePartitionCsv(toolkit.formatPartitionCsv(entries)));
      },
    },
    {
      name: "decodePartitionTable",
      seeds: table,
      guard: fixTable,
      run(input) {
        const { entries, md5 } = toolkit.decodePartitionTable(input);
        const again = toolkit.encodePartitionTable(entries, { md5: md5 !== undefined });
        // The erased rest of a table may be of any length.
        const length = Math.max(input.length, again.length);
        same(erasedTo(input, length), erasedTo(again, length));
      },
    },
    {
      name: "importPrivateKey",
      seeds: keys,
      guard: fixDer,
      async run(input) {
        const key = await toolkit.importPrivateKey(input, { password: "secret" });
        const again = await toolkit.importPrivateKey(toolkit.exportPrivateKey(key));
        same(key.publicKey, again.publicKey);
      },
    },
    { name: "readCertificate", seeds: certificates, guard: fixDer, run: readCertificate },
    {
      name: "issueCertificate",
      seeds: requests,
      guard: fixDer,
      run: (request) => toolkit.issueCertificate({ request, issuer: seeds.issuer, now }),
    },
    {
      name: "findSecureCert",
      seeds: [...images, ...table],
      guard,
      run: (input) => void toolkit.findSecureCert(input),
    },
    image("openSecureCert", (input) => getters(toolkit.openSecureCert(input, { hmacKey }))),
    image("openSecureCert in a partition", async (input) => {
      for (const partition of PARTITIONS) {
        for (const legacyBuild of [false, true]) {
          await getters(toolkit.openSecureCert(input, { hmacKey, legacyBuild, partition }));
        }
      }
    }),
    image("deviceCredentials", (input) => toolkit.deviceCredentials(input, { hmacKey })),
    image("inspect", (input) => toolkit.inspect(input, { hmacKey })),
    image("verify", (input) => toolkit.verify(input, { hmacKey, chip: "esp32s3", now })),
    image("verifySignatures", (input) => toolkit.verifySignatures(input)),
    image("extract", async (input) => {
      const files = new Map(
        (await toolkit.extract(input)).map(({ name, bytes }) => [name, bytes]),
      );
      const csv = [...files.keys()].find((name) => name.endsWith(".csv"))!;
      const load = (path: string) => Promise.resolve(files.get(path));
      const { image } = await toolkit.buildFromCsv(textOf(files.get(csv)!), {
        load,
        verify: false,
      });
      same(input, image);
    }),
    ...(["tlv", "cust_flash", "cust_flash_legacy", "nvs", "nvs_legacy"] as const).map((to) =>
      image(`convert ${to}`, (input) => toolkit.convert(input, { to, hmacKey, now }))
    ),
    chain("append", (input) =>
      toolkit.append(input, {
        entries: [{ type: 55, subtype: 7, data: new Uint8Array(3) }],
        size: 0x10000,
      })),
    chain(
      "signPartition",
      (input) => toolkit.signPartition(input, [seeds.signer], { size: 0x10000 }),
    ),
    chain("attachSignatures", async (input) => {
      const { message } = await toolkit.signingDigest(input);
      const length = message.length;
      const { publicKey } = seeds.signer;
      // What a signer gave for other bytes, raw and as DER, and the right answer of a key of one's own.
      const signatures = [message.subarray(0, 64), message.subarray(length - 70)];
      await all(
        signatures.map((signature) =>
          toolkit.attachSignatures(input, [{ publicKey, signature }], { size: 0x10000 })
        ),
      );
    }),
    {
      name: "attachSignatures of another signer",
      seeds: [seeds.signer.publicKey as Bytes, seeds.publicKeys[1]!],
      guard: fixDer,
      run: (publicKey) =>
        toolkit.attachSignatures(tlv[0]!, [{ publicKey, signature: publicKey.subarray(0, 64) }]),
    },
    {
      name: "signingDigest",
      seeds: seeds.publicKeys,
      guard: fixDer,
      run: (publicKey) => toolkit.signingDigest(tlv[0]!, { publicKey }),
    },
    image("diff", (input) => toolkit.diff(input, other)),
    {
      name: "buildFromCsv",
      seeds: seeds.configs,
      run: (input) =>
        toolkit.buildFromCsv(textOf(input), {
          load: () => Promise.resolve(keys[0]),
          chip: "esp32c3",
          hmacKey,
          now,
        }),
    },
    ...deviceTargets(seeds),
    ...dumpTargets(seeds),
    ...peripheralTargets(seeds),
    ...textTargets(seeds),
  ];
}

function readCertificate(input: Bytes): void {
  const certificate = toolkit.readCertificate(input);
  toolkit.reportCertificate(certificate);
  same(
    encodeUtf8(certificate.pem),
    encodeUtf8(toolkit.readCertificate(encodeUtf8(certificate.pem)).pem),
  );
}

function fixImage(bytes: Uint8Array): void {
  const first = bytes[0];
  if (first === 0x11) fixTlv(bytes);
  else if (first !== undefined && first >= 0xF8) fixNvs(bytes);
  else fixCustFlash(bytes);
}
