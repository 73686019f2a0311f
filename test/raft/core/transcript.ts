import { must } from "../../../src/base/assert.ts";
import type { Uuid } from "../../../src/base/ids.ts";
import type { Random } from "../../../src/base/random.ts";
import type { Effect, QuorumState, RaftEvent } from "../../../src/raft/core/events.ts";
import { LOG_BEGINNING, LogView } from "../../../src/raft/core/log-view.ts";
import type { Batch, FetchOutcome, Message, SnapshotId } from "../../../src/raft/core/messages.ts";
import { RaftNode } from "../../../src/raft/core/node.ts";
import { DEFAULT_TIMING } from "../../../src/raft/core/state.ts";
import {
  type ReplicaKey,
  type Voter,
  type VoterChange,
  VoterSet,
} from "../../../src/raft/core/voters.ts";

/**
 * A transcript is what happens to one node and what it does about it. Lines of the writer begin with
 * `node` or `>`; all others are what came of it, and are recorded.
 *
 *   node 1 of 1,2,3 epoch=2 leader=3 voted=3 log=3@1,5@2   a process starts; the log ends at 5, of epoch 2
 *   > tick                      time goes on to the deadline
 *   > wait 500                  time goes on; a tick, if one was due
 *   > 2: fetch epoch=1 ...      a message of replica 2; of 2', which has another directory
 *   > persisted | flushed 3 | propose 2 | resign | unreachable 2
 *   > voters add 4              proposed, or what is against it
 *   > snapshotTaken 5 | logStart 5 | snapshotWritten 9@2 4096 | snapshotLoaded 9@2 1,2,3 | snapshotRejected 9@2
 *
 * A log may begin at a snapshot, `start=3@1`. A batch that says who the voters are is written `6@2:1+2+4`.
 * Nothing is left to chance: every random wait is its shortest.
 */
export function replayTranscript(text: string): string {
  const output: string[] = [];
  let player: Player | null = null;
  for (const line of text.split("\n")) {
    const isOutput = line.startsWith("  ");
    if (isOutput) continue;
    output.push(line);
    if (line.startsWith("node ")) {
      player = new Player(line);
      output.push(...player.play("start"));
    } else if (line.startsWith("> ")) {
      output.push(...must(player, "a node has started").play(line.slice(2)));
    }
  }
  return output.join("\n");
}

const SHORTEST: Random = {
  uint32: () => 0,
  bytes: (length) => Buffer.alloc(length),
  fork: () => SHORTEST,
};

class Player {
  readonly #node: RaftNode;
  readonly #firstVoters: VoterSet;
  #nowMs = 0;

  constructor(line: string) {
    const [, id = "", , voters = "", ...fields] = line.split(" ");
    const given = fieldsOf(fields);
    const startText = given.get("start");
    const start = startText === undefined ? LOG_BEGINNING : snapshotIdOf(startText);
    const log = batchesOf(start.endOffset, given.get("log"));
    const epochs = new Map<number, number>();
    this.#firstVoters = new VoterSet(voters.split(",").map(voterOf));
    const voterHistory = [{ endOffset: start.endOffset, voters: this.#firstVoters }];
    for (const { baseOffset, endOffset, leaderEpoch, bytes } of log) {
      if (!epochs.has(leaderEpoch)) epochs.set(leaderEpoch, baseOffset);
      const changed = votersIn(bytes);
      if (changed !== null) voterHistory.push({ endOffset, voters: new VoterSet(changed) });
    }
    const endOffset = log.at(-1)?.endOffset ?? start.endOffset;
    this.#node = new RaftNode({
      self: replicaOf(id),
      timing: DEFAULT_TIMING,
      random: SHORTEST,
      log: new LogView({
        start,
        newestSnapshot: start,
        endOffset,
        flushedEndOffset: Number(given.get("flushed") ?? endOffset),
        epochs: [...epochs].map(([epoch, startOffset]) => ({ epoch, startOffset })),
        voterHistory,
      }),
      votersIn,
      quorumState: given.has("epoch") ? quorumStateOf(given) : null,
    });
  }

