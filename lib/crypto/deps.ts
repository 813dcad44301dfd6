export {
  BitString,
  fromBER,
  GeneralizedTime,
  Integer,
  OctetString,
  UTCTime,
} from "npm:asn1js@4.0.0";
export {
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  CertificationRequest,
  Extension,
  Extensions,
  ExtKeyUsage,
  PBES2Params,
  PBKDF2Params,
} from "npm:pkijs@4.0.0";
export { md5, sha1 } from "npm:@noble/hashes@2.4.0/legacy.js";
export { ecdsa, weierstrass } from "npm:@noble/curves@2.4.0/abstract/weierstrass.js";
export { sha256 } from "npm:@noble/hashes@2.4.0/sha2.js";
