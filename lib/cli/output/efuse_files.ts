import { equalBytes } from "../../bytes/pack.ts";
import { shownName } from "../../bytes/text.ts";
import type { ChipName } from "../../format/chips/chips.ts";
import { formatCommand } from "../../key_modes/efuse_plan.ts";
import { type EfuseOutput, efuseOutput } from "../../toolkit/build.ts";
import type { EfuseKey } from "../../toolkit/plan/planner.ts";
import { besidePath, type OutputFile, textFile } from "../io.ts";

/** Files that may hold an eFuse key already. */
export interface GivenKeys {
  /** The key of --hmac-key, and its file when espefuse can burn that: raw, not hex. */
  readonly hmacKey?: { readonly bytes: Uint8Array; readonly rawFile?: string };
  /** A file that holds, or will hold, the private key as espefuse takes it: PEM without a password. */
  readonly privateKeyFile?: string;
}

/** An eFuse key, and the files that it needs. */
export interface EfuseFiles {
  readonly efuse: EfuseOutput;
  readonly planPath: string;
  /** The files of the key that are among those to be written. */
  readonly newKeyPaths: readonly string[];
  /** The plan, and the key where no other file holds it as espefuse takes it. */
  readonly files: readonly OutputFile[];
}

/**
 * What must be burned for the eFuse keys of an image, and the files for it.
 *
 * @param keys The keys.
 * @param chip The chip; without it nothing is known of its blocks, and there is nothing to burn.
 * @param image Path of the image; the files go beside it.
 */
export function efuseFiles(
  keys: readonly EfuseKey[],
  chip: ChipName | undefined,
  given: GivenKeys,
  image: string,
): EfuseFiles[] {
  if (chip === undefined) return [];
  return keys.map((key) => {
    const suffix = keys.length === 1 ? "" : `_KEY${key.efuseKeyId}`;
    const known = knownFile(key, given);
    const usual = key.hmacKey === undefined ? `ecdsa_key${suffix}.pem` : `hmac_key${suffix}.bin`;
    const efuse = efuseOutput(key, chip, known ?? besidePath(image, usual));
    const newKeys = known === undefined ? efuse.keyFiles : [];
    const planPath = besidePath(image, `efuse_plan${suffix}.json`);
    return {
      efuse,
      planPath,
      newKeyPaths: newKeys.map(({ path }) => path),
      files: [
        ...newKeys.map((file) => keyFile(file, key)),
        // The plan of the same key is the same.
        {
          ...textFile(planPath, `${JSON.stringify(planJson({ efuse }), null, 2)}\n`),
          mayStay: true,
        },
      ],
    };
  });
}

/** A file for a key that no other file holds yet. */
function keyFile(
  file: EfuseOutput["keyFiles"][number],
  { hmacKey }: Pick<EfuseKey, "hmacKey">,
): OutputFile {
  const path = shownName(file.path);
  const ifTaken = hmacKey && `give --hmac-key ${path} to use the key that is there, ` +
      "or --force-key to replace it: it is lost then";
  return { ...file, secret: true, keep: true, ifTaken };
}

/** The file that holds an eFuse key already. */
function knownFile(key: EfuseKey, given: GivenKeys): string | undefined {
  // The halves of a P-384 key are in files of their own.
  if (key.curve === "P-384") return undefined;
  if (key.hmacKey === undefined) return given.privateKeyFile;
  const { bytes, rawFile } = given.hmacKey ?? {};
  return key.file ?? (bytes && equalBytes(bytes, key.hmacKey) ? rawFile : undefined);
}

/** An eFuse plan as JSON: what to burn, the espefuse line, and what to look after. */
export function planJson({ efuse }: Pick<EfuseFiles, "efuse">): Record<string, unknown> {
  const { command, ...rest } = efuse.plan;
  return { ...rest, command: formatCommand(command) };
}
