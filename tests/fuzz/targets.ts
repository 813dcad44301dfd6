import * as toolkit from "../../mod.ts";
import {
  parseBulkProfile,
  parseManifestNdjson,
  readCsvDevices,
  readNdjsonDevices,
} from "../../lib/batch/mod.ts";

import { concat, equalBytes } from "../../lib/bytes/pack.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/bytes/text.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { parseStoredCertificates, parseStoredKey } from "../../lib/device/stored.ts";
import { publicKeyRefusal } from "../../lib/device/public_key.ts";
import type { Bytes } from "../../lib/bytes/pack.ts";
import {
  fixCustFlash,
  fixDer,
  fixNvs,
  fixSignatureBlock,
  fixTable,
  fixTlv,
  type Guard,
} from "./guards.ts";
import type { Seeds } from "./seeds.ts";

/** A decoder or a verb, and what it is given. */
export interface Target {
  readonly name: string;
  /** Good inputs, which are changed. */
  readonly seeds: readonly Bytes[];
  /** What makes changed inputs pass their checksums; half of them are left as they are. */
  readonly guard?: Guard;
  /** Reads an input; throws a {@linkcode NotTheSame} when what it reads does not encode to it. */
  run(input: Bytes): unknown;
}

/** A strict decoder took bytes that its encoder does not give. */
export class NotTheSame extends Error {}

function same(input: Uint8Array, again: Uint8Array): void {
  if (!equalBytes(input, again)) throw new NotTheSame("encodes to other bytes");
}

function sameValue(value: unknown, again: unknown): void {
  if (JSON.stringify(value) !== JSON.stringify(again)) throw new NotTheSame("reads other values");
}

/** With erased flash after it. */
function erasedTo(bytes: Uint8Array, length: number): Uint8Array {
  return concat(bytes, new Uint8Array(length - bytes.length).fill(0xFF));
}

const textOf = (bytes: Uint8Array) => decodeUtf8(bytes) ?? new TextDecoder().decode(bytes);

async function drain(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

const now = () => new Date("2026-01-01T00:00:00Z");
/** A rejected getter is an answer like another one; what it rejects with is checked. */
async function all(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const each of await Promise.allSettled(promises)) {
    if (each.status === "rejected" && !(each.reason instanceof toolkit.SecureCertError)) {
      throw each.reason;
    }
  }
}

/** Everything that reads bytes of others, and the verbs. */
export function targets(seeds: Seeds): readonly Target[] {
  const { tlv, custFlash, nvs, table, certificates, keys, requests, hmacKey } = seeds;
  const images = [...tlv, ...custFlash, ...nvs];
  const guard = fixImage;
  const image = (name: string, run: Target["run"]): Target => ({ name, seeds: images, guard, run });
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
        same(input, concat(again, new Uint8Array(input.length - used).fill(0xFF)));
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
    { name: "decodeNvs", seeds: nvs, guard: fixNvs, run: toolkit.decodeNvs },
    { name: "decodeNvsCredentials", seeds: nvs, guard: fixNvs, run: toolkit.decodeNvsCredentials },
    {
      name: "decodeDsData",
      seeds: seeds.dsData,
      run: (input) => same(input, toolkit.encodeDsData(toolkit.decodeDsData(input))),
    },
    {
      name: "decodeDsContext",
      seeds: seeds.dsContext,
      run: (input) => void toolkit.encodeDsContext(toolkit.decodeDsContext(input)),
    },
    {
      name: "decodeSecurityConfig",
      seeds: seeds.securityConfig,
      run: (input) => void toolkit.decodeSecurityConfig(input),
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
      run: (input) => toolkit.importPrivateKey(input, { password: "secret" }),
    },
    { name: "readCertificate", seeds: certificates, guard: fixDer, run: readCertificate },
    {
      name: "issueCertificate",
      seeds: requests,
      guard: fixDer,
      run: (request) => toolkit.issueCertificate({ request, issuer: seeds.issuer, now }),
    },
    { name: "certificateRefusal", seeds: certificates, guard: fixDer, run: certificateRefusal },
    { name: "publicKeyRefusal", seeds: seeds.publicKeys, guard: fixDer, run: publicKeyRefusal },
    {
      name: "parseStoredCertificates",
      seeds: certificates,
      guard: fixDer,
      run: parseStoredCertificates,
    },
    { name: "parseStoredKey", seeds: keys, guard: fixDer, run: parseStoredKey },
    {
      name: "findSecureCert",
      seeds: [...images, ...table],
      guard,
      run: (input) => void toolkit.findSecureCert(input),
    },
    image("openSecureCert", async (input) => {
      const opened = toolkit.openSecureCert(input, { hmacKey });
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
    }),
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
    image("append", (input) =>
      toolkit.append(input, {
        entries: [{ type: 55, subtype: 7, data: new Uint8Array(3) }],
        size: 0x10000,
      })),
    image(
      "signPartition",
      (input) => toolkit.signPartition(input, [seeds.signer], { size: 0x10000 }),
    ),
    image("diff", (input) => toolkit.diff(input, images[0]!)),
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
    {
      name: "readCsvDevices",
      seeds: seeds.lists,
      run: (input) => drain(readCsvDevices(textOf(input).split("\n"))),
    },
    {
      name: "readNdjsonDevices",
      seeds: seeds.ndjson,
      run: (input) => drain(readNdjsonDevices(textOf(input).split("\n"))),
    },
    {
      name: "parseBulkProfile",
      seeds: seeds.profiles,
      run: (input) => void parseBulkProfile(textOf(input)),
    },
    {
      name: "parseManifestNdjson",
      seeds: seeds.manifests,
      run: (input) => void parseManifestNdjson(textOf(input)),
    },
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
