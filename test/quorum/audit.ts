import { APIS } from "../../src/protocol/apis.ts";
import { TcpClient } from "../server/support/tcp-client.ts";
import { until } from "../support/until.ts";
import { WireAdmin } from "./admins.ts";
import type { Changes, TopicHistory } from "./changes.ts";
import type { Nodes } from "./nodes.ts";

const TOPIC_RESOURCE = 2;

/** What a node serves: of each topic its id and its own retention.ms. */
type Served = ReadonlyMap<
  string,
  { readonly topicId: string; readonly retentionMs: string | null }
>;

let markers = 0;

/** Asks every node, when it has all that was ever answered; tells all that is wrong. */
export async function auditChanges(nodes: Nodes, changes: Changes): Promise<string[]> {
  // Whoever has the last topic has all that was changed before it (K17).
  const marker = `marker-${markers++}`;
  const admin = new WireAdmin(nodes, 0);
  const outcome = await admin.create(marker, 1);
  await admin.close();
  if (outcome.kind === "unknown") return [`no marker: ${outcome.error}`];
  const faults: string[] = [];
  const ids = new Map<string, string>();
  for (const nodeId of nodes.ids) {
    await until(async () => (await served(nodes, nodeId)).has(marker), `node ${nodeId} has it all`);
    const found = await served(nodes, nodeId);
    const say = (fault: string) => faults.push(`node ${nodeId}: ${fault}`);
    for (const [topic, history] of changes.topics) {
      for (const fault of faultsOf(history, found.get(topic))) say(`${topic} ${fault}`);
    }
    for (const [topic, { topicId }] of found) {
      if (!changes.topics.has(topic) && !topic.startsWith("marker-"))
        say(`nobody asked for ${topic}`);
      if ((ids.get(topic) ?? topicId) !== topicId) say(`${topic} has another id than elsewhere`);
      ids.set(topic, topicId);
    }
  }
  if (new Set(ids.values()).size !== ids.size) faults.push("two topics have one id");
  return faults;
}

function* faultsOf(
  { isCreated, isDeleted, isDoomed, topicId, retentionMs, maybeRetentionMs }: TopicHistory,
  found: { readonly topicId: string; readonly retentionMs: string | null } | undefined,
): Generator<string> {
  if (found === undefined) {
    if (isCreated && !isDoomed) yield "is lost";
    return;
  }
  if (isDeleted) yield "was deleted, and is there";
  if (topicId !== null && topicId !== found.topicId) yield "was created twice";
  const isRight =
    found.retentionMs === retentionMs || maybeRetentionMs.has(found.retentionMs ?? "");
  if (!isRight) yield `has retention.ms=${found.retentionMs}, not ${retentionMs}`;
}

async function served(nodes: Nodes, nodeId: number): Promise<Served> {
  const client = await TcpClient.open(nodes.portOf(nodeId));
  try {
    const { topics } = await client.ask(APIS.metadata, 12, {
      topics: null,
      ...{ allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false },
    });
    const { results } = await client.ask(APIS.describeConfigs, 4, {
      resources: topics.map(({ name }) => ({
        ...{ resourceType: TOPIC_RESOURCE, resourceName: name! },
        configurationKeys: ["retention.ms"],
      })),
      ...{ includeSynonyms: false, includeDocumentation: false },
    });
    const values = new Map(
      results.map(({ resourceName, configs: [config] }) => [
        resourceName,
        config?.configSource === TOPIC_SOURCE ? config.value : null,
      ]),
    );
    return new Map(
      topics.map(({ name, topicId }) => [
        name!,
        { topicId, retentionMs: values.get(name!) ?? null },
      ]),
    );
  } finally {
    client.close();
  }
}

/** Where a value was set for the topic itself. */
const TOPIC_SOURCE = 1;
