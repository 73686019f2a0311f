import type { ErrorName } from "../protocol/errors.ts";
import { errorCode } from "../protocol/errors.ts";
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponse,
} from "../protocol/messages/32-describe-configs.ts";
import { allKeys, specOf } from "./config-keys.ts";
import { type BrokerSettings, CONFIG_SOURCES, type Synonym } from "./config-layers.ts";
import type { ConfigKind, ConfigType } from "./config-types.ts";
import type { LogLevels } from "./log-levels.ts";
import { CLIENT_METRICS_CONFIGS } from "./metadata/client-metrics.ts";
import { brokerKeyOf, GROUP_CONFIGS } from "./metadata/group-configs.ts";
import {
  BROKER_LOGGER_RESOURCE,
  BROKER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  configOf,
  GROUP_RESOURCE,
  type MetadataImage,
  TOPIC_RESOURCE,
  topicOverrides,
} from "./metadata/image.ts";
import { TOPIC_CONFIG_KEYS, TOPIC_CONFIGS } from "./metadata/topic-config-keys.ts";
import type { TopicConfigs } from "./metadata/topic-configs.ts";
import { topicNameProblem } from "./metadata/topic-names.ts";

/** What there is to tell. */
export interface DescribedState {
  readonly image: MetadataImage;
  readonly nodeId: number;
  /** As of the image. */
  readonly settings: BrokerSettings;
  /** What a topic has that was given nothing, by its own keys. */
  readonly inherited: ReadonlyMap<string, string>;
  readonly logLevels: LogLevels | null;
}

export function describedState({
  topicConfigs,
  ...state
}: Omit<DescribedState, "inherited"> & { readonly topicConfigs: TopicConfigs }): DescribedState {
  const entries = topicConfigs.entries(new Map());
  return { ...state, inherited: new Map(entries.map(({ name, value }) => [name, value])) };
}

type Result = DescribeConfigsResponse["results"][number];
type Resource = DescribeConfigsRequest["resources"][number];

/** One setting, with all that any version of the response has of it. */
export interface Entry {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
  readonly isReadOnly: boolean;
  readonly isSensitive: boolean;
  readonly synonyms: readonly Synonym[];
  readonly kind: ConfigKind | null;
  readonly doc: string | null;
}

/** Kafka's ConfigSource numbers of what is not a broker's. */
const TOPIC_CONFIG = 1;
const BROKER_LOGGER_CONFIG = 6;
const CLIENT_METRICS_CONFIG = 7;
const GROUP_CONFIG = 8;

/** Groups and subscriptions have settings whether they are there or not. */
const MAX_BESIDES_TOPICS = 1000;

/** Kafka's ConfigType numbers. */
const KIND_IDS: Readonly<Record<ConfigKind, number>> = {
  boolean: 1,
  string: 2,
  int: 3,
  short: 4,
  long: 5,
  double: 6,
  list: 7,
  class: 8,
  password: 9,
};

/** DescribeConfigs for one resource, with Kafka's errors and words (ConfigHelper). */
export function describeConfigs(
  state: DescribedState,
  resource: Resource,
  options: { readonly includeSynonyms: boolean; readonly includeDocumentation: boolean },
): Result {
  const { resourceType, resourceName, configurationKeys } = resource;
  const answer = entriesOf(state, resourceType, resourceName);
  if (answer.kind === "refused") return refusedResult(resource, answer);
  const wanted = new Set(configurationKeys);
  const isWanted = ({ name }: Entry): boolean => wanted.size === 0 || wanted.has(name);
  return {
    ...{ resourceType, resourceName },
    errorCode: 0,
    errorMessage: "",
    configs: answer.entries.filter(isWanted).map((entry) => ({
      name: entry.name,
      value: entry.value,
      readOnly: entry.isReadOnly,
      configSource: entry.source,
      isSensitive: entry.isSensitive,
      synonyms: options.includeSynonyms ? [...entry.synonyms] : [],
      configType: entry.kind === null ? 0 : KIND_IDS[entry.kind],
      documentation: options.includeDocumentation ? entry.doc : null,
    })),
  };
}

