import { type Random, randomUuid } from "../../base/random.ts";
import { type Api, APIS } from "../../protocol/apis.ts";
import { errorCode, KafkaError } from "../../protocol/errors.ts";
import type { Infer, Message } from "../../protocol/schema.ts";
import { type AlteredResource, alterConfigs, type ConfigRules } from "./alter-configs.ts";
import type { QuorumDescription } from "../../raft/raft-client.ts";
import type { BrokerSessions } from "./broker-sessions.ts";
import { operationOf } from "./config-operations.ts";
import { type ControllerResult, type ItemError, itemError } from "./controller.ts";
import { createPartitions, refusedGrowth } from "./create-partitions.ts";
import { createTopics, type CreateTopicsDefaults, refused } from "./create-topics.ts";
import { deleteTopics, refusedDeletion } from "./delete-topics.ts";
import { electLeaders, type ElectionType, refusedElections } from "./elect-leaders.ts";
import type { MetadataImage } from "./image.ts";
import { updateFeatures, type UpgradeType } from "./update-features.ts";

/** What a decision may know besides the image and the request. */
export interface DecisionContext {
  /** Of the controller that decides. */
  readonly nodeId: number;
  readonly random: Random;
  readonly defaults: CreateTopicsDefaults;
  readonly configRules: ConfigRules;
  /** Of this node as the active controller. */
  readonly sessions: BrokerSessions;
  /** By the monotonic clock. */
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  /** The log that decisions go to. */
  readonly quorum: () => QuorumDescription;
}

/**
 * What anybody may ask of the controller, in Kafka's own messages: so a node that is not the active
 * controller sends the request on to the one that is, as it would to itself (KIP-590).
 */
export interface ControllerCommand<Req extends Message = Message, Res extends Message = Message> {
  readonly api: Api<Req, Res>;
  /** Pure, but for the ids of what is made. */
  decide(
    request: Infer<Req>,
    context: DecisionContext,
  ): (image: MetadataImage, nextOffset: number) => ControllerResult<Infer<Res>>;
  /** What was decided has been appended, and the image holds it. Called by the active controller. */
  decided?(
    request: Infer<Req>,
    response: Infer<Res>,
    image: MetadataImage,
    context: DecisionContext,
  ): void;
  /**
   * The answer where it is not known that what was decided holds; `response` is the decision's own, if
   * there was one, and what it refuses stays refused for its own reason.
   */
  refuse(request: Infer<Req>, response: Infer<Res> | null, error: ItemError): Infer<Res>;
}

export function command<Req extends Message, Res extends Message>(
  api: Api<Req, Res>,
  rest: Omit<ControllerCommand<Req, Res>, "api">,
): ControllerCommand<Req, Res> {
  return { api, ...rest };
}

/** A decision that throws KafkaError, as one that answers it. */
export function withRefusal<A>(
  decide: (image: MetadataImage, nextOffset: number) => ControllerResult<A>,
  refuse: (error: ItemError) => A,
): (image: MetadataImage, nextOffset: number) => ControllerResult<A> {
  return (image, nextOffset) => {
    try {
      return decide(image, nextOffset);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { records: [], answer: refuse({ name: error.errorName, message: error.message }) };
    }
  };
}

export const CREATE_TOPICS = command(APIS.createTopics, {
  decide: ({ topics, validateOnly }, { random, defaults }) => {
    const topicIds = topics.map(() => randomUuid(random));
    return (image) => {
      const decided = createTopics(image, { topics, topicIds, validateOnly }, defaults);
      return answering(decided, { throttleTimeMs: 0, topics: [...decided.answer] });
    };
  },
  refuse: ({ topics }, response, error) => ({
    throttleTimeMs: 0,
    topics:
      response?.topics.map((each) => (each.errorCode === 0 ? refused(each.name, error) : each)) ??
      topics.map(({ name }) => refused(name, error)),
  }),
});

export const CREATE_PARTITIONS = command(APIS.createPartitions, {
  decide:
    ({ topics, validateOnly }) =>
    (image) => {
      const decided = createPartitions(image, { topics, validateOnly });
      return answering(decided, { throttleTimeMs: 0, results: [...decided.answer] });
    },
  refuse: ({ topics }, response, error) => ({
    throttleTimeMs: 0,
    results:
      response?.results.map((each) =>
        each.errorCode === 0 ? refusedGrowth(each.name, error) : each,
      ) ?? topics.map(({ name }) => refusedGrowth(name, error)),
  }),
});

/** By `topics`, as versions from 6 on name them. */
export const DELETE_TOPICS = command(APIS.deleteTopics, {
  decide:
    ({ topics }) =>
    (image) => {
      const decided = deleteTopics(image, topics);
      return answering(decided, { throttleTimeMs: 0, responses: [...decided.answer] });
    },
  refuse: ({ topics }, response, error) => ({
    throttleTimeMs: 0,
    responses:
      response?.responses.map((each) =>
        each.errorCode === 0 ? refusedDeletion(each, error) : each,
      ) ?? topics.map((reference) => refusedDeletion(reference, error)),
  }),
});

