import { KEY_MODE_RULES } from "../../../key_modes/modes.ts";
import { wantedKey } from "../../../key_modes/wanted_key.ts";
import type { BulkDevice } from "../../../batch/list/devices.ts";
import { deviceKeyMode } from "../../../batch/list/settings.ts";
import type { KeySource } from "../../../batch/ports.ts";
import type { BulkProfile } from "../../../batch/profile/profile.ts";
import { parseBase64 } from "../../../bytes/text.ts";
import { isRefusal } from "../../programs/line_program.ts";
import { openPrograms, type ProgramOptions } from "../../programs/pool.ts";

/** Keys of programs that run as long as the batch, and answer a line for each key. */
export interface KeyServers extends KeySource {
  /** Ends the programs, as {@linkcode openPrograms} says. */
  close(): Promise<void>;
}

/**
 * Programs that are asked for keys: a line such as `ec P-256` or `rsa 2048`, answered by a line with the
 * key as PKCS#8 in base64, or with `error` and a text that is not passed on.
 *
 * @throws {CliError} as {@linkcode openPrograms}.
 */
export async function serverKeys(
  profile: BulkProfile,
  options: Omit<ProgramOptions, "what" | "flag" | "example">,
): Promise<KeyServers> {
  const example = requestOf(profile, { id: "", index: 0, fields: {} }) ?? "ec P-256";
  const programs = await openPrograms({
    what: "the key server",
    flag: "key-server",
    example,
    ...options,
  });
  const takeOne = async (device: BulkDevice) => {
    const request = requestOf(profile, device);
    if (request === undefined) return undefined;
    let answer;
    try {
      answer = await programs.ask(request);
    } catch (error) {
      if (error instanceof DOMException) return null;
      throw error;
    }
    return keyIn(answer);
  };
  return {
    name: `the key server ${programs.name}`,
    take: (devices) => Promise.all(devices.map(takeOne)),
    close: programs.close,
  };
}

/** The line for a device; undefined for one that brings its key, or whose key follows from another. */
function requestOf(profile: BulkProfile, device: BulkDevice): string | undefined {
  if (device.fields.privateKey) return undefined;
  const keyMode = deviceKeyMode(profile, device);
  if (KEY_MODE_RULES[keyMode].privateKey === "derived") return undefined;
  const wanted = wantedKey(keyMode, profile.key);
  return wanted.type === "ec" ? `ec ${wanted.curve}` : `rsa ${wanted.bits}`;
}

function keyIn(answer: string): Uint8Array | { problem: string } {
  if (isRefusal(answer)) return { problem: "the key server made no key for it" };
  try {
    return parseBase64(answer);
  } catch {
    return { problem: "the key server did not answer with a key in base64" };
  }
}
