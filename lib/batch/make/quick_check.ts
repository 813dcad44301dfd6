import type { Bytes } from "../../bytes/pack.ts";
import type { Sources } from "../../crypto/sources.ts";
import { bad } from "./quick_image.ts";
import type { BulkProfile } from "../profile.ts";
import type { DeviceSettings } from "../list/settings.ts";
import { partitionSizeOf } from "../../image/encode.ts";
import { verify } from "../../verify/verify.ts";

/** The whole judgement of an image, which stands for others. */
export interface Sample {
  /** Devices until the next one. */
  left: number;
  readonly verdict: Promise<void>;
}

interface JudgeOptions extends Pick<Sources, "now"> {
  readonly profile: BulkProfile;
  readonly caCert?: Bytes;
  /** The last whole judgement for each chip. */
  readonly samples: Map<string, Sample>;
  readonly verifyEvery?: number;
}

/** What one image is judged for whole holds for the next ones too, good or bad. */
export async function judgeShared(
  shop: JudgeOptions,
  settings: DeviceSettings,
  image: Bytes,
): Promise<void> {
  const { samples, verifyEvery = 1000 } = shop;
  const name = settings.chip ?? "";
  let sample = samples.get(name);
  if (sample === undefined || sample.left-- <= 0) {
    sample = { left: verifyEvery - 1, verdict: judgeWhole(shop, settings, image) };
    samples.set(name, sample);
  }
  await sample.verdict;
}

async function judgeWhole(
  { profile, caCert, now }: JudgeOptions,
  { chip }: DeviceSettings,
  image: Bytes,
): Promise<void> {
  const verdict = await verify(image, {
    partitionSize: partitionSizeOf(profile),
    ...caCert && { ca: caCert },
    ...chip && { chip },
    ...now && { now },
  });
  const errors = verdict.findings.filter(({ severity }) => severity === "error");
  if (!verdict.ok) throw bad(errors.map(({ code, message }) => `${code}: ${message}`).join("; "));
}
