/** A mistake that somebody could make: a change of one place of the product. */
export interface PlantedBug {
  readonly name: string;
  /** Below src. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Bugs that show where nodes, controllers and clients are together (issue 6). */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "fenced broker elected",
    file: "server/metadata/partition-change.ts",
    from: "const isActive = !broker.isFenced && !broker.isInControlledShutdown;",
    to: "const isActive = true;",
  },
  {
    name: "two clusters formed: a promise is given again",
    file: "raft/driver.ts",
    from: "this.#tellFormed(from);\n        break;",
    to:
      "this.#peers?.transport.send(from.nodeId, " +
      '{ kind: "promised", clusterId: this.#peers.clusterId, founder: from });\n        break;',
  },
  {
    name: "two clusters formed: the founder waits for nobody",
    file: "raft/formation.ts",
    from: "if (this.missingIds.length > 0) return;",
    to: "",
  },
  {
    name: 'corrupt vote file read as "no vote"',
    file: "raft/quorum-state.ts",
    from: "  return parseQuorumState(text, path);\n}",
    to:
      "  try { return parseQuorumState(text, path); } catch { " +
      "return { leaderEpoch: 0, leaderId: null, voted: null, hasOthers: true }; }\n}",
  },
  {
    name: "wiped voter votes",
    file: "raft/core/election.ts",
    from: "if (!isSameReplica(request.voter, state.self)) return;",
    to: "",
  },
  {
    name: "an answer given before the commit",
    file: "server/metadata/metadata-manager.ts",
    from: "const failure = await this.#whenServed(decided, timeoutMs);",
    to: "const failure = null as Awaited<ReturnType<typeof this.#whenServed>>;",
  },
  {
    name: "a forwarded answer given before the commit",
    file: "server/metadata/controller-apis.ts",
    from: "    await committed;\n",
    to: "",
  },
  {
    name: "R5's order reversed: unfenced at its registration",
    file: "server/metadata/broker-registration.ts",
    from: "fenced: true,",
    to: "fenced: false,",
  },
  {
    name: "an unclean restart costs nothing",
    file: "server/metadata/broker-registration.ts",
    from: "if (isClean && !isLost) return null;",
    to: "if (!isLost) return null;",
  },
  {
    name: "the vote's name is not synced",
    file: "raft/quorum-state.ts",
    from: "Buffer.from(formatQuorumState(state)));\n  await disk.syncDir(directory);",
    to: "Buffer.from(formatQuorumState(state)));",
  },
  {
    name: "a block of producer ids is recorded as one id",
    file: "server/metadata/producer-id-blocks.ts",
    from: "const nextProducerId = firstProducerId + PRODUCER_ID_BLOCK_SIZE;",
    to: "const nextProducerId = firstProducerId + 1;",
  },
  {
    name: "a partition's epoch does not rise",
    file: "server/metadata/record-replay.ts",
    from: "partitionEpoch: partition.partitionEpoch + 1,",
    to: "partitionEpoch: partition.partitionEpoch,",
  },
];
