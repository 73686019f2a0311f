import { produceRequest, produceResponse } from "./messages/00-produce.ts";
import { fetchRequest, fetchResponse } from "./messages/01-fetch.ts";
import { listOffsetsRequest, listOffsetsResponse } from "./messages/02-list-offsets.ts";
import { metadataRequest, metadataResponse } from "./messages/03-metadata.ts";
import { offsetCommitRequest, offsetCommitResponse } from "./messages/08-offset-commit.ts";
import { offsetFetchRequest, offsetFetchResponse } from "./messages/09-offset-fetch.ts";
import { findCoordinatorRequest, findCoordinatorResponse } from "./messages/10-find-coordinator.ts";
import { joinGroupRequest, joinGroupResponse } from "./messages/11-join-group.ts";
import { heartbeatRequest, heartbeatResponse } from "./messages/12-heartbeat.ts";
import { leaveGroupRequest, leaveGroupResponse } from "./messages/13-leave-group.ts";
import { syncGroupRequest, syncGroupResponse } from "./messages/14-sync-group.ts";
import { describeGroupsRequest, describeGroupsResponse } from "./messages/15-describe-groups.ts";
import { listGroupsRequest, listGroupsResponse } from "./messages/16-list-groups.ts";
import { saslHandshakeRequest, saslHandshakeResponse } from "./messages/17-sasl-handshake.ts";
import { apiVersionsRequest, apiVersionsResponse } from "./messages/18-api-versions.ts";
import { createTopicsRequest, createTopicsResponse } from "./messages/19-create-topics.ts";
import { deleteTopicsRequest, deleteTopicsResponse } from "./messages/20-delete-topics.ts";
import { deleteRecordsRequest, deleteRecordsResponse } from "./messages/21-delete-records.ts";
import { initProducerIdRequest, initProducerIdResponse } from "./messages/22-init-producer-id.ts";
import {
  offsetForLeaderEpochRequest,
  offsetForLeaderEpochResponse,
} from "./messages/23-offset-for-leader-epoch.ts";
import {
  addPartitionsToTxnRequest,
  addPartitionsToTxnResponse,
} from "./messages/24-add-partitions-to-txn.ts";
import {
  addOffsetsToTxnRequest,
  addOffsetsToTxnResponse,
} from "./messages/25-add-offsets-to-txn.ts";
import { endTxnRequest, endTxnResponse } from "./messages/26-end-txn.ts";
import {
  writeTxnMarkersRequest,
  writeTxnMarkersResponse,
} from "./messages/27-write-txn-markers.ts";
import {
  txnOffsetCommitRequest,
  txnOffsetCommitResponse,
} from "./messages/28-txn-offset-commit.ts";
import { describeAclsRequest, describeAclsResponse } from "./messages/29-describe-acls.ts";
import { createAclsRequest, createAclsResponse } from "./messages/30-create-acls.ts";
import { deleteAclsRequest, deleteAclsResponse } from "./messages/31-delete-acls.ts";
import { describeConfigsRequest, describeConfigsResponse } from "./messages/32-describe-configs.ts";
import { alterConfigsRequest, alterConfigsResponse } from "./messages/33-alter-configs.ts";
import {
  alterReplicaLogDirsRequest,
  alterReplicaLogDirsResponse,
} from "./messages/34-alter-replica-log-dirs.ts";
import {
  describeLogDirsRequest,
  describeLogDirsResponse,
} from "./messages/35-describe-log-dirs.ts";
import {
  saslAuthenticateRequest,
  saslAuthenticateResponse,
} from "./messages/36-sasl-authenticate.ts";
import {
  createPartitionsRequest,
  createPartitionsResponse,
} from "./messages/37-create-partitions.ts";
import { deleteGroupsRequest, deleteGroupsResponse } from "./messages/42-delete-groups.ts";
import { electLeadersRequest, electLeadersResponse } from "./messages/43-elect-leaders.ts";
import {
  incrementalAlterConfigsRequest,
  incrementalAlterConfigsResponse,
} from "./messages/44-incremental-alter-configs.ts";
import {
  alterPartitionReassignmentsRequest,
  alterPartitionReassignmentsResponse,
} from "./messages/45-alter-partition-reassignments.ts";
import {
  listPartitionReassignmentsRequest,
  listPartitionReassignmentsResponse,
} from "./messages/46-list-partition-reassignments.ts";
import { offsetDeleteRequest, offsetDeleteResponse } from "./messages/47-offset-delete.ts";
import {
  describeClientQuotasRequest,
  describeClientQuotasResponse,
} from "./messages/48-describe-client-quotas.ts";
import {
  alterClientQuotasRequest,
  alterClientQuotasResponse,
} from "./messages/49-alter-client-quotas.ts";
import {
  describeUserScramCredentialsRequest,
  describeUserScramCredentialsResponse,
} from "./messages/50-describe-user-scram-credentials.ts";
import {
  alterUserScramCredentialsRequest,
  alterUserScramCredentialsResponse,
} from "./messages/51-alter-user-scram-credentials.ts";
import { describeQuorumRequest, describeQuorumResponse } from "./messages/55-describe-quorum.ts";
import { updateFeaturesRequest, updateFeaturesResponse } from "./messages/57-update-features.ts";
import { describeClusterRequest, describeClusterResponse } from "./messages/60-describe-cluster.ts";
import {
  describeProducersRequest,
  describeProducersResponse,
} from "./messages/61-describe-producers.ts";
import {
  describeTransactionsRequest,
  describeTransactionsResponse,
} from "./messages/65-describe-transactions.ts";
import {
  listTransactionsRequest,
  listTransactionsResponse,
} from "./messages/66-list-transactions.ts";
import {
  consumerGroupHeartbeatRequest,
  consumerGroupHeartbeatResponse,
} from "./messages/68-consumer-group-heartbeat.ts";
import {
  consumerGroupDescribeRequest,
  consumerGroupDescribeResponse,
} from "./messages/69-consumer-group-describe.ts";
import {
  listConfigResourcesRequest,
  listConfigResourcesResponse,
} from "./messages/74-list-config-resources.ts";
import {
  describeTopicPartitionsRequest,
  describeTopicPartitionsResponse,
} from "./messages/75-describe-topic-partitions.ts";
import { alterPartitionRequest, alterPartitionResponse } from "./messages/56-alter-partition.ts";
import { envelopeRequest, envelopeResponse } from "./messages/58-envelope.ts";
import {
  brokerRegistrationRequest,
  brokerRegistrationResponse,
} from "./messages/62-broker-registration.ts";
import { brokerHeartbeatRequest, brokerHeartbeatResponse } from "./messages/63-broker-heartbeat.ts";
import {
  unregisterBrokerRequest,
  unregisterBrokerResponse,
} from "./messages/64-unregister-broker.ts";
import {
  allocateProducerIdsRequest,
  allocateProducerIdsResponse,
} from "./messages/67-allocate-producer-ids.ts";
import {
  controllerRegistrationRequest,
  controllerRegistrationResponse,
} from "./messages/70-controller-registration.ts";
import {
  assignReplicasToDirsRequest,
  assignReplicasToDirsResponse,
} from "./messages/73-assign-replicas-to-dirs.ts";
import { addRaftVoterRequest, addRaftVoterResponse } from "./messages/80-add-raft-voter.ts";
import {
  removeRaftVoterRequest,
  removeRaftVoterResponse,
} from "./messages/81-remove-raft-voter.ts";
import {
  updateRaftVoterRequest,
  updateRaftVoterResponse,
} from "./messages/82-update-raft-voter.ts";
import { must } from "../base/assert.ts";
import { includesVersion, type Message, parseVersions } from "./schema.ts";

