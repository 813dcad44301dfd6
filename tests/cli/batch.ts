/** Folders of batches, as `bulk` leaves them, for the tests of what works on them. */
import { formatBase64, formatHex } from "../../lib/bytes/text.ts";
import {
  formatManifestCsv,
  formatManifestCsvHeader,
  formatManifestNdjson,
  type ManifestRow,
} from "../../lib/provision/manifest.ts";
import {
  createDevelopmentCa,
  exportPrivateKey,
  type Issuer,
  provision,
  readCertificate,
} from "../../mod.ts";

/** A device with its files, not yet in a folder. */
export interface MadeDevice {
  readonly row: ManifestRow;
  readonly image: Uint8Array;
  readonly certificate: Uint8Array;
  readonly key: Uint8Array;
}

/** Where {@linkcode makeBatch} puts a batch. */
export interface BatchOptions {
  readonly ids: readonly string[];
  readonly issuer?: Issuer;
  /** Further columns of the manifest, the same in every row. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** One provisioned device and its row. */
export async function makeDevice(id: string, options: BatchOptions): Promise<MadeDevice> {
  const issuer = options.issuer ?? await createDevelopmentCa();
  const made = await provision({ issuer, subject: `CN=${id.replace(/[,+"\\<>;=#]/g, "\\$&")}` });
  const info = readCertificate(made.deviceCert);
  const row: ManifestRow = {
    id,
    serial: info.serial,
    fingerprint: await sha256(info.der),
    publicKey: formatBase64(info.publicKey),
    imageSha256: await sha256(made.image),
    keyMode: "plaintext",
    efuseKeyId: null,
    status: "verified",
    ...options.extra,
  };
  const key = await exportPrivateKey(made.key);
  return { row, image: made.image, certificate: made.deviceCert, key };
}

/** A finished batch in a folder. */
export async function makeBatch(folder: string, options: BatchOptions): Promise<ManifestRow[]> {
  const issuer = options.issuer ?? await createDevelopmentCa();
  for (const name of ["images", "certificates", "secret"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  }
  const rows: ManifestRow[] = [];
  for (const id of options.ids) {
    const { row, image, certificate, key } = await makeDevice(id, { ...options, issuer });
    await Deno.writeFile(`${folder}/images/${id}.bin`, image, { mode: 0o600 });
    await Deno.writeFile(`${folder}/certificates/${id}.pem`, certificate);
    await Deno.writeFile(`${folder}/secret/${id}.key.pem`, key, { mode: 0o600 });
    rows.push(row);
  }
  await writeManifest(folder, rows, Object.keys(options.extra ?? {}));
  return rows;
}

/** Both manifests of a folder, anew. */
export async function writeManifest(
  folder: string,
  rows: readonly ManifestRow[],
  columns: readonly string[] = [],
): Promise<void> {
  await Deno.writeTextFile(`${folder}/manifest.ndjson`, rows.map(formatManifestNdjson).join(""));
  const csv = rows.map((row) => formatManifestCsv(row, columns));
  await Deno.writeTextFile(
    `${folder}/manifest.csv`,
    [formatManifestCsvHeader(columns), ...csv].join(""),
  );
}

/** SHA-256 in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  return formatHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))));
}
