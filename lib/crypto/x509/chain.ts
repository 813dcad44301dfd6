import { equalBytes } from "../../bytes/pack.ts";
import type { Certificate } from "./certificate.ts";
import { verifyBytes } from "../signing.ts";

/** Longest path that is followed, in certificates; mbedTLS stops at the same by default. */
const MAX_PATH = 8;

/** Whether one certificate was signed by the holder of another, as far as it has been asked. */
const signedBy = new WeakMap<Certificate, WeakMap<Certificate, Promise<boolean>>>();

/** A path from a certificate up to a trusted one, or why there is none. */
export interface ChainResult {
  /** The certificates from the first up, the trusted one last when it was reached. */
  readonly path: readonly Certificate[];
  /** Why the path does not reach a trusted certificate; absent when it does. */
  readonly problem?: string;
}

/**
 * Whether a certificate was signed by the holder of another.
 *
 * @param certificate The certificate.
 * @param issuer The other one; its names, CA bit and signature count, not its validity.
 */
export async function isIssuedBy(
  certificate: Certificate,
  issuer: Certificate,
): Promise<boolean> {
  const { issuerDer, signedPart, signature, signedWith } = certificate;
  if (!issuer.isCa || signedWith === undefined) return false;
  if (!equalBytes(issuerDer, issuer.subjectDer)) return false;
  const known = signedBy.get(certificate) ?? new WeakMap<Certificate, Promise<boolean>>();
  signedBy.set(certificate, known);
  const isSigned = known.get(issuer) ??
    verifyBytes(issuer, signedPart, signature, signedWith).catch(() => false);
  known.set(issuer, isSigned);
  return await isSigned;
}

/**
 * Follows a certificate up to a trusted one (RFC 5280 section 6: names, signatures, CA bits, path
 * lengths; validity is the caller's).
 *
 * @param first The certificate to start from.
 * @param intermediates Certificates that may be between, in any order.
 * @param trusted Certificates that end the path, self-signed or not.
 */
export async function followChain(
  first: Certificate,
  intermediates: readonly Certificate[],
  trusted: readonly Certificate[],
): Promise<ChainResult> {
  const path = [first];
  while (path.length <= MAX_PATH) {
    const last = path.at(-1)!;
    // A certificate that may sign none ends no path but its own, which would vouch for nothing.
    if (last.isCa && trusted.some(({ der }) => equalBytes(der, last.der))) return { path };
    const above = intermediates.filter((each) => !path.includes(each));
    const issuer = await firstIssuer(last, trusted) ?? await firstIssuer(last, above);
    if (issuer === undefined) return { path, problem: `no issuer of "${last.subject}"` };
    if (issuer.pathLength !== undefined && issuer.pathLength < path.length - 1) {
      return { path, problem: `"${issuer.subject}" allows ${issuer.pathLength} CAs below it` };
    }
    path.push(issuer);
    if (trusted.includes(issuer)) return { path };
  }
  return { path, problem: "the path is too long" };
}

async function firstIssuer(
  certificate: Certificate,
  candidates: readonly Certificate[],
): Promise<Certificate | undefined> {
  for (const candidate of candidates) {
    if (await isIssuedBy(certificate, candidate)) return candidate;
  }
  return undefined;
}

/**
 * The certificates that follow a device's own when it shows itself (RFC 8446 section 4.4.2): each
 * is the issuer of the one before. A self-signed one, which the other side has, is left out.
 *
 * @param leaf The device certificate.
 * @param others Where to look for them, in any order; what does not belong there is skipped.
 */
export function chainAfter(
  leaf: Certificate,
  others: readonly Certificate[],
): Certificate[] {
  const chain: Certificate[] = [];
  const isIssuerOf = (below: Certificate) => (above: Certificate) =>
    above.isCa && equalBytes(above.subjectDer, below.issuerDer) &&
    !equalBytes(above.subjectDer, above.issuerDer) && !chain.includes(above);
  for (let next = others.find(isIssuerOf(leaf)); next; next = others.find(isIssuerOf(next))) {
    chain.push(next);
  }
  return chain;
}
