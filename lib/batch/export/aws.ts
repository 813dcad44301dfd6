import { shownValue } from "../../bytes/text.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import { SecureCertError } from "../../bytes/errors.ts";
import {
  type ExportDevice,
  type Exporter,
  type ExportService,
  issuerPem,
  thingNameProblems,
} from "./exporter.ts";

// AWS IoT Core, Developer Guide: "Bulk registration" (one JSON object of template parameters a line)
// and "Provisioning templates" (Parameters and Resources). API Reference: StartThingRegistrationTask
// (templateBody up to 10240 characters), CreateThing (thingName [a-zA-Z0-9:_-], 1 to 128),
// AttachPolicy (policyName [\w+=,.@-], 1 to 128).

/** Longest provisioning template in characters. */
const TEMPLATE_LIMIT = 10240;
const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;
const NO_POLICY =
  "the template attaches no policy, so the things may do nothing; name one with --policy";
const TEXT = { Type: "String" } as const;

/**
 * AWS IoT bulk registration: `parameters.ndjson`, the input file of StartThingRegistrationTask, and
 * `template.json`, its provisioning template, with the CA certificate as the default of its parameter.
 *
 * @category Exporters
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the certificate of the CA is not a CA's;
 * `ERR_TOO_LARGE` for a template of more than 10240 characters; `RangeError` for a policy name that the
 * service does not take.
 */
export function exportAws(options: {
  /** The CA that issued the device certificates, registered with the account; PEM or DER. */
  readonly ca: CertificateInput;
  /** Name of a policy that exists in the account and is attached to every certificate. @default none */
  readonly policy?: string;
}): Exporter {
  const template = formatAwsTemplate(options);
  return {
    problemsOf: thingNameProblems,
    notes: options.policy === undefined ? [NO_POLICY] : [],
    parts: async function* (devices) {
      yield { file: "template.json", text: template };
      for await (const device of devices) {
        yield { file: "parameters.ndjson", text: formatAwsParameters(device) };
      }
    },
  };
}

/** AWS IoT Core, as `bulk export --to aws` exports for it. */
export const aws: ExportService = {
  name: "aws",
  title: "AWS IoT",
  needsCa: true,
  settings: [{
    name: "policy",
    value: "NAME",
    help: "policy to attach to every certificate",
    problemOf: policyProblem,
  }],
  exporter: ({ ca, settings: { policy } }) => exportAws({ ca: ca!, policy }),
};

function policyProblem(policy: string): string | undefined {
  return POLICY_NAME.test(policy) ? undefined : `${shownValue(policy)} is not a name of a policy`;
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
function formatAwsTemplate({ ca, policy }: Parameters<typeof exportAws>[0]): string {
  const problem = policy === undefined ? undefined : policyProblem(policy);
  if (problem !== undefined) throw new RangeError(problem);
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
