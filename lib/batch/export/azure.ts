import { shownValue } from "../../bytes/text.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import {
  commonNameProblems,
  type ExportDevice,
  type Exporter,
  type ExportService,
  issuerPem,
} from "./exporter.ts";

// Azure IoT DPS, REST API 2021-10-01: "Individual Enrollment - Run Bulk Operation" (at most 10
// enrollments; BulkEnrollmentOperation, IndividualEnrollment, X509Attestation), "Enrollment Group -
// Create Or Update". Concepts, "X.509 certificate attestation": the registration ID of a device is
// the common name of its certificate.

/** Most enrolments of one request. */
const AZURE_BATCH = 10;

/** "TLS support in DPS" and "IoT Hub TLS certificates": those in use, and the one of Azure in China. */
const AZURE_ROOTS = {
  names: /^(DigiCert Global Root (G2|G3|CA)|Microsoft (RSA|ECC) Root Certificate Authority 2017)$/,
  file: "DigiCertGlobalRootG2.pem",
};
const DEFAULT_GROUP = "devices";
/** Concepts, "Registration ID": letters, digits, `-._:`, ending with a letter, a digit or a hyphen. */
const REGISTRATION_ID = /^[a-zA-Z0-9._:-]{0,127}[a-zA-Z0-9-]$/;

/**
 * Azure IoT Hub Device Provisioning Service: `enrollments.ndjson`, on each line the body of one `POST
 * /enrollments` with at most 10 individual enrolments, and `enrollment_group.json`, the body of `PUT
 * /enrollmentGroups/GROUP`, which replaces all of them.
 *
 * @category Exporters
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the certificate of the CA is not a CA's; `RangeError`
 * for a group name that the service does not take.
 */
export function exportAzure(options: {
  /** The CA that issued the device certificates, PEM or DER. */
  readonly ca: CertificateInput;
  /** Name of the enrolment group. @default "devices" */
  readonly group?: string;
}): Exporter {
  const group = formatAzureGroup(options);
  const seen = new Set<string>();
  return {
    problemsOf: (device) => {
      const { id } = device.row;
      const problems = commonNameProblems(device);
      if (!REGISTRATION_ID.test(id)) {
        problems.push(
          "a registration ID has up to 128 letters, digits, colons, dots, hyphens and underscores, " +
            "and ends with a letter, a digit or a hyphen",
        );
      }
      if (seen.has(id.toLowerCase())) {
        problems.push("another device's name differs only in capitals, which the service ignores");
      }
      seen.add(id.toLowerCase());
      return problems;
    },
    parts: async function* (devices) {
      yield { file: "enrollment_group.json", text: group };
      let batch: ExportDevice[] = [];
      for await (const device of devices) {
        batch.push(device);
        if (batch.length < AZURE_BATCH) continue;
        yield { file: "enrollments.ndjson", text: formatAzureBatch(batch) };
        batch = [];
      }
      if (batch.length > 0) yield { file: "enrollments.ndjson", text: formatAzureBatch(batch) };
    },
  };
}

/** Azure IoT DPS, as `bulk export --to azure` exports for it. */
export const azure: ExportService = {
  name: "azure",
  title: "Azure DPS",
  ca: "needed",
  serverRoots: AZURE_ROOTS,
  settings: [{
    name: "group",
    value: "NAME",
    help: "name of the enrolment group",
    default: DEFAULT_GROUP,
    problemOf: groupProblem,
  }],
  exporter: ({ ca, settings: { group } }) => exportAzure({ ca: ca!, group }),
};

function groupProblem(group: string): string | undefined {
  return REGISTRATION_ID.test(group) ? undefined : `${shownValue(group)} is not a name of a group`;
}

/** The body of one bulk request, on one line. */
function formatAzureBatch(devices: readonly ExportDevice[]): string {
  const enrollments = devices.map(({ row, certificate }) => ({
    registrationId: row.id,
    deviceId: row.id,
    attestation: {
      type: "x509",
      x509: { clientCertificates: { primary: { certificate: certificate.pem } } },
    },
    provisioningStatus: "enabled",
  }));
  return `${JSON.stringify({ enrollments, mode: "create" })}\n`;
}

/** The enrolment group that takes every device whose certificate the CA signed. */
function formatAzureGroup(
  { ca, group = DEFAULT_GROUP }: Parameters<typeof exportAzure>[0],
): string {
  const problem = groupProblem(group);
  if (problem !== undefined) throw new RangeError(problem);
  const body = {
    enrollmentGroupId: group,
    attestation: {
      type: "x509",
      x509: { signingCertificates: { primary: { certificate: issuerPem(ca) } } },
    },
    provisioningStatus: "enabled",
  };
  return `${JSON.stringify(body, null, 2)}\n`;
}