  play(line: string): string[] {
    const lines: string[] = [];
    const refusal = this.#refusalOf(line);
    if (refusal !== null) return [`  ${refusal}`];
    for (const event of this.#eventsOf(line)) {
      for (const effect of this.#node.step(event, this.#nowMs))
        lines.push(`  ${formatEffect(effect)}`);
    }
    return [...lines, `  = ${this.#state()}`];
  }

  /** A driver asks before it tells the node of such an event. */
  #refusalOf(line: string): string | null {
    const [word, argument = "", replica = ""] = line.split(" ");
    if (word === "voters") {
      return this.#node.voterChangeRefusal(voterChangeOf(argument, replica), this.#nowMs);
    }
    if (word !== "snapshotTaken") return null;
    return this.#node.snapshotIdAt(Number(argument)) === null ? "not to be taken" : null;
  }

  #eventsOf(line: string): RaftEvent[] {
    const [word = "", argument = "", ...fields] = line.split(" ");
    if (word.endsWith(":")) {
      const from = replicaOf(word.slice(0, -1));
      return [{ kind: "message", from, message: messageOf(argument, fieldsOf(fields)) }];
    }
    switch (word) {
      case "tick":
        this.#nowMs = Math.max(this.#nowMs, this.#node.deadlineMs);
        return [{ kind: "tick" }];
      case "wait":
        this.#nowMs += Number(argument);
        return this.#node.deadlineMs <= this.#nowMs ? [{ kind: "tick" }] : [];
      case "flushed":
        return [{ kind: "flushed", endOffset: Number(argument) }];
      case "propose":
        return [{ kind: "propose", recordCount: Number(argument), bytes: Buffer.alloc(0) }];
      case "unreachable":
        return [{ kind: "unreachable", nodeId: Number(argument) }];
      case "voters":
        return [{ kind: "proposeVoters", change: voterChangeOf(argument, fields[0] ?? "") }];
      case "start":
      case "persisted":
      case "resign":
        return [{ kind: word }];
      default:
        return [this.#snapshotEventOf(word, argument, fields[0] ?? "")];
    }
  }

