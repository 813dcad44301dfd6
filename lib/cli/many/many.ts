import type { ImageFile } from "../input/image_files.ts";
import type { Io } from "../io.ts";
import { startCounter } from "../terminal/progress_line.ts";
import { imageChecker, type ImageReport, type ManyTask, unread } from "./check.ts";

/** Images under way at a time: WebCrypto's threads get work, and memory stays flat. */
const AT_A_TIME = 32;

/** Checks several images, with a line of progress when it takes long; in the order of the files. */
export async function checkMany(
  files: readonly ImageFile[],
  task: ManyTask,
  io: Io,
): Promise<ImageReport[]> {
  const check = imageChecker(task);
  const reports: ImageReport[] = [];
  const counter = startCounter(io, ["checked", "images"], files.length);
  let next = 0;
  const work = async () => {
    while (next < files.length) {
      const at = next++;
      const { path, problem } = files[at]!;
      reports[at] = problem === undefined
        ? await check(path, () => io.read(path))
        : unread(path, problem);
      counter.add(1);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(AT_A_TIME, files.length) }, work));
  } finally {
    counter.end();
  }
  return reports;
}
