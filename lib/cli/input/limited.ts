// Every file is read by these, whether the command line, a CSV, a device list or a manifest names it.
import { countOf } from "../../bytes/errors.ts";
import { type CliError, fileError } from "../errors.ts";
import { shownName } from "../../bytes/text.ts";

/** In bytes: twice the largest flash that the chips address; what has more is not meant for this tool. */
export const MAX_INPUT = 64 << 20;
/** Bytes of room to begin with where nothing says how long an input is. */
const FIRST_ROOM = 0x10000;

/**
 * The bytes of what a command line names. A file that says that it is too long is not read; a device or a
 * pipe is read up to the limit.
 *
 * @throws {CliError} `ERR_IO` for more than {@linkcode MAX_INPUT} bytes.
 */
export async function readLimited(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path, { read: true });
  const input = limitedInput(path, await file.stat());
  for (let count; (count = await file.read(input.room())) !== null;) input.add(count);
  return input.bytes();
}

/**
 * The bytes of a file that another file names, or that is in a folder: of a regular file only. A device has
 * no end there, and a pipe would be waited for.
 *
 * @throws {CliError} `ERR_IO` for more than {@linkcode MAX_INPUT} bytes, and for what is not a file.
 */
export async function readPlain(path: string): Promise<Uint8Array> {
  refuseSpecial(path, Deno.statSync(path));
  return await readLimited(path);
}

/**
 * As {@linkcode readPlain}, at once.
 *
 * @throws {CliError} as {@linkcode readPlain}.
 */
export function readPlainSync(path: string): Uint8Array {
  const info = Deno.statSync(path);
  refuseSpecial(path, info);
  const input = limitedInput(path, info);
  using file = Deno.openSync(path, { read: true });
  for (let count; (count = file.readSync(input.room())) !== null;) input.add(count);
  return input.bytes();
}

/** Refuses devices, pipes and sockets; opening a folder has its own error. */
function refuseSpecial(path: string, { isFile, isDirectory }: Deno.FileInfo): void {
  if (isFile || isDirectory) return;
  const message = `Cannot read ${shownName(path)}: it is a device or a pipe, not a file`;
  throw fileError("ERR_IO", path, message);
}

/**
 * All bytes of a stream.
 *
 * @param name What messages call it.
 * @throws {CliError} `ERR_IO` for more than {@linkcode MAX_INPUT} bytes.
 */
export async function collectLimited(
  stream: ReadableStream<Uint8Array>,
  name: string,
): Promise<Uint8Array> {
  const input = limitedInput(name);
  for await (const part of stream) {
    for (let at = 0; at < part.length;) {
      const piece = part.subarray(at, at + input.room().length);
      input.room().set(piece);
      input.add(piece.length);
      at += piece.length;
    }
  }
  return input.bytes();
}

/** Bytes that grow up to the limit. */
interface LimitedInput {
  /** Where the next bytes go; never empty. */
  room(): Uint8Array;
  /** Takes that many bytes of the room. */
  add(count: number): void;
  /** What came. */
  bytes(): Uint8Array;
}

function limitedInput(
  name: string,
  { isFile, size }: { isFile: boolean; size: number } = { isFile: false, size: 0 },
): LimitedInput {
  if (isFile && size > MAX_INPUT) throw tooLong(name, `it has ${countOf(size, "byte")}`);
  // With one byte more than the file has, its end shows without a larger buffer.
  let buffer = new Uint8Array(isFile && size > 0 ? size + 1 : FIRST_ROOM);
  let length = 0;
  return {
    room: () => {
      if (length === buffer.length) {
        const grown = new Uint8Array(Math.min(2 * length, MAX_INPUT + 1));
        grown.set(buffer);
        buffer = grown;
      }
      return buffer.subarray(length);
    },
    add: (count) => {
      length += count;
      if (length > MAX_INPUT) throw tooLong(name, "it has more");
    },
    bytes: () => buffer.subarray(0, length),
  };
}

function tooLong(name: string, what: string): CliError {
  const message = `Cannot read ${shownName(name)}: ${what}; at most ${
    MAX_INPUT >> 20
  } MiB are read`;
  return fileError("ERR_IO", name, message);
}
