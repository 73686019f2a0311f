import type { Message } from "./core/messages.ts";
import type { ReplicaKey } from "./core/voters.ts";
import type { FormationMessage } from "./formation-messages.ts";

/** All that replicas of the metadata log say to each other. */
export type RaftMessage = Message | FormationMessage;

export interface RaftTransportListener {
  /** `from` is whom the sender's hello named: its id and its directory's. */
  onMessage(from: ReplicaKey, message: RaftMessage): void;
  /** A connection to the node was refused: nobody listens there (R16). */
  onUnreachable(nodeId: number): void;
}

/**
 * The way to the other replicas. Best effort: a message may be lost, late, doubled or out of order, and
 * whoever sends one sends it again when it matters. Nothing is called back from inside `send`.
 */
export interface RaftTransport {
  /** Never throws and never waits; drops what cannot be sent, as when too much waits for that node. */
  send(to: number, message: RaftMessage): void;
  /** One listener; a new one takes its place. What arrives while there is none is dropped. */
  setListener(listener: RaftTransportListener | null): void;
  /** Nothing is sent or delivered any more. Idempotent. */
  close(): Promise<void>;
}
