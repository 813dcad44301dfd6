import type { BulkResult } from "./ports.ts";

/** Devices that have a key, or a serial number, already. */
export interface Owners {
  /** Id of the device that has a key, SubjectPublicKeyInfo in base64. */
  readonly ofKey: (publicKey: string) => string | undefined;
  /** Id of the verified device whose certificate has a serial number. */
  readonly ofSerial: (serial: string) => string | undefined;
}

/** A result as a journal records it: a device fails that has the key or serial number of another. */
export function failTwiceUsed(result: BulkResult, owners: Owners): BulkResult {
  const { device, state, row } = result;
  if (state === "failed") return result;
  const isOther = (id: string | undefined) => id !== undefined && id !== device.id;
  const [key, serial] = [owners.ofKey(row.publicKey), owners.ofSerial(row.serial)];
  if (isOther(key)) return failed(result, `its key is that of ${key} already`);
  if (isOther(serial)) return failed(result, `its serial number is that of ${serial} already`);
  return result;
}

function failed({ device, row }: BulkResult, reason: string): BulkResult {
  const empty = { ...row, serial: "", fingerprint: "", publicKey: "", imageSha256: "" };
  return {
    device,
    state: "failed",
    reached: "key made",
    reason,
    row: { ...empty, status: "failed" },
  };
}
