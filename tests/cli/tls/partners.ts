/** Servers that other people made, on loopback, for `connect`. */

/** A server that runs. */
export interface Partner {
  readonly port: number;
}

/** Files of a server, which a test writes into a folder. */
export interface ServerFiles {
  /** Certificate of the server, PEM. */
  readonly cert: string;
  /** Its key, PEM. */
  readonly key: string;
  /** The CA of its clients, PEM. */
  readonly clientCa: string;
}

/** Runs something while `openssl s_server` runs with these options. */
export async function withOpenssl<T>(
  files: ServerFiles,
  options: readonly string[],
  act: (server: Partner) => Promise<T>,
): Promise<T> {
  return await withFiles(files, async (folder) => {
    const args = ["-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem"];
    const child = new Deno.Command("openssl", {
      args: ["s_server", ...args, "-CAfile", "ca.pem", ...options],
      cwd: folder,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const [, port] = await outputWith(child.stdout, /ACCEPT 127\.0\.0\.1:(\d+)/);
    return await whileItRuns(child, () => act({ port: Number(port) }));
  });
}

/** Runs something while mosquitto runs with these lines in its configuration. */
export async function withMosquitto<T>(
  files: ServerFiles,
  lines: readonly string[],
  act: (server: Partner) => Promise<T>,
): Promise<T> {
  return await withFiles(files, async (folder) => {
    const port = freePort();
    const configuration = [
      `listener ${port} 127.0.0.1`,
      `cafile ${folder}/ca.pem`,
      `certfile ${folder}/cert.pem`,
      `keyfile ${folder}/key.pem`,
      "user root",
      ...lines,
    ];
    await Deno.writeTextFile(`${folder}/mosquitto.conf`, configuration.join("\n"));
    const child = new Deno.Command("mosquitto", {
      args: ["-c", "mosquitto.conf"],
      cwd: folder,
      env: { PATH: `${Deno.env.get("PATH")}:/usr/sbin` },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    await outputWith(child.stderr, /mosquitto version \S+ running/);
    return await whileItRuns(child, () => act({ port }));
  });
}

/** Runs something while a port answers each connection as told. */
export async function withListener<T>(
  answer: (connection: Deno.TcpConn) => Promise<void>,
  act: (server: Partner) => Promise<T>,
): Promise<T> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open: Deno.TcpConn[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      open.push(connection);
      await answer(connection).catch(() => {});
    }
  })();
  try {
    return await act({ port: listener.addr.port });
  } finally {
    listener.close();
    for (const connection of open) closeOnce(connection);
    await serving;
  }
}

/** Closes what the other side or the server may have closed before. */
function closeOnce(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** A port that nothing listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function withFiles<T>(
  { cert, key, clientCa }: ServerFiles,
  act: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/cert.pem`, cert);
    await Deno.writeTextFile(`${folder}/key.pem`, key);
    await Deno.writeTextFile(`${folder}/ca.pem`, clientCa);
    return await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Ends a program that may have ended by itself. */
export async function endProgram(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  await child.status;
}

/** Ends a program after something. */
async function whileItRuns<T>(child: Deno.ChildProcess, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } finally {
    await endProgram(child);
    await Promise.all(
      [() => child.stdin.close(), () => child.stdout.cancel(), () => child.stderr.cancel()]
        .map((close) => Promise.try(close).catch(() => {})),
    );
  }
}

/** What a program prints, as soon as it matches; the rest of its output is discarded. */
async function outputWith(
  output: ReadableStream<Uint8Array>,
  expected: RegExp,
): Promise<RegExpExecArray> {
  const reader = output.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    text += decoder.decode(value, { stream: true });
    const found = expected.exec(text);
    if (found !== null || done) {
      reader.releaseLock();
      if (found !== null) return found;
      throw new Error(`the server ended: ${text}`);
    }
  }
}

/** The lines of a stream, one at a time. */
export interface Lines {
  /** The next line; undefined at the end. */
  next(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Reads what a program prints line by line. */
export function linesOf(output: ReadableStream<Uint8Array>): Lines {
  const reader = output.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
    .getReader();
  let text = "";
  const next = async (): Promise<string | undefined> => {
    for (;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return line;
      }
      const { value, done } = await reader.read();
      if (done) return text === "" ? undefined : text;
      text += value;
    }
  };
  return { next, close: () => reader.cancel() };
}
