import type { Bytes } from "../../bytes/pack.ts";
import type { Sources } from "../../crypto/sources.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { verify } from "../../verify/verify.ts";
import type { DeviceSettings } from "../list/settings.ts";
import type { BulkProfile } from "../profile/profile.ts";
import { badImage, messageOf } from "./quick_image.ts";

/** The result of `verify` for one image, which holds for others. */
export interface Sample {
  /** Devices until the next one. */
  left: number;
  readonly result: Promise<void>;
}

interface CheckOptions extends Pick<Sources, "now"> {
  readonly profile: BulkProfile;
  readonly caCert?: Bytes;
  /** The last sample for each chip. */
  readonly samples: Map<string, Sample>;
}

/** One image in so many is checked by the whole of `verify`, and always the first. */
const EVERY = 1000;

/** What the whole of `verify` finds in one image holds for the next ones too, good or bad. */
export async function checkShared(
  shop: CheckOptions,
  settings: DeviceSettings,
  image: Bytes,
): Promise<void> {
  const name = settings.chip ?? "";
  let sample = shop.samples.get(name);
  if (sample === undefined || sample.left-- <= 0) {
    sample = { left: EVERY - 1, result: checkWhole(shop, settings, image) };
    shop.samples.set(name, sample);
  }
  await sample.result;
}

async function checkWhole(
  { profile, caCert, now }: CheckOptions,
  { chip }: DeviceSettings,
  image: Bytes,
): Promise<void> {
  const partitionSize = partitionSizeOf(profile);
  const verdict = await verify(image, { partitionSize, ca: caCert, chip, now });
  if (!verdict.ok) throw badImage(messageOf(verdict.findings));
}
