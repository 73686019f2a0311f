import * as consumerGroup from "../../../src/protocol/messages/internal/consumer-group.ts";
import * as consumerProtocol from "../../../src/protocol/messages/internal/consumer-protocol.ts";
import * as controlRecords from "../../../src/protocol/messages/internal/control-records.ts";
import * as groupMetadata from "../../../src/protocol/messages/internal/group-metadata.ts";
import * as groupOffsets from "../../../src/protocol/messages/internal/group-offsets.ts";
import * as headers from "../../../src/protocol/messages/internal/headers.ts";
import * as principal from "../../../src/protocol/messages/internal/principal.ts";
import * as producerState from "../../../src/protocol/messages/internal/producer-state.ts";
import * as raftControlRecords from "../../../src/protocol/messages/internal/raft-control-records.ts";
import * as transactionLog from "../../../src/protocol/messages/internal/transaction-log.ts";
import type { Message } from "../../../src/protocol/schema.ts";

/** Every message of messages/internal that the vectors know. */
export const INTERNAL_MESSAGES: readonly Message[] = [
  consumerGroup,
  consumerProtocol,
  controlRecords,
  groupMetadata,
  groupOffsets,
  headers,
  principal,
  producerState,
  raftControlRecords,
  transactionLog,
].flatMap((module) => Object.values<Message>(module));

const byName = new Map(INTERNAL_MESSAGES.map((message) => [message.name, message]));

export function internalMessage(name: string): Message | undefined {
  return byName.get(name);
}
