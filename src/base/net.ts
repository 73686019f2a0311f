/** Told that bytes have left; or, with an error, that they never will. */
export type OnSent = (error?: Error | null) => void;

/** One accepted or opened TCP connection. Exactly one of its owner's listeners may be set, once. */
export interface Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Address and port that the peer reached. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Bytes that were written and wait in our queue: the peer's system has not taken them yet. */
  readonly queuedBytes: number;
  /** Sets who is told what happens here; called synchronously when the connection is handed over. */
  listen(listener: ConnectionListener): void;
  /**
   * Queues the buffers in order, without copying. False: above the high-water mark, wait for `onDrain`.
   * `onSent` is called once, when they are not looked at any more: they have left, or, with an error, the
   * connection closes. Until then they must not change.
   */
  write(buffers: readonly Uint8Array[], onSent?: OnSent): boolean;
  /** Stops reading: `onData` is not called until `resume` (a chunk already read may still come). */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then closes. */
  end(): void;
  /** Closes at once; what is queued is lost. `onClose` follows. */
  destroy(): void;
}

export interface ConnectionListener {
  /**
   * Where the next bytes shall be put, at least one; asked before each read. Left out, they come in
   * memory of the network's own.
   */
  readTarget?(): Buffer;
  /** `chunk` is the beginning of the last target, if there was one; valid during the call only. */
  onData(chunk: Buffer): void;
  /** The queue of `write` has emptied after `write` returned false. */
  onDrain(): void;
  /** The peer will send no more. */
  onEnd(): void;
  /** Last call, always exactly one. */
  onClose(error: Error | null): void;
}

/** A bound port. */
export interface Listener {
  readonly host: string;
  /** The port really bound, when 0 was asked for. */
  readonly port: number;
  /** Accepts no more; connections that exist stay. Resolves when the port is free. */
  close(): Promise<void>;
}

/** The only way bytes of clients come in (design.md, section 2). */
export interface Net {
  /** Rejects with an Error whose `code` is EADDRINUSE, EACCES, EADDRNOTAVAIL, … */
  listen(
    address: { readonly host: string; readonly port: number },
    onConnection: (connection: Connection) => void,
  ): Promise<Listener>;
}
