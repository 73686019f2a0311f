import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { BoundListener } from "./listeners.ts";

/** An address that does not answer is not waited for longer. */
const TIMEOUT_MS = 3_000;

/**
 * What to tell the user of a listener whose advertised address cannot be reached from here, or null. Clients
 * are sent there, and one that is not let in says only that it times out.
 */
export async function reachabilityWarning(
  clock: Clock,
  { name, host, port }: BoundListener,
): Promise<string | null> {
  const failure = await connectionFailure(clock, host, port);
  if (failure === null) return null;
  return (
    `clients are told to connect to ${host}:${port} (${name}), and from here that fails (${failure}): ` +
    `if it fails for them, too, set advertised.listeners=${name}://<a name that they can reach>:${port}`
  );
}

/** The error's code; null: somebody listens there. */
function connectionFailure(clock: Clock, host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = clock.after(TIMEOUT_MS, () => done("no answer"));
    const done = (failure: string | null): void => {
      timer.cancel();
      socket.destroy();
      resolve(failure);
    };
    socket.on("connect", () => done(null));
    socket.on("error", (error: Error & { readonly code?: string }) => done(error.code ?? "error"));
  });
}