interface Refusal {
  readonly kind: "refused";
  readonly name: ErrorName;
  readonly message: string;
}

type Found = Refusal | { readonly kind: "found"; readonly entries: readonly Entry[] };

function found(entries: readonly Entry[]): Found {
  return { kind: "found", entries };
}

function refusedResult({ resourceType, resourceName }: Resource, refusal: Refusal): Result {
  return {
    ...{ resourceType, resourceName },
    errorCode: errorCode(refusal.name),
    errorMessage: refusal.message,
    configs: [],
  };
}

/**
 * Why a resource of the request is not looked up, by its place. An answer is far larger than the name that
 * asks for it: it grows with what there is, not with what a client makes up.
 */
export function refusals(
  resources: readonly Resource[],
): (resource: Resource, index: number) => Result | null {
  const first = new Map<string, number>();
  const keyOf = ({ resourceType, resourceName }: Resource): string =>
    `${resourceType}:${resourceName}`;
  let besidesTopics = 0;
  for (const [index, resource] of resources.entries()) {
    if (!first.has(keyOf(resource))) first.set(keyOf(resource), index);
  }
  return (resource, index) => {
    const isTopic = resource.resourceType === TOPIC_RESOURCE;
    if (!isTopic) besidesTopics += 1;
    if (!isTopic && besidesTopics > MAX_BESIDES_TOPICS) {
      const message = `At most ${MAX_BESIDES_TOPICS} resources besides topics in one request.`;
      return refusedResult(resource, invalidRequest(message));
    }
    return first.get(keyOf(resource)) === index
      ? null
      : refusedResult(resource, invalidRequest("Each resource must appear at most once."));
  };
}

function entriesOf(state: DescribedState, resourceType: number, name: string): Found {
  switch (resourceType) {
    case TOPIC_RESOURCE:
      return topicEntries(state, name);
    case BROKER_RESOURCE:
      if (name === "") return found(clusterEntries(state.settings));
      return (
        brokerRefusal(state, name, " or empty string,") ?? found(brokerEntries(state.settings))
      );
    case BROKER_LOGGER_RESOURCE:
      if (name === "") return invalidRequest("Broker id must not be empty");
      return brokerRefusal(state, name, "") ?? found(loggerEntries(state.logLevels));
    case CLIENT_METRICS_RESOURCE:
      if (name === "") return invalidRequest("Client metrics subscription name must not be empty");
      return found(clientMetricsEntries(state, name));
    case GROUP_RESOURCE:
      if (name === "") return invalidRequest("Group name must not be empty");
      return found(groupEntries(state, name));
    default:
      return invalidRequest(`Unexpected resource type ${resourceType} for resource ${name}`);
  }
}

function invalidRequest(message: string): Refusal {
  return { kind: "refused", name: "INVALID_REQUEST", message };
}

/** Clients ask the broker itself; whom they found instead does not know. */
function brokerRefusal({ nodeId }: DescribedState, name: string, or: string): Refusal | null {
  if (!/^[+-]?\d+$/.test(name)) {
    return invalidRequest(`Broker id must be an integer, but it is: ${name}`);
  }
  if (Number(name) === nodeId) return null;
  return invalidRequest(`Unexpected broker id, expected ${nodeId}${or} but received ${name}`);
}

function topicEntries({ image, settings, inherited }: DescribedState, topic: string): Found {
  const problem = topicNameProblem(topic);
  if (problem !== null) {
    return { kind: "refused", name: "INVALID_TOPIC_EXCEPTION", message: problem };
  }
  if (!image.topicsByName.has(topic)) {
    return { kind: "refused", name: "UNKNOWN_TOPIC_OR_PARTITION", message: "" };
  }
  const overrides = topicOverrides(image, topic);
  const entries = TOPIC_CONFIG_KEYS.map((name) => {
    const { type, synonyms, doc } = TOPIC_CONFIGS[name];
    const [first] = synonyms;
    const brokerKey = typeof first === "string" ? first : (first?.[0] ?? null);
    return entry({
      ...{ name, type, doc },
      own: { text: overrides.get(name), source: TOPIC_CONFIG },
      inherited: inherited.get(name) ?? null,
      synonyms: brokerKey === null ? [] : settings.synonyms(brokerKey),
    });
  });
  return found(entries);
}

