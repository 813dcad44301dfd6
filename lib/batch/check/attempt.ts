import { SecureCertError } from "../../bytes/errors.ts";

/** What was read, or what is wrong with the input, in words. */
export async function attempt<T>(read: () => T | Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SecureCertError) return error.message;
    throw error;
  }
}