/** One request and its response, under a key of the protocol. */
export interface Api<Req extends Message = Message, Res extends Message = Message> {
  readonly key: number;
  readonly name: string;
  readonly request: Req;
  readonly response: Res;
  /** Lowest version that may be served. */
  readonly minVersion: number;
  /** Highest version that may be served; the schemas may know one more, that is still unstable. */
  readonly maxVersion: number;
}

/** Every API that Holdfast knows, served or not (docs/protocol.md: P0, P0-EOS and P1). */
export const APIS = {
  produce: api(produceRequest, produceResponse),
  fetch: api(fetchRequest, fetchResponse),
  listOffsets: api(listOffsetsRequest, listOffsetsResponse),
  metadata: api(metadataRequest, metadataResponse),
  offsetCommit: api(offsetCommitRequest, offsetCommitResponse),
  offsetFetch: api(offsetFetchRequest, offsetFetchResponse),
  findCoordinator: api(findCoordinatorRequest, findCoordinatorResponse),
  joinGroup: api(joinGroupRequest, joinGroupResponse),
  heartbeat: api(heartbeatRequest, heartbeatResponse),
  leaveGroup: api(leaveGroupRequest, leaveGroupResponse),
  syncGroup: api(syncGroupRequest, syncGroupResponse),
  describeGroups: api(describeGroupsRequest, describeGroupsResponse),
  listGroups: api(listGroupsRequest, listGroupsResponse),
  saslHandshake: api(saslHandshakeRequest, saslHandshakeResponse),
  apiVersions: api(apiVersionsRequest, apiVersionsResponse),
  createTopics: api(createTopicsRequest, createTopicsResponse),
  deleteTopics: api(deleteTopicsRequest, deleteTopicsResponse),
  deleteRecords: api(deleteRecordsRequest, deleteRecordsResponse),
  initProducerId: api(initProducerIdRequest, initProducerIdResponse, 5),
  offsetForLeaderEpoch: api(offsetForLeaderEpochRequest, offsetForLeaderEpochResponse),
  addPartitionsToTxn: api(addPartitionsToTxnRequest, addPartitionsToTxnResponse),
  addOffsetsToTxn: api(addOffsetsToTxnRequest, addOffsetsToTxnResponse),
  endTxn: api(endTxnRequest, endTxnResponse),
  writeTxnMarkers: api(writeTxnMarkersRequest, writeTxnMarkersResponse),
  txnOffsetCommit: api(txnOffsetCommitRequest, txnOffsetCommitResponse),
  describeAcls: api(describeAclsRequest, describeAclsResponse),
  createAcls: api(createAclsRequest, createAclsResponse),
  deleteAcls: api(deleteAclsRequest, deleteAclsResponse),
  describeConfigs: api(describeConfigsRequest, describeConfigsResponse),
  alterConfigs: api(alterConfigsRequest, alterConfigsResponse),
  alterReplicaLogDirs: api(alterReplicaLogDirsRequest, alterReplicaLogDirsResponse),
  describeLogDirs: api(describeLogDirsRequest, describeLogDirsResponse),
  saslAuthenticate: api(saslAuthenticateRequest, saslAuthenticateResponse),
  createPartitions: api(createPartitionsRequest, createPartitionsResponse),
  deleteGroups: api(deleteGroupsRequest, deleteGroupsResponse),
  electLeaders: api(electLeadersRequest, electLeadersResponse),
  incrementalAlterConfigs: api(incrementalAlterConfigsRequest, incrementalAlterConfigsResponse),
  alterPartitionReassignments: api(
    alterPartitionReassignmentsRequest,
    alterPartitionReassignmentsResponse,
  ),
  listPartitionReassignments: api(
    listPartitionReassignmentsRequest,
    listPartitionReassignmentsResponse,
  ),
  offsetDelete: api(offsetDeleteRequest, offsetDeleteResponse),
  describeClientQuotas: api(describeClientQuotasRequest, describeClientQuotasResponse),
  alterClientQuotas: api(alterClientQuotasRequest, alterClientQuotasResponse),
  describeUserScramCredentials: api(
    describeUserScramCredentialsRequest,
    describeUserScramCredentialsResponse,
  ),
  alterUserScramCredentials: api(
    alterUserScramCredentialsRequest,
    alterUserScramCredentialsResponse,
  ),
  describeQuorum: api(describeQuorumRequest, describeQuorumResponse),
  updateFeatures: api(updateFeaturesRequest, updateFeaturesResponse),
  describeCluster: api(describeClusterRequest, describeClusterResponse),
  describeProducers: api(describeProducersRequest, describeProducersResponse),
  describeTransactions: api(describeTransactionsRequest, describeTransactionsResponse),
  listTransactions: api(listTransactionsRequest, listTransactionsResponse),
  consumerGroupHeartbeat: api(consumerGroupHeartbeatRequest, consumerGroupHeartbeatResponse),
  consumerGroupDescribe: api(consumerGroupDescribeRequest, consumerGroupDescribeResponse),
  listConfigResources: api(listConfigResourcesRequest, listConfigResourcesResponse),
  describeTopicPartitions: api(describeTopicPartitionsRequest, describeTopicPartitionsResponse),
  unregisterBroker: api(unregisterBrokerRequest, unregisterBrokerResponse),
  addRaftVoter: api(addRaftVoterRequest, addRaftVoterResponse),
  removeRaftVoter: api(removeRaftVoterRequest, removeRaftVoterResponse),
} as const;