function groupEntries({ image, settings }: DescribedState, group: string): readonly Entry[] {
  const overrides = configOf(image, GROUP_RESOURCE, group);
  return Object.entries(GROUP_CONFIGS).map(([name, { type, defaultText, doc }]) => {
    const brokerKey = brokerKeyOf(name);
    const synonyms =
      defaultText === null
        ? settings.synonyms(brokerKey)
        : [{ name, value: defaultText, source: CONFIG_SOURCES.default }];
    return entry({
      ...{ name, type, doc, synonyms },
      own: { text: overrides.get(name), source: GROUP_CONFIG },
      inherited: defaultText ?? settings.formatted(brokerKey),
    });
  });
}

function clientMetricsEntries({ image }: DescribedState, name: string): readonly Entry[] {
  const overrides = configOf(image, CLIENT_METRICS_RESOURCE, name);
  return Object.entries(CLIENT_METRICS_CONFIGS).map(([key, { type, defaultText, doc }]) =>
    entry({
      ...{ name: key, type, doc, synonyms: [], inherited: defaultText },
      own: { text: overrides.get(key), source: CLIENT_METRICS_CONFIG },
    }),
  );
}

/** A setting of a topic, a group or a subscription: its own, or what it inherits. */
function entry(about: {
  readonly name: string;
  readonly type: ConfigType<unknown>;
  readonly doc: string;
  readonly own: { readonly text: string | undefined; readonly source: number };
  readonly inherited: string | null;
  readonly synonyms: readonly Synonym[];
}): Entry {
  const { name, type, own, doc } = about;
  const value = own.text === undefined ? null : type.format(type.parse(name, own.text));
  const synonyms =
    value === null ? about.synonyms : [{ name, value, source: own.source }, ...about.synonyms];
  return {
    ...{ name, synonyms, doc },
    value: value ?? about.inherited,
    source: synonyms[0]?.source ?? CONFIG_SOURCES.default,
    isReadOnly: false,
    isSensitive: false,
    kind: type.kind,
  };
}

function brokerEntries(settings: BrokerSettings): readonly Entry[] {
  const told = [...allKeys()].flatMap(([key, { isInternal }]) => (isInternal ? [] : [key]));
  return [...new Set([...told, ...settings.given.keys()])].map((key) =>
    brokerEntry(key, settings.formatted(key), settings.synonyms(key)),
  );
}

/** Only what was set for all brokers, as it was written. */
function clusterEntries(settings: BrokerSettings): readonly Entry[] {
  return [...settings.dynamic.cluster].map(([key, value]) => {
    const ofCluster = settings
      .synonyms(key)
      .filter(({ source }) => source === CONFIG_SOURCES.dynamicDefault);
    return brokerEntry(key, value, ofCluster);
  });
}

function brokerEntry(name: string, value: string | null, synonyms: readonly Synonym[]): Entry {
  const spec = specOf(name);
  // What nobody knows may be a secret.
  const isSensitive = spec === undefined || spec.type.kind === "password";
  return {
    name,
    value: isSensitive ? null : value,
    source: synonyms[0]?.source ?? CONFIG_SOURCES.default,
    isReadOnly: (spec?.updateMode ?? "read-only") === "read-only",
    isSensitive,
    synonyms: isSensitive ? synonyms.map((synonym) => ({ ...synonym, value: null })) : synonyms,
    kind: spec?.type.kind ?? null,
    doc: spec?.doc ?? null,
  };
}

function loggerEntries(logLevels: LogLevels | null): readonly Entry[] {
  return [...(logLevels?.all() ?? [])].map(([name, value]) => ({
    ...{ name, value, source: BROKER_LOGGER_CONFIG, synonyms: [], kind: null, doc: null },
    isReadOnly: false,
    isSensitive: false,
  }));
}
