// Every file is read by these, whoever names it: the command line, a CSV, a device list, a manifest.
import { fileError } from "../errors.ts";
import { shownName } from "../../bytes/text.ts";

/** In bytes: twice the largest flash that the chips address; what has more is not meant for this tool. */
export const MAX_INPUT = 64 << 20;
/** Bytes of room to begin with where nothing says how long an input is. */
const FIRST_ROOM = 0x10000;

/**
 * A file's bytes. One that says that it is too long is not read; a device or a pipe is read up to the
 * limit.
 *
 * @throws {CliError} `ERR_IO` for more than {@linkcode MAX_INPUT} bytes.
 */
export async function readLimited(path: string): Promise<Uint8Array> {
  using file = await Deno.open(path, { read: true });
  const input = new LimitedInput(path, await file.stat());
  for (let count; (count = await file.read(input.room())) !== null;) input.add(count);
  return input.bytes();
}

/**
 * As {@linkcode readLimited}, at once.
 *
 * @throws {CliError} `ERR_IO` for more than {@linkcode MAX_INPUT} bytes.
 */
export function readLimitedSync(path: string): Uint8Array {
  using file = Deno.openSync(path, { read: true });
  const input = new LimitedInput(path, file.statSync());
  for (let count; (count = file.readSync(input.room())) !== null;) input.add(count);
  return input.bytes();
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
  const input = new LimitedInput(name);
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
class LimitedInput {
  readonly #name: string;
  #buffer: Uint8Array;
  #length = 0;

  constructor(name: string, { isFile, size }: { isFile: boolean; size: number } = NO_FILE) {
    this.#name = name;
    if (isFile && size > MAX_INPUT) throw this.#tooLong(`it has ${size} bytes`);
    // With one byte more than the file has, its end shows without a larger buffer.
    this.#buffer = new Uint8Array(isFile && size > 0 ? size + 1 : FIRST_ROOM);
  }

  /** Where the next bytes go; never empty. */
  room(): Uint8Array {
    if (this.#length === this.#buffer.length) {
      const grown = new Uint8Array(Math.min(2 * this.#length, MAX_INPUT + 1));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
    return this.#buffer.subarray(this.#length);
  }

  /** Takes that many bytes of the room. */
  add(count: number): void {
    this.#length += count;
    if (this.#length > MAX_INPUT) throw this.#tooLong("it has more");
  }

  /** What came. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #tooLong(what: string): Error {
    const name = shownName(this.#name);
    const message = `Cannot read ${name}: ${what}; at most ${MAX_INPUT >> 20} MiB are read`;
    return fileError("ERR_IO", this.#name, message);
  }
}

const NO_FILE = { isFile: false, size: 0 };
