// What pkijs writes of a certificate. Loaded when one is issued, because that takes 60 to 80 ms; what
// differs from device to device is written by der.ts.

import type { Bytes } from "../../bytes/pack.ts";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  BitString,
  Extension,
  ExtKeyUsage,
  OctetString,
} from "./deps.ts";
import { EXTENSION, KEY_USAGE } from "./extensions.ts";

/** authorityKeyIdentifier, DER. */
export function authorityKeyExtension(identifier: Bytes): Bytes {
  const keyIdentifier = new OctetString({ valueHex: identifier });
  const value = new AuthorityKeyIdentifier({ keyIdentifier });
  return extension(EXTENSION.authorityKeyIdentifier, false, value.toSchema());
}

/** basicConstraints, critical, DER. */
export function basicConstraintsExtension(cA: boolean, pathLenConstraint?: number): Bytes {
  const value = new BasicConstraints({
    cA,
    ...pathLenConstraint !== undefined && { pathLenConstraint },
  });
  return extension(EXTENSION.basicConstraints, true, value.toSchema());
}

/** keyUsage, critical, DER. */
export function keyUsageExtension(usages: readonly (keyof typeof KEY_USAGE)[]): Bytes {
  const bits = usages.reduce((byte, usage) => byte | 0x80 >> KEY_USAGE[usage], 0);
  // A named bit list ends with its last set bit (X.690 section 11.2.2).
  const unusedBits = 31 - Math.clz32(bits & -bits);
  const value = new BitString({ valueHex: new Uint8Array([bits]).buffer, unusedBits });
  return extension(EXTENSION.keyUsage, true, value);
}

/** extendedKeyUsage, DER. */
export function extendedKeyUsageExtension(keyPurposes: readonly string[]): Bytes {
  const value = new ExtKeyUsage({ keyPurposes: [...keyPurposes] });
  return extension(EXTENSION.extendedKeyUsage, false, value.toSchema());
}

function extension(extnID: string, critical: boolean, value: { toBER(): ArrayBuffer }): Bytes {
  const written = new Extension({ extnID, critical, extnValue: value.toBER() });
  return new Uint8Array(written.toSchema().toBER());
}
