import type { Clock } from "../../base/clock.ts";
import type { TimerQueue } from "../../base/timer-queue.ts";
import { codecFor } from "../../protocol/codec.ts";
import { type ErrorName, KafkaError } from "../../protocol/errors.ts";
import type { Encodable, Infer, Message } from "../../protocol/schema.ts";
import type { Decided } from "./active-controller.ts";
import type { ControllerAnswer, ControllerApis, ControllerRequest } from "./controller-apis.ts";
import type { ControllerCommand } from "./controller-commands.ts";

/** The way to the active controller, where that is another node. */
export interface ControllerChannel {
  /**
   * Asks the node that leads now, as far as this one knows. Rejects with KafkaError: NOT_CONTROLLER when
   * it did nothing because it does not lead, or is not known or not reached; NETWORK_EXCEPTION when it
   * is not known whether it did something; REQUEST_TIMED_OUT; or what the controller refused with.
   */
  request(request: ControllerRequest, timeoutMs: number): Promise<ControllerAnswer>;
}

export interface ControllerClientDependencies {
  readonly apis: ControllerApis;
  readonly clock: Pick<Clock, "nowMs">;
  readonly timers: TimerQueue;
  /** null: this node is the whole quorum. */
  readonly channel: ControllerChannel | null;
  /** Whether this node is the active controller now. */
  readonly isActive: () => boolean;
}

/** Between two looks for whoever leads. */
const RETRY_BACKOFF_MS = 50;

/** Nothing was changed, or it may be tried once more all the same, as Kafka's forwarding does. */
const RETRIED: ReadonlySet<ErrorName> = new Set(["NOT_CONTROLLER", "NETWORK_EXCEPTION"]);

/** Brings commands to the active controller, be it this node or another, and waits while there is none. */
export class ControllerClient {
  readonly #dependencies: ControllerClientDependencies;

  constructor(dependencies: ControllerClientDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Decides at once where this node leads. A command that was sent to another is committed when this
   * resolves. Rejects with KafkaError: that of the decision, of the log, or after `timeoutMs` that there is no
   * controller (REQUEST_TIMED_OUT); a command whose answer was lost is sent again, and finds what it did the first time.
   */
  run<Req extends Message, Res extends Message>(
    command: ControllerCommand<Req, Res>,
    request: Infer<Req>,
    timeoutMs: number,
  ): Promise<Decided<Infer<Res>>> {
    const { apis, channel, isActive } = this.#dependencies;
    if (isActive() || channel === null) {
      return new Promise((resolve) => resolve(apis.run(command, request)));
    }
    return this.#send(channel, command, request, timeoutMs);
  }

  async #send<Req extends Message, Res extends Message>(
    channel: ControllerChannel,
    command: ControllerCommand<Req, Res>,
    request: Infer<Req>,
    timeoutMs: number,
  ): Promise<Decided<Infer<Res>>> {
    const { apis, clock, isActive } = this.#dependencies;
    const { key: apiKey, maxVersion: apiVersion, response } = command.api;
    // What was decoded can be encoded; the type checker cannot see it of a message that it does not know.
    const body = codecFor(command.api.request, apiVersion).encode(request as Encodable<Req>);
    const deadlineMs = clock.nowMs() + timeoutMs;
    for (;;) {
      try {
        // It may have become the leader since.
        if (isActive()) return apis.run(command, request);
        const leftMs = Math.max(0, deadlineMs - clock.nowMs());
        const answer = await channel.request({ apiKey, apiVersion, body }, leftMs);
        return {
          answer: codecFor(response, apiVersion).decode(answer.body),
          lastOffset: answer.lastOffset,
          committed: Promise.resolve(),
        };
      } catch (error) {
        if (!(error instanceof KafkaError) || !RETRIED.has(error.errorName)) throw error;
        if (clock.nowMs() + RETRY_BACKOFF_MS >= deadlineMs) {
          const message = `no controller has answered in ${timeoutMs} ms: ${error.message}`;
          throw new KafkaError("REQUEST_TIMED_OUT", message, { cause: error });
        }
      }
      await new Promise<void>((resolve) =>
        this.#dependencies.timers.after(RETRY_BACKOFF_MS, resolve),
      );
    }
  }
}