/** Kafka's ElectionType by its number. */
const ELECTION_TYPES: readonly ElectionType[] = ["preferred", "unclean"];

export const ELECT_LEADERS = command(APIS.electLeaders, {
  decide:
    ({ electionType: id, topicPartitions }, { defaults: { topicConfigs } }) =>
    (image) => {
      const electionType = ELECTION_TYPES[id];
      if (electionType === undefined) {
        const error = itemError("INVALID_REQUEST", `Unknown election type ${id}`);
        return { records: [], answer: elections(refusedElections(topicPartitions, error), error) };
      }
      const decided = electLeaders(image, { electionType, topicPartitions }, topicConfigs);
      return answering(decided, elections(decided.answer));
    },
  refuse: ({ topicPartitions }, _response, error) =>
    elections(refusedElections(topicPartitions, error)),
});

function elections(
  results: Infer<typeof APIS.electLeaders.response>["replicaElectionResults"],
  error: ItemError | null = null,
): Infer<typeof APIS.electLeaders.response> {
  const code = errorCode(error?.name ?? "NONE");
  return { throttleTimeMs: 0, errorCode: code, replicaElectionResults: results };
}

/** Kafka's FeatureUpdate.UpgradeType by its number. */
const UPGRADE_TYPES: ReadonlyMap<number, UpgradeType> = new Map([
  [1, "upgrade"],
  [2, "safe downgrade"],
  [3, "unsafe downgrade"],
]);

/** By `upgradeType`, as versions from 1 on name it; results of single features are the asking node's. */
export const UPDATE_FEATURES = command(APIS.updateFeatures, {
  decide:
    ({ featureUpdates, validateOnly }, { nodeId }) =>
    (image) => {
      const updates = featureUpdates.map(({ feature, maxVersionLevel, upgradeType }) => ({
        ...{ feature, maxVersionLevel },
        upgradeType: UPGRADE_TYPES.get(upgradeType) ?? ("unknown" as const),
      }));
      const decided = updateFeatures(image, { nodeId, updates, validateOnly });
      return answering(decided, featuresAnswer(decided.answer));
    },
  refuse: (_request, _response, error) => featuresAnswer(error),
});

function featuresAnswer(error: ItemError | null): Infer<typeof APIS.updateFeatures.response> {
  return {
    throttleTimeMs: 0,
    errorCode: errorCode(error?.name ?? "NONE"),
    errorMessage: error?.message ?? null,
    results: [],
  };
}

export const INCREMENTAL_ALTER_CONFIGS = command(APIS.incrementalAlterConfigs, {
  decide: ({ resources, validateOnly }, { configRules }) => {
    const altered = resources.map(({ resourceType, resourceName, configs }): AlteredResource => {
      const operations = configs.flatMap(({ name, configOperation, value }) => {
        // The node that was asked has refused what is no operation.
        const operation = operationOf(configOperation);
        return operation === null ? [] : [{ name, operation, value: value ?? "" }];
      });
      return { resourceType, resourceName, change: { kind: "incremental", operations } };
    });
    return alteration(altered, validateOnly, configRules);
  },
  refuse: ({ resources }, response, error) => refusedAlterations(resources, response, error),
});

export const ALTER_CONFIGS = command(APIS.alterConfigs, {
  decide: ({ resources, validateOnly }, { configRules }) => {
    const altered = resources.map(({ resourceType, resourceName, configs }): AlteredResource => {
      const values = new Map(configs.map(({ name, value }) => [name, value ?? ""]));
      return { resourceType, resourceName, change: { kind: "replace", values } };
    });
    return alteration(altered, validateOnly, configRules);
  },
  refuse: ({ resources }, response, error) => refusedAlterations(resources, response, error),
});

type Alterations = Infer<typeof APIS.alterConfigs.response>;
type Resource = Pick<AlteredResource, "resourceType" | "resourceName">;

function alteration(
  resources: readonly AlteredResource[],
  validateOnly: boolean,
  rules: ConfigRules,
): (image: MetadataImage) => ControllerResult<Alterations> {
  return (image) => {
    const decided = alterConfigs(image, { resources, validateOnly }, rules);
    const responses = resources.map((resource, index) =>
      alterationAnswer(resource, decided.answer[index] ?? null),
    );
    return answering(decided, { throttleTimeMs: 0, responses });
  };
}

function refusedAlterations(
  resources: readonly Resource[],
  response: Alterations | null,
  error: ItemError,
): Alterations {
  const responses = resources.map((resource, index) => {
    const own = response?.responses[index];
    return own === undefined || own.errorCode === 0 ? alterationAnswer(resource, error) : own;
  });
  return { throttleTimeMs: 0, responses };
}

function alterationAnswer({ resourceType, resourceName }: Resource, error: ItemError | null) {
  return {
    ...{ resourceType, resourceName },
    errorCode: errorCode(error?.name ?? "NONE"),
    errorMessage: error?.message ?? null,
  };
}

function answering<A>({ records }: ControllerResult<unknown>, answer: A): ControllerResult<A> {
  return { records, answer };
}
