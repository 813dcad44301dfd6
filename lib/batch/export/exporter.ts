import { SecureCertError } from "../../bytes/errors.ts";
import { formatHex, quoted } from "../../bytes/text.ts";
import {
  type Certificate,
  type CertificateInput,
  readCertificate,
} from "../../crypto/x509/certificate.ts";
import { isIssuedBy } from "../../crypto/x509/chain.ts";
import { sha256 } from "../../crypto/deps.ts";
import { commonNameOf } from "../../crypto/x509/names.ts";
import { extraColumns, type ManifestRow } from "../manifest.ts";

/**
 * A finished device on its way to a registry in the cloud.
 *
 * @category Exporters
 */
export interface ExportDevice {
  /** Its row of the manifest. */
  readonly row: ManifestRow;
  /** Its own certificate, without those above it. */
  readonly certificate: Certificate;
}

/**
 * The next piece of a file of an export; the files are written one after another.
 *
 * @category Exporters
 */
export interface ExportPart {
  /** Name of the file. */
  readonly file: string;
  /** What is appended to it. */
  readonly text: string;
}

/**
 * Writes the files that a registry takes. It is for one export, because it may remember devices.
 *
 * @category Exporters
 */
export interface Exporter {
  /** What the registry would refuse in a device, in words; called once for each. */
  readonly problemsOf: (device: ExportDevice) => readonly string[];
  /** What the user should know of the files, in words. @default [] */
  readonly notes?: readonly string[];
  /** The files, from devices without a problem. */
  readonly parts: (devices: AsyncIterable<ExportDevice>) => AsyncGenerator<ExportPart>;
}

/**
 * A service that takes the devices of a batch.
 *
 * @category Exporters
 */
export interface ExportService {
  /** Name, such as `aws`. */
  readonly name: string;
  /** The service in words. */
  readonly title: string;
  /** Whether it is given the CA that issued the device certificates. */
  readonly ca: "needed" | "optional" | "none";
  /** What a device must trust to connect to its servers, where these are the same for all. */
  readonly serverRoots?: {
    /** Common names of the root certificates, as regular expressions read them. */
    readonly names: RegExp;
    /** One that does, as the service's documentation names its file. */
    readonly file: string;
  };
  /** Its settings, which are flags of the command line. */
  readonly settings: readonly {
    /** Name, such as `policy`. */
    readonly name: string;
    /** The value's name in the help. */
    readonly value: string;
    /** What it is, in words. */
    readonly help: string;
    /** What holds when it is not given, in words. */
    readonly default?: string;
    /** Why the service does not take a value, in words; undefined when it does. */
    readonly problemOf: (value: string) => string | undefined;
  }[];
  /** Makes the exporter. Throws `ERR_CERTIFICATE` when the certificate of the CA is not a CA's. */
  readonly exporter: (request: {
    /** The CA that issued the device certificates, PEM or DER; given to services that need it. */
    readonly ca?: CertificateInput;
    /** Further columns of the manifest. */
    readonly columns: readonly string[];
    /** Values of settings, by name. */
    readonly settings: Readonly<Record<string, string | undefined>>;
  }) => Exporter;
}

/** AWS IoT, API Reference: CreateThing. */
const THING_NAME = /^[a-zA-Z0-9:_-]{1,128}$/;

/**
 * A device with its certificate.
 *
 * @param row Its row of the manifest.
 * @param certificate Its certificate file, PEM (a bundle too, the device's first) or DER.
 * @throws {SecureCertError} as `readCertificate`.
 */
export function exportDevice(row: ManifestRow, certificate: CertificateInput): ExportDevice {
  return { row, certificate: readCertificate(certificate) };
}

/** Problems where the common name of the certificate should be the device's name. */
export function commonNameProblems({ row, certificate }: ExportDevice): string[] {
  const name = commonNameOf(certificate.subjectDer);
  if (name === row.id) return [];
  const what = name === undefined ? "has no common name" : `has the common name ${quoted(name)}`;
  return [`the certificate ${what}; it must be "${row.id}"`];
}

/** Problems where the device's name should be that of a thing of AWS IoT. */
export function thingNameProblems({ row: { id } }: ExportDevice): string[] {
  if (THING_NAME.test(id)) return [];
  return ["a thing's name has 1 to 128 letters, digits, colons, hyphens and underscores"];
}

/**
 * Whether a certificate is the one that the manifest lists, and of the right CA.
 *
 * @param issuer The CA, where the service is given one.
 * @returns What is wrong, in words.
 */
export async function certificateProblems(
  { row, certificate }: ExportDevice,
  issuer?: Certificate,
): Promise<string[]> {
  if (formatHex(sha256(certificate.der)) !== row.fingerprint.toLowerCase()) {
    return ["the certificate is not the one that the manifest lists"];
  }
  if (certificate.serial !== row.serial.toLowerCase()) {
    return ["the serial number of the certificate is not the one that the manifest lists"];
  }
  if (issuer === undefined || await isIssuedBy(certificate, issuer)) return [];
  return [`${quoted(issuer.subject)} did not sign the certificate`];
}

/** A column of the manifest, and what it is called in an export. */
export interface ExportColumn {
  readonly name: string;
  readonly title: string;
}

/** Further columns of a manifest; one with the name of a column of the export gets another name. */
export function exportColumns(
  columns: readonly string[],
  own: readonly string[],
): { readonly columns: readonly ExportColumn[]; readonly notes: readonly string[] } {
  const taken = new Set([...own, ...columns]);
  const named = extraColumns(columns).map((name) => {
    let title = name;
    while (own.includes(name) && taken.has(title)) title = `list_${title}`;
    taken.add(title);
    return { name, title };
  });
  const notes = named.filter(({ name, title }) => name !== title).map(({ name, title }) =>
    `the column ${name} of the list is ${title} here, because ${name} is a column of the export`
  );
  return { columns: named, notes };
}

/**
 * What to know of the CA that devices store, when the service's servers have another.
 *
 * @param caCerts What the devices store as their CA.
 */
export function storedCaNotes(
  { title, serverRoots }: ExportService,
  caCerts: readonly Certificate[],
): string[] {
  if (serverRoots === undefined) return [];
  const { names, file } = serverRoots;
  const isRoot = ({ subjectDer }: Certificate) => names.test(commonNameOf(subjectDer) ?? "");
  if (caCerts.some(isRoot)) return [];
  const [stored] = caCerts;
  const what = stored === undefined ? "no CA" : `the CA ${quoted(stored.subject)}`;
  return [
    `the devices store ${what}, with which they cannot verify the servers of ${title}: ` +
    `make them with bulk --ca-cert ${file}, unless the firmware brings that root itself`,
  ];
}

/** The CA certificate in a file, as PEM text; the first of a bundle. */
export function issuerPem(ca: CertificateInput): string {
  const certificate = readCertificate(ca);
  if (certificate.isCa) return certificate.pem;
  const message = `Cannot export: ${quoted(certificate.subject)} is not a CA's certificate`;
  throw new SecureCertError("ERR_CERTIFICATE", message);
}
