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
  /** R9: a failed sync is not tried again, nor is any after it. */
  #failure: { readonly error: unknown } | null = null;

  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  /** Resolves when all names made, changed or removed before the call are durable. Throws DiskError. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.then(() => this.#startNext());
    return this.#next;
  }

  #startNext(): Promise<void> {
    this.#next = null;
    return this.#start();
  }

  #start(): Promise<void> {
    this.#running = this.#sync();
    return this.#running;
  }

  async #sync(): Promise<void> {
    try {
      if (this.#failure !== null) throw this.#failure.error;
      await this.#disk.syncDir(this.#path);
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#running = null;
    }
  }
}
