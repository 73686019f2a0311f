import { connect, type Socket } from "node:net";
import { FrameDecoder } from "../../src/protocol/frame.ts";
import { int32 } from "./mutate.ts";

/** What a frame came back with. `parked`: nothing yet, as for acks=0 or a fetch that waits. */
export type Answer =
  | { readonly kind: "frame"; readonly frame: Buffer }
  | { readonly kind: "closed" }
  | { readonly kind: "parked" };

const CLOSED: Answer = { kind: "closed" };
const PARKED: Answer = { kind: "parked" };
const GRACE_MS = 5;
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

/** One connection to a broker, one request at a time. */
export class Wire {
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder(MAX_FRAME_BYTES);
  #timer: NodeJS.Timeout | undefined = undefined;
  #waiting: ((answer: Answer) => void) | null = null;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      for (const frame of this.#decoder.push(chunk)) this.#settle({ kind: "frame", frame });
    });
    // A reset is a way of closing; "close" follows.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#isClosed = true;
      this.#settle(CLOSED);
    });
  }

  static open(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Wire(socket));
      });
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends the frame behind a size prefix that lies by `lieBytes`, and waits for what comes. */
  async ask(frame: Buffer, timeoutMs: number, lieBytes = 0): Promise<Answer> {
    if (this.#isClosed) return CLOSED;
    this.#socket.write(Buffer.concat([int32(frame.length + lieBytes), frame]));
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting = resolve;
      const giveUp = (): void => {
        if (this.#waiting === resolve) this.#settle(PARKED);
      };
      // Node runs what is due before it reads what has arrived: a busy loop is no silence.
      this.#timer = setTimeout(() => {
        setImmediate(() => (this.#timer = setTimeout(giveUp, GRACE_MS)));
      }, timeoutMs);
    });
    clearTimeout(this.#timer);
    return answer;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed) {
        resolve();
        return;
      }
      this.#socket.once("close", () => resolve());
      this.#socket.destroy();
    });
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(answer);
  }
}
