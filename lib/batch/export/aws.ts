import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import { type ExportDevice, type Exporter, issuerPem, thingNameProblems } from "./device.ts";

// AWS IoT Core, Developer Guide: "Bulk registration" (one JSON object of template parameters a line)
// and "Provisioning templates" (Parameters and Resources). API Reference: StartThingRegistrationTask
// (templateBody up to 10240 characters), CreateThing (thingName [a-zA-Z0-9:_-], 1 to 128),
// AttachPolicy (policyName [\w+=,.@-], 1 to 128).

/** Longest provisioning template in characters. */
const TEMPLATE_LIMIT = 10240;
const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;
const TEXT = { Type: "String" } as const;

/** What {@linkcode exportAws} is told. */
export interface AwsExportOptions {
  /** The CA that issued the device certificates, registered with the account; PEM or DER. */
  readonly ca: CertificateInput;
  /** Name of a policy that exists in the account and is attached to every certificate. @default none */
  readonly policy?: string;
}

/**
 * AWS IoT bulk registration: `parameters.ndjson`, the input file of StartThingRegistrationTask, and
 * `template.json`, its provisioning template. The CA certificate stands once, in the template, as the
 * default of its parameter.
 *
 * @param options CA and policy.
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the CA given is none, `ERR_TOO_LARGE` when the
 * template is longer than 10240 characters.
 * @throws {RangeError} for a name of a policy that the service does not take.
 */
export function exportAws(options: AwsExportOptions): Exporter {
  const template = formatAwsTemplate(options);
  return {
    problemsOf: thingNameProblems,
    parts: async function* (devices) {
      yield { file: "template.json", text: template };
      for await (const device of devices) {
        yield { file: "parameters.ndjson", text: formatAwsParameters(device) };
      }
    },
  };
}

/** The line of a device: the parameters of the template. */
function formatAwsParameters({ row, certificate }: ExportDevice): string {
  const parameters = {
    ThingName: row.id,
    SerialNumber: row.serial,
    CertificatePem: certificate.pem,
  };
  return `${JSON.stringify(parameters)}\n`;
}

/** The provisioning template: a thing with its serial number, its certificate, and a policy. */
function formatAwsTemplate({ ca, policy }: AwsExportOptions): string {
  if (policy !== undefined && !POLICY_NAME.test(policy)) {
    throw new RangeError(`"${policy}" is no name of a policy`);
  }
  const template = {
    Parameters: {
      ThingName: TEXT,
      SerialNumber: TEXT,
      CertificatePem: TEXT,
      CACertificatePem: { ...TEXT, Default: issuerPem(ca) },
    },
    Resources: {
      thing: {
        Type: "AWS::IoT::Thing",
        Properties: {
          ThingName: { Ref: "ThingName" },
          AttributePayload: { serialNumber: { Ref: "SerialNumber" } },
        },
      },
      certificate: {
        Type: "AWS::IoT::Certificate",
        Properties: {
          CACertificatePem: { Ref: "CACertificatePem" },
          CertificatePem: { Ref: "CertificatePem" },
          Status: "ACTIVE",
        },
      },
      ...policy !== undefined && {
        policy: { Type: "AWS::IoT::Policy", Properties: { PolicyName: policy } },
      },
    },
  };
  const text = `${JSON.stringify(template, null, 2)}\n`;
  if (text.length <= TEMPLATE_LIMIT) return text;
  throw new SecureCertError(
    "ERR_TOO_LARGE",
    `Cannot export: the provisioning template has ${text.length} characters, at most ${TEMPLATE_LIMIT}`,
  );
}
