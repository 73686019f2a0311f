import { must } from "../../../src/base/assert.ts";
import type { Uuid } from "../../../src/base/ids.ts";
import type { Random } from "../../../src/base/random.ts";
import type { Effect, QuorumState, RaftEvent } from "../../../src/raft/core/events.ts";
import { LogView } from "../../../src/raft/core/log-view.ts";
import type { Batch, FetchOutcome, Message } from "../../../src/raft/core/messages.ts";
import { RaftNode } from "../../../src/raft/core/node.ts";
import { DEFAULT_TIMING } from "../../../src/raft/core/state.ts";
import { type ReplicaKey, VoterSet } from "../../../src/raft/core/voters.ts";

/**
 * A transcript is what happens to one node and what it does about it. Lines of the writer begin with
 * `node` or `>`; all others are what came of it, and are recorded.
 *
 *   node 1 of 1,2,3 epoch=2 leader=3 voted=3 log=3@1,5@2   a process starts; the log ends at 5, of epoch 2
 *   > tick                      time goes on to the deadline
 *   > wait 500                  time goes on; a tick, if one was due
 *   > 2: fetch epoch=1 ...      a message of replica 2; of 2', which has another directory
 *   > persisted | flushed 3 | propose 2 | resign | unreachable 2
 *
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
  #nowMs = 0;

  constructor(line: string) {
    const [, id = "", , voters = "", ...fields] = line.split(" ");
    const given = fieldsOf(fields);
    const log = listOf(given.get("log")).map(placeOf);
    let startOffset = 0;
    const epochs = new Map<number, number>();
    for (const { offset, epoch } of log) {
      if (!epochs.has(epoch)) epochs.set(epoch, startOffset);
      startOffset = offset;
    }
    const endOffset = log.at(-1)?.offset ?? 0;
    this.#node = new RaftNode({
      self: replicaOf(id),
      voters: new VoterSet(voters.split(",").map(replicaOf)),
      timing: DEFAULT_TIMING,
      random: SHORTEST,
      log: new LogView({
        endOffset,
        flushedEndOffset: Number(given.get("flushed") ?? endOffset),
        epochs: [...epochs].map(([epoch, start]) => ({ epoch, startOffset: start })),
      }),
      quorumState: given.has("epoch") ? quorumStateOf(given) : null,
    });
  }

  play(line: string): string[] {
    const lines: string[] = [];
    for (const event of this.#eventsOf(line)) {
      for (const effect of this.#node.step(event, this.#nowMs))
        lines.push(`  ${formatEffect(effect)}`);
    }
    return [...lines, `  = ${this.#state()}`];
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
      case "start":
      case "persisted":
      case "resign":
        return [{ kind: word }];
      default:
        throw new Error(`no such event: ${line}`);
    }
  }

  #state(): string {
    const { role, epoch, leaderId, voted, endOffset, flushedEndOffset, highWatermark, deadlineMs } =
      this.#node;
    const facts = [`${this.#nowMs} ms: ${role}`, `epoch=${epoch}`];
    if (leaderId !== null) facts.push(`leader=${leaderId}`);
    if (voted !== null) facts.push(`voted=${voted.nodeId}`);
    facts.push(`end=${endOffset}`, `flushed=${flushedEndOffset}`, `highWatermark=${highWatermark}`);
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
      return `appendEpochStart ${place} grantedBy=${grantingVoters.map(({ nodeId }) => nodeId).join()}`;
    }
    case "truncate":
      return `truncate ${effect.endOffset}`;
    case "send":
      return `send ${effect.to}: ${formatMessage(effect.message)}`;
    case "sendRecords":
      return `sendRecords ${effect.to}: ${formatFields({ ...effect.position })}`;
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
  if (isReplica(value)) return String(value.nodeId);
  if (isOutcome(value)) {
    return value.kind === "records"
      ? formatBatches(value.batches)
      : `diverging:${value.endOffset}@${value.epoch}`;
  }
  return value === null ? "none" : JSON.stringify(value);
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
      throw new Error(`no such message: ${kind}`);
  }
}

function outcomeOf(fetchOffset: number, given: ReadonlyMap<string, string>): FetchOutcome {
  const diverging = given.get("diverging");
  if (diverging !== undefined) {
    const { offset, epoch } = placeOf(diverging);
    return { kind: "diverging", epoch, endOffset: offset };
  }
  let baseOffset = fetchOffset;
  const batches = listOf(given.get("batches")).map((text): Batch => {
    const { offset: endOffset, epoch: leaderEpoch } = placeOf(text);
    const batch = { baseOffset, endOffset, leaderEpoch, bytes: Buffer.alloc(0) };
    baseOffset = endOffset;
    return batch;
  });
  return { kind: "records", batches };
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