/** What only nodes ask of the active controller: never served to clients, so `apiByKey` has none of it. */
export const CONTROLLER_APIS = {
  alterPartition: api(alterPartitionRequest, alterPartitionResponse),
  envelope: api(envelopeRequest, envelopeResponse),
  brokerRegistration: api(brokerRegistrationRequest, brokerRegistrationResponse),
  brokerHeartbeat: api(brokerHeartbeatRequest, brokerHeartbeatResponse),
  allocateProducerIds: api(allocateProducerIdsRequest, allocateProducerIdsResponse),
  controllerRegistration: api(controllerRegistrationRequest, controllerRegistrationResponse),
  assignReplicasToDirs: api(assignReplicasToDirsRequest, assignReplicasToDirsResponse),
  updateRaftVoter: api(updateRaftVoterRequest, updateRaftVoterResponse),
} as const;

const byKey = new Map<number, Api>(Object.values(APIS).map((known) => [known.key, known]));

/** The API of the key; undefined when Holdfast does not know it. */
export function apiByKey(key: number): Api | undefined {
  return byKey.get(key);
}

/** Request header version 2 carries tags; from the API's first flexible version on. */
export function requestHeaderVersion(api: Api, version: number): 1 | 2 {
  return isFlexible(api.request, version) ? 2 : 1;
}

/**
 * Response header version 1 carries tags. ApiVersions' answer always has header 0, since a client
 * that sent a version unknown to the broker must be able to read it (KIP-511).
 */
export function responseHeaderVersion(api: Api, version: number): 0 | 1 {
  return api.key !== APIS.apiVersions.key && isFlexible(api.response, version) ? 1 : 0;
}

function isFlexible(message: Message, version: number): boolean {
  return message.flexible !== null && includesVersion(message.flexible, version);
}

function api<Req extends Message, Res extends Message>(
  request: Req,
  response: Res,
  maxStableVersion?: number,
): Api<Req, Res> {
  const { first, last } = parseVersions(request.versions);
  return {
    key: must(request.apiKey, "a request has an API key"),
    name: request.name.slice(0, -"Request".length),
    request,
    response,
    minVersion: first,
    maxVersion: maxStableVersion ?? last,
  };
}
