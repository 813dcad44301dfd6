import { shownValue } from "../../bytes/text.ts";
import type { CertificateInput } from "../../crypto/x509/certificate.ts";
import { countOf, SecureCertError } from "../../bytes/errors.ts";
import {
  type ExportDevice,
  type Exporter,
  type ExportService,
  issuerPem,
  thingNameProblems,
} from "./exporter.ts";

// AWS IoT Core, Developer Guide: "Bulk registration" (one JSON object of template parameters a line)
// and "Provisioning templates" (Parameters and Resources: a certificate of a registered CA is given as
// CertificatePem with CACertificatePem, one that the account has as CertificateId, the SHA-256 of its
// DER), "Server authentication" (roots). API Reference: StartThingRegistrationTask
// (templateBody up to 10240 characters), CreateThing (thingName [a-zA-Z0-9:_-], 1 to 128),
// AttachPolicy (policyName [\w+=,.@-], 1 to 128).

/** Longest provisioning template in characters. */
const TEMPLATE_LIMIT = 10240;
const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;
const NO_POLICY =
  "the template attaches no policy, so the things may do nothing; name one with --policy";
/** The roots of Amazon Trust Services, and the older one that signed them. */
export const AMAZON_ROOTS = {
  names: /^(Amazon Root CA [1-4]|Starfield Services Root Certificate Authority - G2)$/,
  file: "AmazonRootCA1.pem",
};
const NO_CA =
  "without --ca, the template refers to certificates that the account has: those that AWS IoT issued, " +
  "or `aws iot register-certificate-without-ca` registered; give --ca for those of a CA of your own";
const TEXT = { Type: "String" } as const;

/**
 * AWS IoT bulk registration: `parameters.ndjson`, the input file of StartThingRegistrationTask, and
 * `template.json`, its provisioning template. Certificates of a registered CA are given with that of the
 * CA; without one, the account must have them already, as it has those that AWS IoT issued.
 *
 * @category Exporters
 * @throws {SecureCertError} `ERR_CERTIFICATE` when the certificate of the CA is not a CA's;
 * `ERR_TOO_LARGE` for a template of more than 10240 characters; `RangeError` for a policy name that the
 * service does not take.
 */
export function exportAws(options: {
  /** The CA that issued the certificates, registered with the account; PEM or DER. @default none */
  readonly ca?: CertificateInput;
  /** Name of a policy that exists in the account and is attached to every certificate. @default none */
  readonly policy?: string;
} = {}): Exporter {
  const template = formatAwsTemplate(options);
  return {
    problemsOf: thingNameProblems,
    notes: [
      ...options.ca === undefined ? [NO_CA] : [],
      ...options.policy === undefined ? [NO_POLICY] : [],
    ],
    parts: async function* (devices) {
      yield { file: "template.json", text: template };
      for await (const device of devices) {
        yield {
          file: "parameters.ndjson",
          text: formatAwsParameters(device, options.ca !== undefined),
        };
      }
    },
  };
}

/** AWS IoT Core, as `bulk export --to aws` exports for it. */
export const aws: ExportService = {
  name: "aws",
  title: "AWS IoT",
  ca: "optional",
  serverRoots: AMAZON_ROOTS,
  settings: [{
    name: "policy",
    value: "NAME",
    help: "policy to attach to every certificate",
    problemOf: policyProblem,
  }],
  exporter: ({ ca, settings: { policy } }) => exportAws({ ca, policy }),
};

function policyProblem(policy: string): string | undefined {
  return POLICY_NAME.test(policy) ? undefined : `${shownValue(policy)} is not a name of a policy`;
}

/** The line of a device: the parameters of the template. */
function formatAwsParameters({ row, certificate }: ExportDevice, hasCa: boolean): string {
  const { id, serial, fingerprint } = row;
  const parameters = {
    ThingName: id,
    SerialNumber: serial,
    ...hasCa ? { CertificatePem: certificate.pem } : { CertificateId: fingerprint.toLowerCase() },
  };
  return `${JSON.stringify(parameters)}\n`;
}

/** The provisioning template: a thing with its serial number, its certificate, and a policy. */
function formatAwsTemplate({ ca, policy }: NonNullable<Parameters<typeof exportAws>[0]>): string {
  const problem = policy === undefined ? undefined : policyProblem(policy);
  if (problem !== undefined) throw new RangeError(problem);
  const ofCertificate = ca === undefined
    ? { CertificateId: TEXT }
    : { CertificatePem: TEXT, CACertificatePem: { ...TEXT, Default: issuerPem(ca) } };
  const refs = Object.keys(ofCertificate).map((name) => [name, { Ref: name }]);
  const template = {
    Parameters: { ThingName: TEXT, SerialNumber: TEXT, ...ofCertificate },
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
        Properties: { ...Object.fromEntries(refs), Status: "ACTIVE" },
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
    `Cannot export: the provisioning template has ${
      countOf(text.length, "character")
    }, at most ${TEMPLATE_LIMIT}`,
  );
}
