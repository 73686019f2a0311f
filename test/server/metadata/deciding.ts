import { SeededRandom } from "../../../src/base/random.ts";
import type { QuorumDescription } from "../../../src/raft/raft-client.ts";
import type { Uuid } from "../../../src/base/ids.ts";
import { brokerListDefault } from "../../../src/server/config-admin.ts";
import { BrokerSessions } from "../../../src/server/metadata/broker-sessions.ts";
import {
  type ControllerCommand,
  CREATE_TOPICS,
  type DecisionContext,
  DELETE_TOPICS,
} from "../../../src/server/metadata/controller-commands.ts";
import type { CreatableTopic } from "../../../src/server/metadata/create-topics.ts";
import type { MetadataImage } from "../../../src/server/metadata/image.ts";
import type { MetadataManager } from "../../../src/server/metadata/metadata-manager.ts";
import type { Infer, Message } from "../../../src/protocol/schema.ts";
import { DEFAULTS } from "./cluster-image.ts";

export const CONFIG_RULES = {
  topicConfigs: DEFAULTS.topicConfigs,
  brokerText: () => null,
  brokerListDefault,
};

/** Of one node that has written nothing. */
const QUORUM: QuorumDescription = {
  ...{ leaderId: 1, leaderEpoch: 1, voters: [], replicas: [] },
  ...{ highWatermark: 0, endOffset: 0, flushedEndOffset: 0 },
};

type Executing = Pick<MetadataManager, "execute">;

/** A controller that decides on one image and appends nothing; `asked` is what it was asked. */
export function deciding(
  image: MetadataImage,
  over: Partial<DecisionContext> = {},
): Executing & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  const context = {
    ...{ nodeId: 1, defaults: DEFAULTS, configRules: CONFIG_RULES },
    random: new SeededRandom("deciding"),
    sessions: new BrokerSessions({ sessionTimeoutMs: 9000 }),
    nowMs: () => 0,
    wallMs: () => 0,
    quorum: () => QUORUM,
    ...over,
  };
  return {
    asked,
    execute<Req extends Message, Res extends Message>(
      command: ControllerCommand<Req, Res>,
      request: Infer<Req>,
      timeoutMs: number,
    ): Promise<Infer<Res>> {
      asked.push({ request, timeoutMs });
      return Promise.resolve(command.decide(request, context)(image, image.offset + 1).answer);
    },
  };
}

/** A controller that gives one answer, whatever it is asked. */
export function answering(answer: unknown): Executing & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    execute: <Req extends Message, Res extends Message>(
      _command: ControllerCommand<Req, Res>,
      request: Infer<Req>,
      timeoutMs: number,
    ) => {
      asked.push({ request, timeoutMs });
      return Promise.resolve(answer as Infer<Res>);
    },
  };
}

interface Options {
  readonly validateOnly: boolean;
  readonly timeoutMs: number;
}

export async function createTopics(
  manager: Executing,
  topics: readonly CreatableTopic[],
  options: Options,
) {
  const request = { ...options, topics: [...topics] };
  return (await manager.execute(CREATE_TOPICS, request, options.timeoutMs)).topics;
}

export async function deleteTopics(
  manager: Executing,
  topics: readonly { readonly name: string | null; readonly topicId: Uuid }[],
  { timeoutMs }: Pick<Options, "timeoutMs">,
) {
  const request = { topics: [...topics], topicNames: [], timeoutMs };
  return (await manager.execute(DELETE_TOPICS, request, timeoutMs)).responses;
}
