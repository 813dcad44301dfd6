/** A thread of `verify` and `inspect`: reads and checks some of many images. */
import { help } from "../threads/share.ts";
import type { ImageFile } from "../input/images.ts";
import { denoIo } from "../io.ts";
import { imageChecker, type ImageReport, type ManyTask } from "./check.ts";

const { read } = denoIo();
const readFile = async (path: string) => ({ bytes: await read(path) });

help<ManyTask, readonly ImageFile[], readonly ImageReport[]>((task) => {
  const check = imageChecker(task);
  return (files) => Promise.all(files.map(({ path }) => check(path, readFile)));
});
