import * as toolkit from "../../mod.ts";
import { foreignFormat } from "../../lib/crypto/foreign.ts";
import { findPrivateKey } from "../../lib/crypto/keys/find.ts";
import { certificateRefusal } from "../../lib/device/certificate.ts";
import { explainKey, readKey } from "../../lib/device/key.ts";
import {
  deviceText,
  parseStoredCertificates,
  parseStoredKey,
  readDeviceBlock,
} from "../../lib/device/stored.ts";
import { publicKeyRefusal } from "../../lib/device/public_key.ts";
import { concat } from "../../lib/bytes/pack.ts";
import { fixDer } from "./guards.ts";
import type { Seeds } from "./seeds.ts";
import { now, type Target } from "./target.ts";

const NUL = Uint8Array.of(0);

/** What the device reads of certificates and keys, and what is said of files of them. */
export function deviceTargets(seeds: Seeds): readonly Target[] {
  const { certificates, keys, publicKeys, requests } = seeds;
  const guard = fixDer;
  const files = [...certificates, ...keys, ...publicKeys, ...requests];
  return [
    { name: "certificateRefusal", seeds: certificates, guard, run: certificateRefusal },
    { name: "publicKeyRefusal", seeds: publicKeys, guard, run: publicKeyRefusal },
    {
      name: "parseStoredCertificates",
      seeds: certificates,
      guard,
      run: (input) => [parseStoredCertificates(input), parseStoredCertificates(concat(input, NUL))],
    },
    {
      name: "parseStoredKey",
      seeds: keys,
      guard,
      run: (input) => [parseStoredKey(input), parseStoredKey(concat(input, NUL))],
    },
    {
      name: "readKey of the device",
      seeds: keys,
      guard,
      run: (input) => readKey(input) ?? explainKey(input),
    },
    {
      name: "readDeviceBlock",
      seeds: [...certificates, ...keys],
      run(input) {
        const text = deviceText(concat(input, NUL))!;
        return ["CERTIFICATE", "EC PRIVATE KEY"].map((label) => readDeviceBlock(text, label));
      },
    },
    { name: "foreignFormat", seeds: files, guard, run: (input) => foreignFormat(input) },
    { name: "findPrivateKey", seeds: keys, guard, run: (input) => findPrivateKey(input) },
    { name: "inspect of credentials", seeds: files, guard, run: (input) => toolkit.inspect(input) },
    {
      name: "build of certificates",
      seeds: certificates,
      guard,
      run: (input) =>
        toolkit.build(
          { deviceCert: input, caCert: input, privateKey: seeds.signer },
          { now, verify: false },
        ),
    },
    {
      name: "build of keys",
      seeds: keys,
      guard,
      run: (input) =>
        toolkit.build({ deviceCert: certificates[0]!, privateKey: input }, { now, verify: false }),
    },
    {
      name: "provision",
      seeds: certificates.slice(0, 2),
      guard,
      run: (input) =>
        toolkit.provision({
          issuer: { certificate: input, key: seeds.issuer.key },
          subject: "CN=x",
          key: { type: "ec", curve: "P-256" },
          now,
        }),
    },
    {
      name: "createIssuer",
      seeds: certificates.slice(0, 2),
      guard,
      run: (certificate) => toolkit.createIssuer({ certificate, key: seeds.issuer.key }),
    },
  ];
}
