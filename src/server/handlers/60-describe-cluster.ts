import { APIS } from "../../protocol/apis.ts";
import { errorCode } from "../../protocol/errors.ts";
import type {
  DescribeClusterRequest,
  DescribeClusterResponse,
} from "../../protocol/messages/60-describe-cluster.ts";
import { handlerFor, type TypedApiHandler } from "../api-handler.ts";
import { ALL_CLUSTER_OPERATIONS, NOT_ASKED } from "../authorized-operations.ts";
import { type ItemError, itemError } from "../metadata/controller.ts";
import type { MetadataImage } from "../metadata/image.ts";
import { controllerForClients, endPointOf, isReachableBy } from "../metadata/image-queries.ts";
import type { MetadataManager } from "../metadata/metadata-manager.ts";

// DescribeCluster, versions 0-2 (KIP-700): 1 added the kind of endpoint that the client believes to talk
// to (KIP-919), 2 fenced brokers (KIP-1073). Controllers have no port of their own here.

export interface DescribeClusterDependencies {
  readonly metadata: Pick<MetadataManager, "image">;
  readonly clusterId: string;
  readonly nodeId: number;
}

const BROKER_ENDPOINT = 1;
const CONTROLLER_ENDPOINT = 2;

export function describeClusterHandler(
  dependencies: DescribeClusterDependencies,
): TypedApiHandler<typeof APIS.describeCluster.request, typeof APIS.describeCluster.response> {
  return handlerFor(APIS.describeCluster, (request, { apiVersion, listenerName }) => {
    const error = endpointProblem(request, apiVersion);
    if (error !== null) {
      return {
        throttleTimeMs: 0,
        errorCode: errorCode(error.name),
        errorMessage: error.message,
        clusterId: "",
        brokers: [],
      };
    }
    const { image } = dependencies.metadata;
    return {
      throttleTimeMs: 0,
      errorCode: errorCode("NONE"),
      errorMessage: null,
      endpointType: BROKER_ENDPOINT,
      clusterId: dependencies.clusterId,
      controllerId: controllerForClients(image, dependencies.nodeId, listenerName),
      brokers: brokersOf(image, listenerName, request.includeFencedBrokers),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
        ? ALL_CLUSTER_OPERATIONS
        : NOT_ASKED,
    };
  });
}

function endpointProblem(
  { endpointType }: DescribeClusterRequest,
  apiVersion: number,
): ItemError | null {
  if (endpointType === BROKER_ENDPOINT) return null;
  if (endpointType === CONTROLLER_ENDPOINT) {
    return itemError(
      apiVersion === 0 ? "INVALID_REQUEST" : "MISMATCHED_ENDPOINT_TYPE",
      "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
    );
  }
  return itemError(
    apiVersion === 0 ? "INVALID_REQUEST" : "UNSUPPORTED_ENDPOINT_TYPE",
    `Unsupported endpoint type ${endpointType}`,
  );
}

function brokersOf(
  image: MetadataImage,
  listenerName: string,
  areFencedIncluded: boolean,
): DescribeClusterResponse["brokers"] {
  return [...image.brokers.values()]
    .sort((a, b) => a.brokerId - b.brokerId)
    .flatMap((broker) => {
      const endPoint = endPointOf(broker, listenerName);
      if (endPoint === null) return [];
      if (!areFencedIncluded && !isReachableBy(broker, listenerName)) return [];
      const { brokerId, rack, isFenced } = broker;
      return [{ brokerId, host: endPoint.host, port: endPoint.port, rack, isFenced }];
    });
}
