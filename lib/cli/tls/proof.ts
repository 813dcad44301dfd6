import { converse, type Identity, type Outcome, type Target } from "./client.ts";
import { CLOSED, type Failure, strangerFailure } from "./failure.ts";

/** What two connections showed: one without a client certificate, and one with it. */
export interface Proof {
  /** Whether the server takes this certificate, and no client without one. */
  readonly isProved: boolean;
  /** How the connection with the certificate went; absent where the other one failed for both. */
  readonly device?: Outcome;
  /** How the connection without a certificate went. */
  readonly stranger: Outcome;
  /** Whether the server refused that one. */
  readonly refusesStrangers: boolean;
  /** Why nothing is proved. */
  readonly failure?: Failure;
}

/**
 * Connects without a certificate, which a server that asks for one refuses, and then with it. The first
 * connection also shows what would fail for both.
 *
 * @returns Rejects with `Deno.errors.NotCapable` where the process lacks the permission.
 */
export async function prove(target: Target, identity: Identity): Promise<Proof> {
  const stranger = await converse(target);
  if (stranger.failure !== undefined && stranger.failure.by !== "server") {
    return { isProved: false, stranger, refusesStrangers: false, failure: stranger.failure };
  }
  const device = await converse(target, identity);
  const accepted = strangerFailure(stranger.failure);
  const failure = device.failure ?? accepted ?? await unexplained(stranger, target, identity);
  const refusesStrangers = accepted === undefined;
  return { isProved: failure === undefined, device, stranger, refusesStrangers, failure };
}

/** A connection that just closed may have closed for any reason: the certificate must work once more. */
async function unexplained(
  { failure }: Outcome,
  target: Target,
  identity: Identity,
): Promise<Failure | undefined> {
  return failure?.code === CLOSED ? (await converse(target, identity)).failure : undefined;
}
