import { printableLine } from "../../bytes/text.ts";
import type { CredentialFileReport } from "../../toolkit/credential_file.ts";
import { bold, dim, red } from "./colors.ts";
import { formatDay } from "./text.ts";

/** The certificates, keys and signing requests of a file: a block of lines each. */
export function renderCredentialFile(items: readonly CredentialFileReport[]): string[] {
  return items.flatMap((item, index) => [
    ...index === 0 ? [] : [""],
    `${bold(item.format)}: ${titleOf(item)}`,
    ...detailsOf(item).map(([label, value]) => `  ${dim(label.padEnd(9))}${value}`),
    ...item.problem === undefined ? [] : [`  ${red(printableLine(item.problem))}`],
  ]);
}

function titleOf({ subject, key, encrypted }: CredentialFileReport): string {
  if (subject !== undefined) return printableLine(subject) || dim("(empty subject)");
  if (encrypted) return "protected by a password";
  return key ?? "cannot be read";
}

function detailsOf(item: CredentialFileReport): [string, string][] {
  const { subject, issuer, serial, notBefore, notAfter, key, sans, fingerprint } = item;
  const { publicKeyFingerprint } = item;
  const optional = (label: string, value: string | undefined): [string, string][] =>
    value === undefined || value === "" ? [] : [[label, value]];
  return [
    ...optional(
      "issuer",
      issuer === subject ? issuer && "itself" : issuer && printableLine(issuer),
    ),
    ...optional("serial", serial),
    ...optional("valid", notAfter && `${formatDay(notBefore!)} to ${formatDay(notAfter)}`),
    ...subject === undefined ? [] : optional("key", key),
    ...optional("names", sans?.map(printableLine).join(", ")),
    ...optional("SHA-256", fingerprint),
    ...optional("key's", publicKeyFingerprint && `SHA-256 ${publicKeyFingerprint}`),
  ];
}
