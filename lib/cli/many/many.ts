import type { CheckThreads, ThreadChecker } from "./threads.ts";
import type { FlashFile } from "../input/flash.ts";
import type { ImageFile } from "../input/image_files.ts";
import type { Io } from "../io.ts";
import { startCounter } from "../terminal/progress_line.ts";
import { imageChecker, type ImageReport, type ManyTask, unread } from "./check.ts";

/** Images under way at a time: WebCrypto's threads get work, and memory stays flat. */
const AT_A_TIME = 32;
/** To start other threads takes as long as to check some hundred images. */
const FEWEST_FOR_THREADS = 2000;

/** Several images, and what is done with each. */
export interface ManyImages {
  readonly files: readonly ImageFile[];
  readonly task: ManyTask;
  /** Reads one of them. */
  readonly read: (path: string) => Promise<FlashFile>;
}

/** Some of the files, in their order. */
interface Group {
  /** Index of the first one among all. */
  readonly at: number;
  readonly files: readonly ImageFile[];
  /** Whether another thread can read all of them. */
  readonly isPlain: boolean;
}

/** Checks several images, with a line of progress when it takes long; in the order of the files. */
export async function checkMany(
  { files, task, read }: ManyImages,
  io: Io,
): Promise<ImageReport[]> {
  const check = imageChecker(task);
  const reports: ImageReport[] = [];
  const groups = groupsOf(files);
  const counter = startCounter(io, ["checked", "images"], files.length);
  const put = ({ at, files }: Group, made: readonly ImageReport[]) => {
    made.forEach((each, index) => reports[at + index] = each);
    counter.add(files.length);
  };
  const checkHere = async (group: Group) => {
    const made = group.files.map(({ path, problem }) =>
      problem === undefined ? check(path, read) : unread(path, problem)
    );
    put(group, await Promise.all(made));
  };
  const threads = files.length < FEWEST_FOR_THREADS ? undefined : await startThreads(task);
  const busy = new Set<Promise<void>>();
  const useThread = async (checkThere: ThreadChecker | undefined) => {
    while (checkThere !== undefined) {
      const next = groups.findLastIndex(({ isPlain }) => isPlain);
      if (next < 0) return;
      const group = groups.splice(next, 1)[0]!;
      const work = checkThere(group.files.map(({ path }) => path))
        .then((made) => made === undefined ? checkHere(group) : put(group, made));
      busy.add(work);
      await work;
      busy.delete(work);
    }
  };
  // What fails there is thrown below, where all that is under way is waited for.
  for (const each of threads?.checkers ?? []) each.then(useThread).catch(() => {});
  try {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      await checkHere(group);
    }
    await Promise.all(busy);
  } finally {
    threads?.end();
    counter.end();
  }
  return reports;
}

async function startThreads(task: ManyTask): Promise<CheckThreads> {
  const { startCheckThreads } = await import("./threads.ts");
  return await startCheckThreads(task);
}

function groupsOf(files: readonly ImageFile[]): Group[] {
  const groups: Group[] = [];
  for (let at = 0; at < files.length; at += AT_A_TIME) {
    const some = files.slice(at, at + AT_A_TIME);
    const isPlain = some.every(({ path, problem }) => problem === undefined && path !== "-");
    groups.push({ at, files: some, isPlain });
  }
  return groups;
}
