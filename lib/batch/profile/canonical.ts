import { wantedKey } from "../../key_modes/wanted_key.ts";
import { type BulkProfile, withDefaults } from "./profile.ts";

/**
 * The members of a profile that make one batch different from another, each as text; the same for
 * profiles that mean the same. CAs and signing keys are not among them: where their files are may differ
 * from machine to machine.
 *
 * @param profile A profile, as it was given or as an earlier run has kept it.
 */
function canonicalMembers(profile: BulkProfile): ReadonlyMap<string, string> {
  const { ca: _, caCert: __, signingKeys: ___, ...members } = withDefaults(profile);
  const whole = { ...members, key: wantedKey(members.keyMode, profile.key) };
  return new Map(
    Object.entries(whole).toSorted(byName).map(([name, value]) => [name, sortedJson(value)]),
  );
}

/** The names of members in which two profiles differ, in alphabetical order. */
export function differingMembers(a: BulkProfile, b: BulkProfile): string[] {
  const [left, right] = [canonicalMembers(a), canonicalMembers(b)];
  const names = new Set([...left.keys(), ...right.keys()]);
  return [...names].toSorted().filter((name) => left.get(name) !== right.get(name));
}

/** JSON that does not depend on the order of members. */
function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_, each) => {
    const isObject = typeof each === "object" && each !== null && !Array.isArray(each);
    return isObject ? Object.fromEntries(Object.entries(each).toSorted(byName)) : each;
  });
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
