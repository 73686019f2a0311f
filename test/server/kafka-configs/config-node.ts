import type { TypedApiHandler } from "../../../src/server/api-handler.ts";
import { ConfigAdmin } from "../../../src/server/config-admin.ts";
import { topicConfigsOf } from "../../../src/server/broker-options.ts";
import { LiveConfig } from "../../../src/server/config-layers.ts";
import { resolveConfig } from "../../../src/server/config.ts";
import { createTopicsHandler } from "../../../src/server/handlers/19-create-topics.ts";
import { describeConfigsHandler } from "../../../src/server/handlers/32-describe-configs.ts";
import { alterConfigsHandler } from "../../../src/server/handlers/33-alter-configs.ts";
import { incrementalAlterConfigsHandler } from "../../../src/server/handlers/44-incremental-alter-configs.ts";
import { listConfigResourcesHandler } from "../../../src/server/handlers/74-list-config-resources.ts";
import type { LogLevels } from "../../../src/server/log-levels.ts";
import { RootLevel } from "../../../src/server/main-logger.ts";
import { brokerOverrides, clusterOverrides } from "../../../src/server/metadata/image.ts";
import type { Encodable, Message } from "../../../src/protocol/schema.ts";
import { SimWorld } from "../../raft/sim-world.ts";
import { call, FakeContext } from "../handlers/support.ts";
import { startNode } from "../metadata/sim-node.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import type { Case } from "./cases.ts";
import type { ApiName } from "./record.ts";

/** The properties of the node that was recorded (test/peers/kafka/node.sh). */
const PROPERTIES = {
  "process.roles": "broker,controller",
  "node.id": "1",
  "controller.quorum.voters": "1@127.0.0.1:29092",
  listeners: "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:29092",
  "advertised.listeners": "PLAINTEXT://127.0.0.1:19092",
  "inter.broker.listener.name": "PLAINTEXT",
  "controller.listener.names": "CONTROLLER",
  "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
  "num.network.threads": "3",
  "num.io.threads": "8",
  "socket.send.buffer.bytes": "102400",
  "socket.receive.buffer.bytes": "102400",
  "log.dirs": "/data/kafka",
  "num.partitions": "1",
  "num.recovery.threads.per.data.dir": "2",
  "log.segment.bytes": "1073741824",
  "log.retention.hours": "168",
  "group.initial.rebalance.delay.ms": "0",
  "offsets.topic.replication.factor": "1",
  "transaction.state.log.replication.factor": "1",
  "transaction.state.log.min.isr": "1",
  "share.coordinator.state.topic.replication.factor": "1",
  "share.coordinator.state.topic.min.isr": "1",
};

/** The metadata and settings of a node, on a simulated machine, asked through the bytes of requests. */
export class ConfigNode {
  readonly world: SimWorld;
  readonly live: LiveConfig;
  readonly logger: RecordingLogger;
  readonly node: Awaited<ReturnType<typeof startNode>>;
  readonly levels: LogLevels;
  readonly #handlers: Readonly<Record<ApiName, TypedApiHandler<Message, Message>>>;

  private constructor(
    world: SimWorld,
    live: LiveConfig,
    node: Awaited<ReturnType<typeof startNode>>,
  ) {
    this.world = world;
    this.live = live;
    this.node = node;
    this.logger = new RecordingLogger();
    this.levels = new RootLevel("WARN");
    const { manager: metadata } = node;
    const configAdmin = new ConfigAdmin({
      ...{ metadata, logger: this.logger, logLevels: this.levels, clock: node.process.clock },
      settings: () => this.live.settings,
      topicConfigs: topicConfigsOf(live.settings.config),
    });
    this.#handlers = {
      createTopics: createTopicsHandler({ metadata }),
      describeConfigs: describeConfigsHandler({ configAdmin }),
      alterConfigs: alterConfigsHandler({ configAdmin }),
      incrementalAlterConfigs: incrementalAlterConfigsHandler({ configAdmin }),
      listConfigResources: listConfigResourcesHandler({ image: () => metadata.image }),
    };
  }

  /** A node as the one that was recorded; `over` are more properties. */
  static async start(
    world = new SimWorld(1),
    over: Readonly<Record<string, string>> = {},
  ): Promise<ConfigNode> {
    const settings = Object.entries({ ...PROPERTIES, ...over }).map(([key, value]) => ({
      ...{ key, value, where: "test" },
    }));
    const { config } = resolveConfig(settings);
    const live = new LiveConfig(config);
    const started = await startNode(world, {
      topicConfigs: topicConfigsOf(config),
      brokerText: (key) => live.settings.text(key),
    });
    const update = (image: typeof started.manager.image): void =>
      live.update({ cluster: clusterOverrides(image), broker: brokerOverrides(image, 1) });
    update(started.manager.image);
    started.manager.subscribe(update);
    return new ConfigNode(world, live, started);
  }

  /** What the node answers, from its bytes. */
  async ask({ api, version, request }: Omit<Case, "name">): Promise<unknown> {
    const context = new FakeContext(version);
    return this.world.run(call(this.#handlers[api], context, request as Encodable<Message>));
  }

  /** Sets keys of one resource; gives the errors' messages. */
  async set(
    [resourceType, resourceName]: readonly [number, string],
    values: Readonly<Record<string, string>>,
    validateOnly = false,
  ): Promise<readonly (string | null)[]> {
    const configs = Object.entries(values).map(([name, value]) => ({
      ...{ name, value, configOperation: 0 },
    }));
    const request = { resources: [{ resourceType, resourceName, configs }], validateOnly };
    const answer = await this.ask({ api: "incrementalAlterConfigs", version: 1, request });
    const { responses } = answer as { readonly responses: { errorMessage: string | null }[] };
    return responses.map(({ errorMessage }) => errorMessage);
  }
}

/** What can be compared: without ids that are drawn, and in one order. */
export function comparable(response: unknown): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(response ?? null), (key, value: unknown) => {
    if (key === "topicId" || key === "throttleTimeMs") return undefined;
    if (!Array.isArray(value) || key !== "configs") return value;
    const entries = value as readonly { readonly name: string }[];
    const byName: Record<string, object> = Object.fromEntries(
      entries.map(({ name, ...rest }) => [name, rest]),
    );
    return byName;
  });
  return copy;
}
