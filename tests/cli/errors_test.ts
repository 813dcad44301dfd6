/** Errors of files and of the command line. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { packError, unpackError } from "../../lib/cli/batch/threads/messages.ts";
import { CliError, fileError, isSystemError, usageError } from "../../lib/cli/errors.ts";
import { explain } from "../../lib/cli/io.ts";
import { CONFIG_COLUMNS } from "../../lib/format/config/row.ts";
import { SecureCertError } from "../../mod.ts";
import { MemoryWorld } from "./memory_io.ts";

/** An error as Deno throws it. */
function systemError(message: string, code?: string): Error {
  return Object.assign(new Error(message), { code });
}

Deno.test("an error of the command line is an Error that says where it was raised", () => {
  const error = usageError("--curve is P-256; not P-1", "curve", "run keygen --help");
  assert(error instanceof Error && error instanceof CliError);
  assertStringIncludes(error.stack!, "errors_test.ts");
  assertEquals([error.name, error.code], ["CliError", "ERR_USAGE"]);
  assertEquals([error.place, error.hint], [{ flag: "curve" }, "run keygen --help"]);
  const { place, hint } = fileError("ERR_IO", "a.bin", "Cannot read a.bin");
  assertEquals(JSON.stringify({ place, hint }), '{"place":{"file":"a.bin"}}');
});

Deno.test("an error goes from thread to thread as what it was", () => {
  const error = fileError("ERR_FILE_EXISTS", "a.bin", "a.bin exists", "give --force");
  const got = unpackError(structuredClone(packError(error)));
  if (!(got instanceof CliError)) throw got;
  assertEquals(
    [got.code, got.message, got.place, got.hint],
    [error.code, error.message, error.place, error.hint],
  );
  const input = unpackError(structuredClone(packError(new SecureCertError("ERR_KEY", "bad key"))));
  assert(input instanceof SecureCertError && input.code === "ERR_KEY");
});

Deno.test("an error of the system is known by its code, not by its text", () => {
  const full = systemError("No space left on device (os error 28)", "ENOSPC");
  assertEquals(isSystemError(full), true);
  assertEquals(isSystemError(systemError("No space left on device (os error 28)")), false);
  assertEquals(isSystemError(usageError("no")), false);
  assertEquals(isSystemError(new SecureCertError("ERR_KEY", "bad key")), false);
  const cases: [unknown, CliError["code"], string][] = [
    [full, "ERR_IO", "Cannot write a: no space left on device"],
    [systemError("File too large (os error 27)"), "ERR_IO", "Cannot write a: File too large"],
    [systemError("database is locked", "ERR_SQLITE_ERROR"), "ERR_IO", "database is locked"],
    [new Deno.errors.IsADirectory(), "ERR_IO", "Cannot write a: it is a folder"],
    [new Deno.errors.NotFound(), "ERR_FILE_NOT_FOUND", "its folder does not exist"],
    [new Deno.errors.PermissionDenied(), "ERR_PERMISSION", "the system denies it"],
  ];
  for (const [error, code, message] of cases) {
    const explained = explain("write", "a", error);
    assertEquals(explained.code, code);
    assertStringIncludes(explained.message, message);
  }
  for (const ours of [new SecureCertError("ERR_KEY", "bad key"), new TypeError("a bug")]) {
    assertThrows(() => explain("write", "a", ours), ours.constructor as typeof Error);
  }
});

Deno.test("a hint names a flag that the command has", async () => {
  const world = new MemoryWorld();
  world.put("large.bin", new Uint8Array(9000));
  world.put("rows.csv", `${CONFIG_COLUMNS.join(",")}\n51,0,large.bin,file,,,,,\n`);
  const built = await world.run("build", "--csv", "rows.csv", "-o", "i.bin");
  assertEquals(built.code, 1);
  assertStringIncludes(built.stderr, "hint: give a larger --size");
  const configured = await world.run("configure", "--esp_secure_cert_csv", "rows.csv");
  assertEquals(configured.code, 1);
  assertEquals(/hint|--size/.test(configured.stderr), false, configured.stderr);
});
