import { must } from "../base/assert.ts";
import type { Connection } from "../base/net.ts";
import { type Api, APIS } from "../protocol/apis.ts";
import { codecFor } from "../protocol/codec.ts";
import { FrameDecoder } from "../protocol/frame.ts";
import { decodeResponseHeader, encodeRequestFrame } from "../protocol/header.ts";
import type { Encodable, Infer, Message } from "../protocol/schema.ts";
import type { SimNet } from "./sim-net.ts";

const MAX_FRAME_BYTES = 64 * 1024 * 1024;

/** The broker has gone, or has closed the connection: what was in flight may or may not have happened. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
}

interface Waiting {
  readonly correlationId: number;
  readonly settle: (frame: Buffer | null) => void;
}

/** One connection of a simulated client: it speaks frames, as any client does. */
export class SimClient {
  readonly #connection: Connection;
  readonly #clientId: string;
  readonly #decoder = new FrameDecoder(MAX_FRAME_BYTES);
  /** In the order of their requests, which is the order of the answers. */
  #waiting: Waiting[] = [];
  #nextCorrelationId = 0;
  #isOpen = true;
  #versions = new Map<number, { readonly min: number; readonly max: number }>();

  private constructor(connection: Connection, clientId: string) {
    this.#connection = connection;
    this.#clientId = clientId;
    connection.listen({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => undefined,
      onEnd: () => this.#connection.end(),
      onClose: () => this.#onClose(),
    });
  }

  /** Connects and asks for the broker's versions. Throws ConnectionLostError. */
  static async connect(net: SimNet, port: number, clientId: string): Promise<SimClient> {
    let connection;
    try {
      connection = await net.connect(port);
    } catch (error) {
      throw new ConnectionLostError("refused", { cause: error });
    }
    const client = new SimClient(connection, clientId);
    const answer = await client.request(APIS.apiVersions, 3, {
      clientSoftwareName: "holdfast-sim",
      clientSoftwareVersion: "1",
    });
    for (const { apiKey, minVersion, maxVersion } of answer.apiKeys) {
      client.#versions.set(apiKey, { min: minVersion, max: maxVersion });
    }
    return client;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** A version that both ends speak: `wanted`, or the nearest to it. */
  version(api: Api, wanted: number): number {
    const served = must(this.#versions.get(api.key), `the broker serves ${api.name}`);
    const min = Math.max(served.min, api.minVersion);
    return Math.min(Math.max(wanted, min), served.max, api.maxVersion);
  }

  /** Sends a request; resolves with its answer. Rejects with ConnectionLostError. */
  request<Req extends Message, Res extends Message>(
    api: Api<Req, Res>,
    version: number,
    body: Encodable<Req>,
  ): Promise<Infer<Res>> {
    if (!this.#isOpen) return Promise.reject(new ConnectionLostError("closed"));
    const correlationId = this.#nextCorrelationId++;
    const client = { correlationId, clientId: this.#clientId };
    this.#connection.write(encodeRequestFrame(api, version, client, body));
    return new Promise((resolve, reject) => {
      const settle = (frame: Buffer | null): void => {
        if (frame === null) {
          reject(new ConnectionLostError("lost"));
          return;
        }
        const { bodyOffset } = decodeResponseHeader(frame, api, version);
        resolve(codecFor(api.response, version).decode(frame, bodyOffset));
      };
      this.#waiting.push({ correlationId, settle });
    });
  }

  close(): void {
    this.#connection.destroy();
    this.#onClose();
  }

  #onData(chunk: Buffer): void {
    for (const frame of this.#decoder.push(chunk)) {
      const next = must(this.#waiting.shift(), "an answer belongs to a request");
      // Answers leave in the order of the requests, whatever was finished first.
      if (frame.readInt32BE(0) !== next.correlationId) {
        throw new Error(`answer ${frame.readInt32BE(0)} came instead of ${next.correlationId}`);
      }
      next.settle(frame);
    }
  }

  #onClose(): void {
    this.#isOpen = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { settle } of waiting) settle(null);
  }
}

/** What one does between two tries: wait, and connect anew. */
export interface Retrying {
  readonly sleep: (ms: number) => Promise<void>;
  readonly connect: () => Promise<SimClient>;
}

const RETRY_MS = 20;

/** Runs the task on a new connection each time until it answers something; lost connections pass. */
export async function untilAnswered<T>(
  { sleep, connect }: Retrying,
  task: (client: SimClient) => Promise<T | null>,
): Promise<T> {
  for (;;) {
    const client = await connect();
    try {
      const result = await task(client);
      if (result !== null) return result;
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
    } finally {
      client.close();
    }
    await sleep(RETRY_MS);
  }
}
