import { codecFor } from "../../protocol/codec.ts";
import { KafkaError } from "../../protocol/errors.ts";
import type { Infer, Message } from "../../protocol/schema.ts";
import type { ActiveController, Decided } from "./active-controller.ts";
import type { ControllerCommand, DecisionContext } from "./controller-commands.ts";

/** A command on its way between two nodes: a Kafka request without its header. */
export interface ControllerRequest {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly body: Buffer;
}

/** What became of it. */
export interface ControllerAnswer {
  /** Last offset of what it changed: whoever has applied that sees it. null: nothing changed. */
  readonly lastOffset: number | null;
  readonly body: Buffer;
}

/** The commands of the active controller, for this node and for others that send theirs on. */
export class ControllerApis {
  readonly #controller: ActiveController;
  readonly #context: DecisionContext;
  readonly #commands: ReadonlyMap<number, ControllerCommand>;

  constructor(
    controller: ActiveController,
    context: DecisionContext,
    commands: readonly ControllerCommand[],
  ) {
    this.#controller = controller;
    this.#context = context;
    this.#commands = new Map(commands.map((command) => [command.api.key, command]));
  }

  /** Decides and appends, synchronously. Throws KafkaError: NOT_CONTROLLER, the log's, the decision's. */
  run<Req extends Message, Res extends Message>(
    command: ControllerCommand<Req, Res>,
    request: Infer<Req>,
  ): Decided<Infer<Res>> {
    const decided = this.#controller.run(command.decide(request, this.#context));
    const { image } = this.#controller;
    if (image !== null) command.decided?.(request, decided.answer, image, this.#context);
    return decided;
  }

  /**
   * Another node's command, answered when it is committed. Rejects with KafkaError as `run` throws, and
   * UNSUPPORTED_VERSION; with ProtocolError when the body is damaged.
   */
  async serve({ apiKey, apiVersion, body }: ControllerRequest): Promise<ControllerAnswer> {
    const command = this.#commands.get(apiKey);
    if (command === undefined) {
      throw new KafkaError("UNSUPPORTED_VERSION", `the controller does not serve API ${apiKey}`);
    }
    const { api } = command;
    const request = codecFor(api.request, apiVersion).decode(body);
    const { answer, lastOffset, committed } = this.run(command, request);
    await committed;
    return { lastOffset, body: codecFor(api.response, apiVersion).encode(answer) };
  }
}
