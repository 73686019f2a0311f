import { APIS } from "../../src/protocol/apis.ts";
import { TcpClient } from "../server/support/tcp-client.ts";

/** What a node answers to DescribeQuorum: who votes, and who only follows. */
export async function quorumBy(port: number) {
  const partitions = [{ partitionIndex: 0 }];
  const topics = [{ topicName: "__cluster_metadata", partitions }];
  const answer = await asked(port, (client) => client.ask(APIS.describeQuorum, 2, { topics }));
  const partition = answer.topics[0]!.partitions[0]!;
  const keys = (replicas: typeof partition.observers) =>
    replicas.map(({ replicaId, replicaDirectoryId }) => ({ replicaId, replicaDirectoryId }));
  const { leaderId, leaderEpoch, currentVoters, observers } = partition;
  return {
    leaderId,
    leaderEpoch,
    voters: keys(currentVoters),
    observers: keys(observers),
    /** How far each voter has the metadata log. */
    endOffsets: currentVoters.map(({ logEndOffset }) => logEndOffset),
  };
}

/** The leader of each topic's first partition, as a node sees it; -1: none. */
export async function leadersBy(port: number): Promise<Map<string, number>> {
  const { topics } = await asked(port, (client) =>
    client.ask(APIS.metadata, 12, {
      topics: null,
      ...{ allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false },
    }),
  );
  return new Map(topics.map(({ name, partitions }) => [name!, partitions[0]!.leaderId]));
}

async function asked<T>(port: number, ask: (client: TcpClient) => Promise<T>): Promise<T> {
  const client = await TcpClient.open(port);
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}
