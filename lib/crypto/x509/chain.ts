import { countOf, SecureCertError } from "../../bytes/errors.ts";
import { quoted } from "../../bytes/text.ts";
import { equalBytes } from "../../bytes/pack.ts";
import type { Certificate } from "./certificate.ts";
import { verifyBytes } from "../signing.ts";

/** Longest path that is followed, in certificates; mbedTLS stops at the same by default. */
const MAX_PATH = 8;

/**
 * The most certificates with the issuer's name whose keys are tried: a bundle may hold hundreds of them on
 * a curve that takes long to check.
 */
const MAX_TRIED = 16;

/** What is known of a signature; `unchecked` when its algorithm, or the key's curve, is not known here. */
type SignatureState = "right" | "wrong" | "unchecked";

/** Whether one certificate was signed with the key of another, as far as it has been asked. */
const signedBy = new WeakMap<Certificate, Map<Certificate, Promise<SignatureState>>>();

/**
 * Why a path does not reach a trusted certificate. `absent`: no certificate has the issuer's name. `wrong`:
 * one has it, and its key did not sign, or it allows no such path. `unchecked`: one has it, and its
 * signature cannot be checked here. `unfit`: one has it, and its key signed, and it is not a CA's.
 */
export type ChainFault = "absent" | "wrong" | "unchecked" | "unfit";

interface NoIssuer {
  readonly fault: ChainFault;
  readonly problem: string;
}

/** A path from a certificate up to a trusted one, or why there is none. */
export interface ChainResult {
  /** The certificates from the first up, the trusted one last when it was reached. */
  readonly path: readonly Certificate[];
  /** Why the path does not reach a trusted certificate; absent when it does. */
  readonly fault?: ChainFault;
  /** The same in words. */
  readonly problem?: string;
}

/** Whether a certificate names another as its issuer. */
function isNamedIssuer(certificate: Certificate, issuer: Certificate): boolean {
  const [wanted, name] = [certificate.issuerDer, issuer.subjectDer];
  if (wanted.length !== name.length) return false;
  if (equalBytes(wanted, name)) return true;
  // The types of strings, and capitals, do not count (RFC 5280 section 7.1).
  return certificate.issuer.toLowerCase() === issuer.subject.toLowerCase();
}

/** Whether a certificate was signed with the key of another, whatever their names. */
function signatureState(
  certificate: Certificate,
  issuer: Certificate,
): Promise<SignatureState> {
  const known = signedBy.get(certificate) ?? new Map<Certificate, Promise<SignatureState>>();
  signedBy.set(certificate, known);
  const state = known.get(issuer) ?? checkSignature(certificate, issuer);
  known.set(issuer, state);
  return state;
}

async function checkSignature(
  { signedPart, signature, signedWith }: Certificate,
  issuer: Certificate,
): Promise<SignatureState> {
  if (signedWith === undefined) return "unchecked";
  try {
    return await verifyBytes(issuer, signedPart, signature, signedWith) ? "right" : "wrong";
  } catch (error) {
    if (error instanceof SecureCertError) return "unchecked";
    throw error;
  }
}

/**
 * Whether a certificate was issued by the holder of another.
 *
 * @param certificate The certificate.
 * @param issuer The other one; its name, CA bit and signature count, not its validity.
 */
export async function isIssuedBy(
  certificate: Certificate,
  issuer: Certificate,
): Promise<boolean> {
  return issuer.isCa && isNamedIssuer(certificate, issuer) &&
    await signatureState(certificate, issuer) === "right";
}

/** Whether a certificate was signed with its own key. */
export async function isSelfSigned(certificate: Certificate): Promise<boolean> {
  return isNamedIssuer(certificate, certificate) &&
    await signatureState(certificate, certificate) === "right";
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
    const found = await findIssuer(last, new Set([...trusted, ...above]));
    if ("fault" in found) return { path, ...found };
    const { pathLength } = found;
    if (pathLength !== undefined && pathLength < path.length - 1) {
      return {
        path,
        fault: "wrong",
        problem: `${quoted(found.subject)} allows ${pathLength} CAs below it`,
      };
    }
    path.push(found);
    if (trusted.includes(found)) return { path };
  }
  return { path, fault: "wrong", problem: "the path is too long" };
}

/** The first of some certificates that issued another, or why none did. */
async function findIssuer(
  certificate: Certificate,
  candidates: ReadonlySet<Certificate>,
): Promise<Certificate | NoIssuer> {
  const named = [...candidates].filter((each) => isNamedIssuer(certificate, each));
  const states = new Set<SignatureState>();
  for (const candidate of named.slice(0, MAX_TRIED)) {
    const state = await signatureState(certificate, candidate);
    if (state === "right" && candidate.isCa) return candidate;
    states.add(state);
  }
  const { subject, issuer } = certificate;
  if (named.length === 0) return { fault: "absent", problem: `no issuer of ${quoted(subject)}` };
  if (states.has("right")) {
    return {
      fault: "unfit",
      problem: `${quoted(issuer)}, which issued ${quoted(subject)}, is not a CA's`,
    };
  }
  if (named.length > MAX_TRIED) {
    const problem = `${countOf(named.length, "certificate")} have the name of the issuer of ${
      quoted(subject)
    }`;
    return { fault: "unchecked", problem };
  }
  if (states.has("unchecked")) return { fault: "unchecked", problem: unknownKind(certificate) };
  return {
    fault: "wrong",
    problem: `the key of ${quoted(issuer)} did not sign ${quoted(subject)}`,
  };
}

function unknownKind({ subject, issuer, signedWith }: Certificate): string {
  return signedWith === undefined
    ? `${quoted(subject)} is signed with an algorithm that is not known here`
    : `${quoted(issuer)}, which issued ${
      quoted(subject)
    }, has a key of a kind or length that is not known here`;
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
    above.isCa && isNamedIssuer(below, above) &&
    !equalBytes(above.subjectDer, above.issuerDer) && !chain.includes(above);
  for (let next = others.find(isIssuerOf(leaf)); next; next = others.find(isIssuerOf(next))) {
    chain.push(next);
  }
  return chain;
}
