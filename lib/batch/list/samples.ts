import type { BulkDevice } from "./devices.ts";
import type { DeviceSettings } from "./settings.ts";

/** A device to try a batch out with. */
export interface Sample {
  readonly device: BulkDevice;
  readonly settings: DeviceSettings;
  /** About how much of the image is its own, in bytes. */
  readonly weight: number;
}

/** Devices to try a batch out with: of each kind those that have the most to store. */
export interface Samples {
  add(device: BulkDevice, settings: DeviceSettings): void;
  /** The samples of each kind, the heaviest first. */
  readonly kinds: ReadonlyMap<string, readonly Sample[]>;
}

/** The most samples of a kind. */
export const MOST_SAMPLES = 20;
/** What a byte of a certificate takes as PEM, and what an entry takes beside its value. */
const PEM_BYTE = 65 / 48;
const ENTRY = 32;

/** Collects samples; memory holds a few of each kind. */
export function collectSamples(): Samples {
  const kinds = new Map<string, Sample[]>();
  return {
    kinds,
    add: (device, settings) => {
      const { keyMode, chip, efuseKeyId, subject, sans, data } = settings;
      const kind = [keyMode, chip, efuseKeyId].join();
      const names = subject.length + sans.reduce((sum, { length }) => sum + length, 0);
      const own = data.reduce((sum, { data: { length } }) => sum + length + ENTRY, 0);
      const weight = PEM_BYTE * names + own;
      const samples = kinds.get(kind) ?? [];
      kinds.set(kind, samples);
      if (samples.length === MOST_SAMPLES && samples.at(-1)!.weight >= weight) return;
      const at = samples.findIndex((sample) => sample.weight < weight);
      samples.splice(at < 0 ? samples.length : at, 0, { device, settings, weight });
      samples.splice(MOST_SAMPLES);
    },
  };
}
