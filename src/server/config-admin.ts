import { must } from "../base/assert.ts";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { TimeSlice } from "../base/time-slice.ts";
import { errorCode } from "../protocol/errors.ts";
import type {
  DescribeConfigsRequest,
  DescribeConfigsResponse,
} from "../protocol/messages/32-describe-configs.ts";
import type {
  AlterConfigsRequest,
  AlterConfigsResponse,
} from "../protocol/messages/33-alter-configs.ts";
import type { IncrementalAlterConfigsRequest } from "../protocol/messages/44-incremental-alter-configs.ts";
import { brokerChangeProblem } from "./config-broker-changes.ts";
import { describeConfigs, describedState, refusals } from "./config-describe.ts";
import { specOf } from "./config-keys.ts";
import type { BrokerSettings } from "./config-layers.ts";
import { alterLoggers, nodeIdProblem } from "./config-loggers.ts";
import { describeDurability, durabilityOf } from "./durability.ts";
import type { LogLevels } from "./log-levels.ts";
import { changed, type ConfigChange, operationOf } from "./metadata/config-operations.ts";
import { type ItemError, itemError } from "./metadata/controller.ts";
import { ALTER_CONFIGS, INCREMENTAL_ALTER_CONFIGS } from "./metadata/controller-commands.ts";
import {
  BROKER_LOGGER_RESOURCE,
  BROKER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  configOf,
  GROUP_RESOURCE,
  TOPIC_RESOURCE,
} from "./metadata/image.ts";
import type { MetadataManager } from "./metadata/metadata-manager.ts";
import type { TopicConfigs } from "./metadata/topic-configs.ts";

type Metadata = Pick<MetadataManager, "image" | "execute">;

export interface ConfigAdminDependencies {
  readonly metadata: Metadata;
  /** As of the metadata's image. */
  readonly settings: () => BrokerSettings;
  readonly topicConfigs: TopicConfigs;
  readonly clock: Pick<Clock, "nowMs" | "afterPoll">;
  /** null: nobody here can change what is logged. */
  readonly logLevels: LogLevels | null;
  readonly logger: Logger;
}

type IncrementalResource = IncrementalAlterConfigsRequest["resources"][number];
type LegacyResource = AlterConfigsRequest["resources"][number];
type Alteration = AlterConfigsResponse["responses"][number];

/** A resource of a request: refused (or, for loggers, done) here, or for the controller. */
type Prepared =
  { readonly kind: "answered"; readonly error: ItemError | null } | { readonly kind: "passed" };

/** The request names no time; Kafka's forwarding waits as long. */
const TIMEOUT_MS = 60_000;

const PERSISTENT_RESOURCES: ReadonlySet<number> = new Set([
  TOPIC_RESOURCE,
  BROKER_RESOURCE,
  CLIENT_METRICS_RESOURCE,
  GROUP_RESOURCE,
]);

/**
 * Settings as clients see and change them. What this node alone can judge (its own settings, its loggers)
 * is judged here, the rest by the controller, which commits it; answers come when it holds here.
 */
export class ConfigAdmin {
  readonly #dependencies: ConfigAdminDependencies;
  readonly #nodeId: number;

  constructor(dependencies: ConfigAdminDependencies) {
    this.#dependencies = dependencies;
    this.#nodeId = dependencies.settings().config["node.id"];
  }

