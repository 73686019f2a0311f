import {
  registerBrokerRecord,
  unregisterBrokerRecord,
  fenceBrokerRecord,
  unfenceBrokerRecord,
  brokerRegistrationChangeRecord,
  registerControllerRecord,
} from "./messages/metadata/brokers.ts";
import {
  noOpRecord,
  zkMigrationStateRecord,
  beginTransactionRecord,
  endTransactionRecord,
  abortTransactionRecord,
} from "./messages/metadata/log.ts";
import {
  delegationTokenRecord,
  userScramCredentialRecord,
  accessControlEntryRecord,
  removeAccessControlEntryRecord,
  removeUserScramCredentialRecord,
  removeDelegationTokenRecord,
} from "./messages/metadata/security.ts";
import {
  configRecord,
  featureLevelRecord,
  clientQuotaRecord,
  producerIdsRecord,
} from "./messages/metadata/settings.ts";
import {
  topicRecord,
  partitionRecord,
  partitionChangeRecord,
  removeTopicRecord,
  clearElrRecord,
} from "./messages/metadata/topics.ts";
import { must } from "../base/assert.ts";
import { codecFor } from "./codec.ts";
import { ProtocolError } from "./errors.ts";
import { Reader } from "./reader.ts";
import type { Encodable, Infer, Message } from "./schema.ts";
import { Writer } from "./writer.ts";

/** Every record of the metadata log, by its name without "Record". */
export const METADATA_RECORDS = {
  registerBroker: registerBrokerRecord,
  unregisterBroker: unregisterBrokerRecord,
  topic: topicRecord,
  partition: partitionRecord,
  config: configRecord,
  partitionChange: partitionChangeRecord,
  fenceBroker: fenceBrokerRecord,
  unfenceBroker: unfenceBrokerRecord,
  removeTopic: removeTopicRecord,
  delegationToken: delegationTokenRecord,
  userScramCredential: userScramCredentialRecord,
  featureLevel: featureLevelRecord,
  clientQuota: clientQuotaRecord,
  producerIds: producerIdsRecord,
  brokerRegistrationChange: brokerRegistrationChangeRecord,
  accessControlEntry: accessControlEntryRecord,
  removeAccessControlEntry: removeAccessControlEntryRecord,
  noOp: noOpRecord,
  zkMigrationState: zkMigrationStateRecord,
  removeUserScramCredential: removeUserScramCredentialRecord,
  beginTransaction: beginTransactionRecord,
  endTransaction: endTransactionRecord,
  abortTransaction: abortTransactionRecord,
  removeDelegationToken: removeDelegationTokenRecord,
  registerController: registerControllerRecord,
  clearElr: clearElrRecord,
} as const;

type Records = typeof METADATA_RECORDS;

/** The name of a metadata record's kind. */
export type MetadataRecordKind = keyof Records;

/** A metadata record with its kind: `switch` on `kind` gives `record` its type. */
export type MetadataRecord = {
  readonly [K in MetadataRecordKind]: { readonly kind: K; readonly record: Infer<Records[K]> };
}[MetadataRecordKind];

/** Kafka's frame around a metadata record: this version, then the key, then the record's version. */
const FRAME_VERSION = 1;

const kindByKey = new Map<number, MetadataRecordKind>(
  Object.entries(METADATA_RECORDS).map(([kind, { apiKey }]) => [
    must(apiKey, "a metadata record has a key"),
    kind as MetadataRecordKind,
  ]),
);

/** The value of a record of the metadata log, in the given version of its kind. */
export function encodeMetadataRecord<K extends MetadataRecordKind>(
  kind: K,
  version: number,
  record: Encodable<Records[K]>,
): Buffer {
  const message: Message = METADATA_RECORDS[kind];
  const writer = new Writer();
  writer.uvarint(FRAME_VERSION);
  writer.uvarint(must(message.apiKey, "a metadata record has a key"));
  writer.uvarint(version);
  codecFor(message, version).encodeTo(writer, record);
  return Buffer.concat(writer.finish());
}

/** Reads the value of a record of the metadata log. Throws ProtocolError, also on an unknown key. */
export function decodeMetadataRecord(bytes: Buffer): MetadataRecord {
  const reader = new Reader(bytes, "metadata record");
  const frameVersion = reader.uvarint();
  const apiKey = reader.uvarint();
  const version = reader.uvarint();
  const kind = kindByKey.get(apiKey);
  if (frameVersion !== FRAME_VERSION || kind === undefined) {
    throw new ProtocolError(
      "unsupported-version",
      `metadata record: frame version ${frameVersion} with key ${apiKey} is not known`,
    );
  }
  const message: Message = METADATA_RECORDS[kind];
  const record = codecFor(message, version).decode(bytes, reader.position);
  return { kind, record } as MetadataRecord;
}
