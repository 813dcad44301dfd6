import { importPrivateKey, type Issuer, type PrivateKey, readCertificate } from "../../mod.ts";
import type { Bytes } from "../../lib/bytes/pack.ts";

/** What make_seeds.ts made of each kind. */
interface StoredSeeds {
  readonly hmacKey: Bytes;
  readonly tlv: readonly Bytes[];
  readonly custFlash: readonly Bytes[];
  readonly nvs: readonly Bytes[];
  readonly table: readonly Bytes[];
  readonly certificates: readonly Bytes[];
  readonly keys: readonly Bytes[];
  readonly publicKeys: readonly Bytes[];
  readonly requests: readonly Bytes[];
  readonly dsData: readonly Bytes[];
  readonly dsContext: readonly Bytes[];
  readonly securityConfig: readonly Bytes[];
  readonly signatureEntries: readonly Bytes[];
  readonly signatureBlocks: readonly Bytes[];
  readonly configs: readonly Bytes[];
  readonly partitionCsvs: readonly Bytes[];
  readonly lists: readonly Bytes[];
  readonly ndjson: readonly Bytes[];
  readonly profiles: readonly Bytes[];
  readonly manifests: readonly Bytes[];
}

/** Good inputs of every kind, and what the verbs need. */
export interface Seeds extends StoredSeeds {
  readonly issuer: Issuer;
  readonly signer: PrivateKey;
}

/** The seeds, always the same. */
export async function readSeeds(): Promise<Seeds> {
  const file = await Deno.open(new URL("../vectors/fuzz/seeds.json.gz", import.meta.url));
  const text = await new Response(file.readable.pipeThrough(new DecompressionStream("gzip")))
    .text();
  const { issuer, signer, ...stored } = JSON.parse(
    text,
    (_, value) => typeof value?.base64 === "string" ? Uint8Array.fromBase64(value.base64) : value,
  );
  return {
    ...stored as StoredSeeds,
    issuer: {
      certificate: readCertificate(issuer.certificate),
      key: await importPrivateKey(issuer.key),
    },
    signer: await importPrivateKey(signer),
  };
}