  /** What is set, and where, as of one moment; never rejects. */
  async describe(request: DescribeConfigsRequest): Promise<DescribeConfigsResponse["results"]> {
    const { metadata, topicConfigs, logLevels, clock, settings } = this.#dependencies;
    const { image } = metadata;
    const state = describedState({
      ...{ image, logLevels, nodeId: this.#nodeId, settings: settings() },
      topicConfigs: topicConfigs.under(image),
    });
    const refuse = refusals(request.resources);
    const results = [];
    const slice = new TimeSlice(clock);
    for (const [index, resource] of request.resources.entries()) {
      results.push(refuse(resource, index) ?? describeConfigs(state, resource, request));
      if (slice.isOver) await slice.next();
    }
    return results;
  }

  /** IncrementalAlterConfigs. */
  alterIncrementally(request: IncrementalAlterConfigsRequest): Promise<Alteration[]> {
    const { validateOnly } = request;
    return this.#alter(request, {
      prepare: (resource) => this.#prepareIncremental(resource, validateOnly),
      commit: (metadata, resources) =>
        metadata.execute(INCREMENTAL_ALTER_CONFIGS, { ...request, resources }, TIMEOUT_MS),
    });
  }

  /** AlterConfigs: what is not named goes. */
  replace(request: AlterConfigsRequest): Promise<Alteration[]> {
    return this.#alter(request, {
      prepare: (resource) => this.#prepareLegacy(resource),
      commit: (metadata, resources) =>
        metadata.execute(ALTER_CONFIGS, { ...request, resources }, TIMEOUT_MS),
    });
  }

  async #alter<R extends LegacyResource | IncrementalResource>(
    { resources, validateOnly }: { readonly resources: R[]; readonly validateOnly: boolean },
    {
      prepare,
      commit,
    }: {
      readonly prepare: (resource: R) => Prepared;
      readonly commit: (metadata: Metadata, passed: R[]) => Promise<AlterConfigsResponse>;
    },
  ): Promise<Alteration[]> {
    const repeated = repeatedResources(resources);
    const prepared = resources.map((resource): Prepared => {
      if (repeated.has(keyOf(resource))) {
        return refused("Each resource must appear at most once.");
      }
      return commonProblem(resource) ?? prepare(resource);
    });
    const passed = resources.filter((_resource, index) => prepared[index]?.kind === "passed");
    const committed = passed.length === 0 ? [] : await this.#commit(passed, commit);
    if (!validateOnly) {
      this.#say(passed.filter((_resource, index) => committed[index]?.errorCode === 0));
    }
    const answers = committed.values();
    return resources.map(({ resourceType, resourceName }, index) => {
      const item = prepared[index];
      if (item?.kind !== "answered") return must(answers.next().value, "each has its answer");
      return {
        ...{ resourceType, resourceName },
        errorCode: errorCode(item.error?.name ?? "NONE"),
        errorMessage: item.error?.message ?? null,
      };
    });
  }

  async #commit<R>(
    resources: R[],
    commit: (metadata: Metadata, resources: R[]) => Promise<AlterConfigsResponse>,
  ): Promise<readonly Alteration[]> {
    const { metadata, settings, logger } = this.#dependencies;
    const before = describeDurability(durabilityOf(settings().values));
    const { responses } = await commit(metadata, resources);
    const after = describeDurability(durabilityOf(settings().values));
    if (after !== before) logger.info({}, after);
    return responses;
  }

  #prepareIncremental(resource: IncrementalResource, validateOnly: boolean): Prepared {
    const { resourceType, configs } = resource;
    const missing = configs.filter(
      ({ configOperation, value }) => value === null && operationOf(configOperation) !== "DELETE",
    );
    if (missing.length > 0) return nullValues(missing);
    if (resourceType === BROKER_LOGGER_RESOURCE) {
      const { logLevels, logger } = this.#dependencies;
      const options = { nodeId: this.#nodeId, validateOnly };
      const error = alterLoggers(logLevels, resource, options);
      if (error === null && !validateOnly) {
        logger.warn({ levels: Object.fromEntries(logLevels?.all() ?? []) }, "log levels changed");
      }
      return { kind: "answered", error };
    }
    const operations = [];
    for (const { name, configOperation, value } of configs) {
      const operation = operationOf(configOperation);
      if (operation === null) return refused(`Unknown operations type ${configOperation}`);
      operations.push({ name, operation, value: value ?? "" });
    }
    return this.#passed(resource, { kind: "incremental", operations });
  }

  #prepareLegacy(resource: LegacyResource): Prepared {
    const missing = resource.configs.filter(({ value }) => value === null);
    if (missing.length > 0) return nullValues(missing);
    const values = new Map(resource.configs.map(({ name, value }) => [name, value ?? ""]));
    return this.#passed(resource, { kind: "replace", values });
  }

  /** Kafka's order: a broker judges its own settings before anybody else sees them. */
  #passed(
    { resourceType, resourceName }: Pick<LegacyResource, "resourceType" | "resourceName">,
    change: ConfigChange,
  ): Prepared {
    if (!PERSISTENT_RESOURCES.has(resourceType)) {
      return refused(`Unknown resource type ${resourceType}`);
    }
    if (resourceType !== BROKER_RESOURCE) return { kind: "passed" };
    if (resourceName !== "") {
      const problem = nodeIdProblem(resourceName, this.#nodeId, "broker id, expected");
      if (problem !== null) return refused(problem);
    }
    const current = configOf(this.#dependencies.metadata.image, resourceType, resourceName);
    const next = changed(current, change, brokerListDefault);
    if (next.kind === "refused") return { kind: "answered", error: next.error };
    const isCluster = resourceName === "";
    const problem = brokerChangeProblem(this.#dependencies.settings(), next.configs, isCluster);
    return problem === null ? { kind: "passed" } : refused(problem);
  }

  /** For whoever reads the log afterwards; what has no effect is said here, since no answer can. */
  #say(resources: readonly (LegacyResource | IncrementalResource)[]): void {
    const { logger } = this.#dependencies;
    for (const { resourceType, resourceName, configs } of resources) {
      const keys = configs.map(({ name }) => name);
      logger.info({ resourceType, resourceName, keys }, "settings were changed by a client");
      if (resourceType !== BROKER_RESOURCE) continue;
      for (const key of keys) {
        const { doc = "" } = specOf(key) ?? {};
        if (!doc.startsWith("No effect")) continue;
        logger.warn({}, `${key}: ${doc.charAt(0).toLowerCase()}${doc.slice(1)}`);
      }
    }
  }
}

/** Of a broker's key that is a list; null: it is none. */
export function brokerListDefault(key: string): string | null {
  const spec = specOf(key);
  return spec?.type.kind === "list" ? (spec.defaultText ?? "") : null;
}

function keyOf({ resourceType, resourceName }: LegacyResource | IncrementalResource): string {
  return `${resourceType}:${resourceName}`;
}

function repeatedResources(
  resources: readonly (LegacyResource | IncrementalResource)[],
): ReadonlySet<string> {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const key of resources.map(keyOf)) (seen.has(key) ? repeated : seen).add(key);
  return repeated;
}

function commonProblem({ configs }: LegacyResource | IncrementalResource): Prepared | null {
  const names = configs.map(({ name }) => name);
  return new Set(names).size === names.length
    ? null
    : refused("Error due to duplicate config keys");
}

function nullValues(missing: readonly { readonly name: string }[]): Prepared {
  return refused(`Null value not supported for : ${missing.map(({ name }) => name).join(", ")}`);
}

function refused(message: string): Prepared {
  return { kind: "answered", error: itemError("INVALID_REQUEST", message) };
}
