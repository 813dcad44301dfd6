// By themselves, because they take 60 to 80 ms to load: only issuing certificates needs them.

export { BitString, OctetString } from "npm:asn1js@4.0.0";
export { AuthorityKeyIdentifier, BasicConstraints, Extension, ExtKeyUsage } from "npm:pkijs@4.0.0";
