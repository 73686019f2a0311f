import type { Outcome, RequestHooks } from "./connection.ts";

/** A request in work, in its place in the order of its connection's answers. */
export class Slot implements RequestHooks {
  readonly frame: Buffer;
  readonly requestBytes: number;
  readonly mayOverlap: boolean;
  readonly #isOpen: () => boolean;
  #outcome: Outcome | null = null;
  #isSent = false;
  #closeCallbacks: (() => void)[] | null = null;
  #sentCallbacks: (() => void)[] | null = null;

  constructor(frame: Buffer, mayOverlap: boolean, isOpen: () => boolean) {
    this.frame = frame;
    this.requestBytes = frame.length;
    this.mayOverlap = mayOverlap;
    this.#isOpen = isOpen;
  }

  /** null: not there yet. */
  get outcome(): Outcome | null {
    return this.#outcome;
  }

  onClose(callback: () => void): void {
    if (!this.#isOpen()) callback();
    else if (this.#outcome === null) (this.#closeCallbacks ??= []).push(callback);
  }

  onSent(callback: () => void): void {
    if (this.#isSent) callback();
    else (this.#sentCallbacks ??= []).push(callback);
  }

  finish(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#closeCallbacks = null;
  }

  /** The answer has left, or never will. */
  sent(): void {
    this.#isSent = true;
    const callbacks = this.#sentCallbacks ?? [];
    this.#sentCallbacks = null;
    for (const callback of callbacks) callback();
  }

  /** Nobody waits for the answer any more. */
  letGo(): void {
    const callbacks = this.#closeCallbacks ?? [];
    this.#closeCallbacks = null;
    for (const callback of callbacks) callback();
  }
}
