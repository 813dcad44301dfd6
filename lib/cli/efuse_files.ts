import { encodeUtf8 } from "../bytes/text.ts";
import { formatPem } from "../bytes/pem.ts";
import { formatCommand } from "../key_modes/efuse_plan.ts";
import type { BuildResult, EfuseOutput } from "../toolkit/build.ts";
import type { OutputFile } from "./io.ts";

/** Where the files of an eFuse key go. */
export interface EfusePaths {
  /** The plan, JSON. */
  readonly plan: string;
  /** The HMAC key. */
  readonly key: string;
  /** The public key of a derived key. */
  readonly publicKey: string;
}

/** The key file of an eFuse that is written, or nothing when the key was given or is elsewhere. */
export function newKeyFile(
  { hmacKey }: EfuseOutput,
  wasGiven: boolean,
  path: string,
): OutputFile[] {
  if (hmacKey === undefined || wasGiven) return [];
  // An HMAC key that is overwritten takes the credentials of a device with it, so force does not.
  return [{ path, bytes: hmacKey, secret: true, keep: true }];
}

/** The eFuse plan as JSON: what to burn, the espefuse line, and what to look after. */
export function planJson({ plan }: EfuseOutput): Record<string, unknown> {
  const { command, ...rest } = plan;
  return { ...rest, command: formatCommand(command) };
}

/** The eFuse plan as a file. */
export function planFile(efuse: EfuseOutput, path: string): OutputFile {
  return { path, bytes: encodeUtf8(`${JSON.stringify(planJson(efuse), null, 2)}\n`) };
}

/** The public half of a key that the image derives, for a certificate. */
export function publicKeyFile({ publicKey }: BuildResult, path: string): OutputFile[] {
  if (publicKey === undefined) return [];
  return [{ path, bytes: encodeUtf8(formatPem("PUBLIC KEY", publicKey)) }];
}

/** What a person must know before burning. */
export function burnNotes({ plan, hmacKey }: EfuseOutput, planPath: string): string {
  const blocks = plan.blocks.map(({ blockName, purpose }) => `${blockName} (${purpose})`).join(
    ", ",
  );
  const loss = hmacKey === undefined
    ? "the private key itself goes into the eFuse; its file is no longer needed on the host afterwards"
    : "KEEP THE HMAC KEY: lost or overwritten before it is burned, this image is worthless";
  return [
    `eFuse: ${blocks}; the plan is in ${planPath}`,
    `  ${formatCommand(plan.command)}`,
    ...plan.notes.map((note) => `  ${note}`),
    `  burning cannot be undone; ${loss}`,
  ].join("\n");
}
