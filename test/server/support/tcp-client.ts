import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Api } from "../../../src/protocol/apis.ts";
import { codecFor } from "../../../src/protocol/codec.ts";
import { FrameDecoder } from "../../../src/protocol/frame.ts";
import { decodeResponseHeader, encodeRequestFrame } from "../../../src/protocol/header.ts";
import type { Encodable, Infer, Message } from "../../../src/protocol/schema.ts";

const CLOSED = "the broker closed the connection";
const MAX_FRAME_BYTES = 256 * 1024 * 1024;

/** One connection to a broker, one request at a time. */
export class TcpClient {
  readonly #socket: Socket;
  readonly #decoder = new FrameDecoder(MAX_FRAME_BYTES);
  #waiting: { resolve(frame: Buffer): void; reject(error: Error): void } | null = null;
  #nextCorrelationId = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      for (const frame of this.#decoder.push(chunk)) this.#waiting?.resolve(frame);
    });
    // A reset is a way of closing; "close" follows.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#waiting?.reject(new Error(CLOSED));
    });
  }

  static async open(port: number, localAddress = "127.0.0.1"): Promise<TcpClient> {
    const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    await once(socket, "connect");
    return new TcpClient(socket);
  }

  async ask<Req extends Message, Res extends Message>(
    api: Api<Req, Res>,
    version: number,
    body: Encodable<Req>,
  ): Promise<Infer<Res>> {
    if (this.#socket.destroyed) throw new Error(CLOSED);
    const client = { correlationId: this.#nextCorrelationId++, clientId: "test" };
    const frame = await new Promise<Buffer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(Buffer.concat(encodeRequestFrame(api, version, client, body)));
    });
    const { bodyOffset } = decodeResponseHeader(frame, api, version);
    return codecFor(api.response, version).decode(frame, bodyOffset);
  }

  close(): void {
    this.#socket.destroy();
  }
}