  #snapshotEventOf(kind: string, argument: string, detail: string): RaftEvent {
    const id = snapshotIdOf(argument);
    switch (kind) {
      case "snapshotTaken":
        return { kind, id: must(this.#node.snapshotIdAt(id.endOffset), "it may be taken") };
      case "snapshotWritten":
        return { kind, id, endPosition: Number(detail) };
      case "snapshotLoaded":
        return { kind, id, voters: detail.split(",").map(voterOf) };
      case "snapshotRejected":
      case "logStart":
        return { kind, id };
      default:
        throw new Error(`no such event: ${kind}`);
    }
  }

  #state(): string {
    const { role, epoch, leaderId, voted, endOffset, flushedEndOffset, highWatermark, deadlineMs } =
      this.#node;
    const facts = [`${this.#nowMs} ms: ${role}`, `epoch=${epoch}`];
    if (leaderId !== null) facts.push(`leader=${leaderId}`);
    if (voted !== null) facts.push(`voted=${voted.nodeId}`);
    facts.push(`end=${endOffset}`, `flushed=${flushedEndOffset}`, `highWatermark=${highWatermark}`);
    const { voters } = this.#node;
    if (idsOf(voters.all) !== idsOf(this.#firstVoters.all)) {
      facts.push(`voters=${idsOf(voters.all)}`);
    }
    if (deadlineMs < Infinity) facts.push(`deadline=${deadlineMs}`);
    return facts.join(" ");
  }
}

function formatEffect(effect: Effect): string {
  switch (effect.kind) {
    case "persist": {
      const { leaderEpoch, leaderId, voted } = effect.state;
      return `persist epoch=${leaderEpoch} leader=${leaderId ?? "none"} voted=${voted?.nodeId ?? "none"}`;
    }
    case "append":
      return `append ${formatBatches([effect.batch])}`;
    case "appendFetched":
      return `appendFetched ${formatBatches(effect.batches)}`;
    case "appendEpochStart": {
      const { baseOffset, recordCount, leaderEpoch, grantingVoters } = effect.epochStart;
      const place = `${baseOffset + recordCount}@${leaderEpoch}`;
      return `appendEpochStart ${place} grantedBy=${idsOf(grantingVoters)}`;
    }
    case "appendVoters": {
      const { baseOffset, leaderEpoch, voters } = effect.append;
      return `appendVoters ${baseOffset + 1}@${leaderEpoch} voters=${idsOf(voters)}`;
    }
    case "truncate":
      return `truncate ${effect.endOffset}`;
    case "send":
      return `send ${effect.to}: ${formatMessage(effect.message)}`;
    case "sendRecords":
      return `sendRecords ${effect.to}: ${formatFields({ ...effect.position })}`;
    case "sendSnapshotChunk":
      return `sendSnapshotChunk ${effect.to}: ${formatFields({ ...effect.position })}`;
    case "writeSnapshot": {
      const { id, position, bytes, isLast } = effect;
      return `writeSnapshot ${formatFields({ id, position, bytes, isLast })}`;
    }
    case "resetLog":
      return `resetLog ${formatValue(effect.id)}`;
    case "commit":
      return `commit ${effect.highWatermark}`;
    case "leaderChange":
      return `leaderChange epoch=${effect.leaderEpoch} leader=${effect.leaderId ?? "none"}`;
  }
}

function formatMessage({ kind, ...fields }: Message): string {
  return `${kind} ${formatFields(fields)}`;
}

function formatFields(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${formatValue(value)}`)
    .join(" ");
}

function formatValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(formatValue).join();
  if (Buffer.isBuffer(value)) return String(value.length);
  if (isReplica(value)) return String(value.nodeId);
  if (isOutcome(value)) return formatOutcome(value);
  if (isSnapshotId(value)) return `${value.endOffset}@${value.epoch}`;
  return value === null ? "none" : JSON.stringify(value);
}

function formatOutcome(outcome: FetchOutcome): string {
  switch (outcome.kind) {
    case "records":
      return formatBatches(outcome.batches);
    case "diverging":
      return `diverging:${outcome.endOffset}@${outcome.epoch}`;
    case "snapshot":
      return `snapshot:${formatValue(outcome.id)}`;
  }
}

function idsOf(replicas: readonly ReplicaKey[]): string {
  return replicas.map(({ nodeId }) => nodeId).join();
}

function isSnapshotId(value: unknown): value is SnapshotId {
  return typeof value === "object" && value !== null && "endOffset" in value;
}

function isReplica(value: unknown): value is ReplicaKey {
  return typeof value === "object" && value !== null && "directoryId" in value;
}

function isOutcome(value: unknown): value is FetchOutcome {
  return typeof value === "object" && value !== null && "kind" in value;
}

function formatBatches(batches: readonly Batch[]): string {
  return batches.map(({ endOffset, leaderEpoch }) => `${endOffset}@${leaderEpoch}`).join();
}

function messageOf(kind: string, given: ReadonlyMap<string, string>): Message {
  const number = (name: string) => Number(must(given.get(name), `the message names ${name}`));
  const leader = given.get("leader") ?? "none";
  const leaderId = leader === "none" ? null : Number(leader);
  const epoch = number("epoch");
  const isPreVote = given.get("preVote") === "true";
  switch (kind) {
    case "vote":
      return {
        kind,
        epoch,
        isPreVote,
        voter: replicaOf(must(given.get("voter"), "a vote is asked of somebody")),
        lastEpoch: number("lastEpoch"),
        endOffset: number("endOffset"),
      };
    case "voteAnswer":
      return { kind, epoch, leaderId, isPreVote, isGranted: given.get("granted") === "true" };
    case "beginQuorumEpoch":
      return { kind, epoch };
    case "endQuorumEpoch": {
      const preferredSuccessors = listOf(given.get("successors")).map(replicaOf);
      return { kind, epoch, preferredSuccessors };
    }
    case "fetch":
    case "fetchAnswer": {
      const position = {
        epoch,
        fetchOffset: number("fetchOffset"),
        lastFetchedEpoch: number("lastFetchedEpoch"),
        highWatermark: number("highWatermark"),
      };
      if (kind === "fetch") return { kind, ...position };
      return { kind, ...position, outcome: outcomeOf(position.fetchOffset, given) };
    }
    case "refusal":
      return { kind, epoch, leaderId };
    default:
      return snapshotMessageOf(kind, epoch, given);
  }
}

function snapshotMessageOf(
  kind: string,
  epoch: number,
  given: ReadonlyMap<string, string>,
): Message {
  const id = snapshotIdOf(must(given.get("id"), "the message names a snapshot"));
  const position = Number(given.get("position"));
  switch (kind) {
    case "fetchSnapshot":
      return { kind, epoch, id, position };
    case "snapshotChunk": {
      const bytes = Buffer.alloc(Number(given.get("bytes")));
      return { kind, epoch, id, position, sizeBytes: Number(given.get("size")), bytes };
    }
    case "snapshotGone":
      return { kind, epoch, id };
    default:
      throw new Error(`no such message: ${kind}`);
  }
}

function outcomeOf(fetchOffset: number, given: ReadonlyMap<string, string>): FetchOutcome {
  const diverging = given.get("diverging");
  if (diverging !== undefined) {
    const { offset, epoch } = placeOf(diverging);
    return { kind: "diverging", epoch, endOffset: offset };
  }
  const snapshot = given.get("snapshot");
  if (snapshot !== undefined) return { kind: "snapshot", id: snapshotIdOf(snapshot) };
  return { kind: "records", batches: batchesOf(fetchOffset, given.get("batches")) };
}

/** `3@1,4@1:1+2`: where each ends, its epoch, and the voters from there on. */
function batchesOf(startOffset: number, text: string | undefined): Batch[] {
  let baseOffset = startOffset;
  return listOf(text).map((batch) => {
    const [place = "", voters = ""] = batch.split(":");
    const { offset: endOffset, epoch: leaderEpoch } = placeOf(place);
    const bytes = Buffer.from(voters);
    const made = { baseOffset, endOffset, leaderEpoch, bytes };
    baseOffset = endOffset;
    return made;
  });
}

function votersIn(batch: Buffer): readonly Voter[] | null {
  return batch.length === 0 ? null : batch.toString().split("+").map(voterOf);
}

function voterChangeOf(kind: string, replica: string): VoterChange {
  if (kind === "remove") return { kind, voter: replicaOf(replica) };
  return { kind: "add", voter: voterOf(replica) };
}

function quorumStateOf(given: ReadonlyMap<string, string>): QuorumState {
  const leader = given.get("leader");
  const voted = given.get("voted");
  return {
    leaderEpoch: Number(given.get("epoch")),
    leaderId: leader === undefined ? null : Number(leader),
    voted: voted === undefined ? null : replicaOf(voted),
  };
}

/** `2`, or `2'` for the same node with another directory. */
function replicaOf(text: string): ReplicaKey {
  return { nodeId: Number(text.replace("'", "")), directoryId: `directory-${text}` as Uuid };
}

function voterOf(text: string): Voter {
  return { ...replicaOf(text), endpoints: [] };
}

function snapshotIdOf(text: string): SnapshotId {
  const { offset: endOffset, epoch } = placeOf(text);
  return { endOffset, epoch };
}

function placeOf(text: string): { offset: number; epoch: number } {
  const [offset = "", epoch = ""] = text.split("@");
  return { offset: Number(offset), epoch: Number(epoch) };
}

function listOf(text: string | undefined): string[] {
  return text === undefined || text === "" ? [] : text.split(",");
}

function fieldsOf(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(words.map((word) => word.split("=") as [string, string]));
}
