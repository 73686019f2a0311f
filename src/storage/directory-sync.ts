import type { Disk } from "../base/disk.ts";

/**
 * Syncs of one directory, shared: who asks while a sync runs waits for the next one, together with
 * all that asked meanwhile. So hundreds of partitions created at once cost two syncs of their parent.
 */
export class DirectorySync {
  readonly #disk: Disk;
  readonly #path: string;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /** Resolves when all names made, changed or removed before the call are durable. Throws DiskError. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      // The failed sync is its own callers' matter; these names were not part of it.
      () => this.#startNext(),
    );
    return this.#next;
  }

  #startNext(): Promise<void> {
    this.#next = null;
    return this.#start();
  }

  #start(): Promise<void> {
    const running = this.#disk.syncDir(this.#path).finally(() => {
      this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
