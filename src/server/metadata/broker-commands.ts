import { type Api, APIS, CONTROLLER_APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import { int32, int64, request } from "../../protocol/schema.ts";
import type { Infer } from "../../protocol/schema.ts";
import { unregisterBroker } from "./broker-fencing.ts";
import { brokerHeartbeat } from "./broker-heartbeat.ts";
import {
  registerController,
  registerIncarnation,
  type RegisterBrokerCommand,
} from "./broker-registration.ts";
import { command, type ControllerCommand, withRefusal } from "./controller-commands.ts";
import type { ItemError } from "./controller.ts";
import { LOST_DIRECTORY } from "./image.ts";
import { allocateProducerIds } from "./producer-id-blocks.ts";

type RegistrationRequest = Infer<typeof CONTROLLER_APIS.brokerRegistration.request>;

/** Whoever asks has been found to be of this cluster (INCONSISTENT_CLUSTER_ID). */
export const BROKER_REGISTRATION = command(CONTROLLER_APIS.brokerRegistration, {
  decide: (wanted, { sessions, nowMs, defaults: { topicConfigs } }) =>
    withRefusal(
      (image, nextOffset) => {
        const old = image.brokers.get(wanted.brokerId);
        const hasSession = old !== undefined && sessions.has(old, nowMs());
        const terms = { nextOffset, hasSession, topicConfigs };
        const { records, answer } = registerIncarnation(image, registrationOf(wanted), terms);
        return { records, answer: registered(answer.brokerEpoch) };
      },
      (error) => registered(-1, error),
    ),
  decided: ({ brokerId }, { errorCode: code, brokerEpoch }, image, { sessions, nowMs }) => {
    if (code !== 0) return;
    sessions.touch({ brokerId, brokerEpoch, metadataOffset: -1 }, image, nowMs());
  },
  refuse: (_request, _response, error) => registered(-1, error),
});

/** The request as a command; LOST among the directories says that there are others (KIP-858). */
export function registrationOf(wanted: RegistrationRequest): RegisterBrokerCommand {
  const { brokerId, incarnationId, listeners, features, rack, logDirs } = wanted;
  return {
    ...{ brokerId, incarnationId, rack },
    endPoints: listeners,
    features: features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
      ...{ name, minVersion: minSupportedVersion, maxVersion: maxSupportedVersion },
    })),
    logDirs: logDirs.filter((id) => id !== LOST_DIRECTORY),
    hasOfflineDirectories: logDirs.includes(LOST_DIRECTORY),
    previousBrokerEpoch: wanted.previousBrokerEpoch < 0 ? null : wanted.previousBrokerEpoch,
  };
}

function registered(brokerEpoch: number, error?: ItemError) {
  return { throttleTimeMs: 0, errorCode: codeOf(error), brokerEpoch };
}

export const BROKER_HEARTBEAT = command(CONTROLLER_APIS.brokerHeartbeat, {
  decide: (beat, { sessions, defaults: { topicConfigs } }) =>
    withRefusal(
      (image) => {
        const { records, answer } = brokerHeartbeat(image, beat, { sessions, topicConfigs });
        return { records, answer: { throttleTimeMs: 0, errorCode: 0, ...answer } };
      },
      (error) => unheard(error),
    ),
  decided: (beat, { errorCode: code }, image, { sessions, nowMs }) => {
    const { brokerId, brokerEpoch, currentMetadataOffset: metadataOffset } = beat;
    if (code === 0) sessions.touch({ brokerId, brokerEpoch, metadataOffset }, image, nowMs());
  },
  refuse: (_request, _response, error) => unheard(error),
});

function unheard(error: ItemError) {
  const nothing = { isCaughtUp: false, isFenced: true, shouldShutDown: false };
  return { throttleTimeMs: 0, errorCode: codeOf(error), ...nothing };
}

export const UNREGISTER_BROKER = command(APIS.unregisterBroker, {
  decide: ({ brokerId }, { defaults: { topicConfigs } }) =>
    withRefusal(
      (image) => {
        const { records } = unregisterBroker(image, brokerId, topicConfigs);
        return { records, answer: plain() };
      },
      (error) => plain(error),
    ),
  refuse: (_request, _response, error) => plain(error),
});

export const CONTROLLER_REGISTRATION = command(CONTROLLER_APIS.controllerRegistration, {
  decide: ({ controllerId, incarnationId, listeners, features }) => {
    const endPoints = listeners;
    const ranges = features.map(({ name, minSupportedVersion, maxSupportedVersion }) => ({
      ...{ name, minVersion: minSupportedVersion, maxVersion: maxSupportedVersion },
    }));
    const told = { controllerId, incarnationId, endPoints, features: ranges };
    return (image) => {
      const { records } = registerController(image, told);
      return { records, answer: plain() };
    };
  },
  refuse: (_request, _response, error) => plain(error),
});

function plain(error?: ItemError) {
  return { throttleTimeMs: 0, errorCode: codeOf(error), errorMessage: error?.message ?? null };
}

/** Kafka's request says nothing of ids that came with the log of another cluster (X4). */
const allocateProducerIdsRequest = request(
  "AllocateProducerIds",
  10_067,
  { versions: "0", flexible: "0+" },
  { brokerId: int32(), brokerEpoch: int64(), greatestKnownId: int64() },
);

const allocateProducerIdsApi = {
  key: 10_067,
  name: "AllocateProducerIds",
  request: allocateProducerIdsRequest,
  response: CONTROLLER_APIS.allocateProducerIds.response,
  minVersion: 0,
  maxVersion: 0,
} satisfies Api;

export const ALLOCATE_PRODUCER_IDS = command(allocateProducerIdsApi, {
  decide: (demand) =>
    withRefusal(
      (image) => {
        const { records, answer } = allocateProducerIds(image, demand);
        return { records, answer: allocated(answer.firstProducerId, answer.count) };
      },
      (error) => allocated(-1, 0, error),
    ),
  refuse: (_request, _response, error) => allocated(-1, 0, error),
});

function allocated(producerIdStart: number, producerIdLen: number, error?: ItemError) {
  return { throttleTimeMs: 0, errorCode: codeOf(error), producerIdStart, producerIdLen };
}

function codeOf(error?: ItemError): number {
  return errorCode(error?.name ?? "NONE");
}

/** What brokers and operators ask about brokers. */
export const BROKER_COMMANDS: readonly ControllerCommand[] = [
  BROKER_REGISTRATION,
  BROKER_HEARTBEAT,
  UNREGISTER_BROKER,
  CONTROLLER_REGISTRATION,
  ALLOCATE_PRODUCER_IDS,
];
