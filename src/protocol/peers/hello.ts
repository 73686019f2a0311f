import { type Uuid, uuidFromBytes, uuidToBytes } from "../../base/ids.ts";
import type { RpcAddress } from "../../base/rpc.ts";
import { ProtobufError, ProtobufReader, ProtobufWriter } from "./protobuf.ts";

/** Raised with every change that an older node would take for something else. */
export const PEERS_PROTOCOL_VERSION = 1;

/** Told to an opener that has reached itself, as by a list of addresses that is the same on each node. */
export const REACHED_ITSELF = "it is the very node that has opened the stream";

/** Who a node is, as it says at the beginning of each stream (hello.proto). */
export interface Hello {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly directoryId: Uuid;
  /** null: it has registered no broker yet, or is none. */
  readonly brokerEpoch: number | null;
  /** Where it can be reached itself; null: nowhere. */
  readonly address: RpcAddress | null;
}

/** A hello, or why the node that said it is no peer of this one. */
export type HelloVerdict =
  | { readonly kind: "peer"; readonly hello: Hello }
  | { readonly kind: "stranger"; readonly message: string };

export function encodeHello(hello: Hello): Buffer {
  const writer = new ProtobufWriter();
  writer.uint(1, PEERS_PROTOCOL_VERSION);
  writer.string(2, hello.clusterId);
  writer.uint(3, hello.nodeId);
  writer.bytes(4, uuidToBytes(hello.directoryId));
  writer.optionalUint(5, hello.brokerEpoch);
  writer.string(6, hello.address?.host ?? "");
  writer.uint(7, hello.address?.port ?? 0);
  return writer.finish();
}

/**
 * Judges what the other side of a stream says of itself: a node of another cluster, or of another version,
 * is turned away with a sentence that names both; so is one that has this node's own id.
 */
export function judgeHello(bytes: Buffer, self: Hello): HelloVerdict {
  let reader: ProtobufReader;
  try {
    reader = new ProtobufReader(bytes);
    const version = reader.uint(1);
    const nodeId = reader.uint(3);
    if (version !== PEERS_PROTOCOL_VERSION) {
      return stranger(
        version === 0
          ? "this port is for the nodes of a Holdfast cluster"
          : `node ${nodeId} speaks version ${version} of the protocol between nodes, ` +
              `node ${self.nodeId} version ${PEERS_PROTOCOL_VERSION}`,
      );
    }
    return judge(readHello(reader), self);
  } catch (error) {
    if (error instanceof ProtobufError) return stranger(`the hello is damaged: ${error.message}`);
    throw error;
  }
}

function judge(hello: Hello, self: Hello): HelloVerdict {
  const { nodeId, clusterId } = hello;
  if (clusterId !== self.clusterId) {
    return stranger(
      `node ${nodeId} belongs to cluster ${clusterId}, node ${self.nodeId} to cluster ${self.clusterId}`,
    );
  }
  if (nodeId === self.nodeId) {
    if (hello.directoryId === self.directoryId) return stranger(REACHED_ITSELF);
    return stranger(`two nodes have node.id=${nodeId}: each needs its own`);
  }
  return { kind: "peer", hello };
}

function readHello(reader: ProtobufReader): Hello {
  const directoryId = reader.bytes(4);
  if (directoryId.length !== 16) throw new ProtobufError("a directory id has sixteen bytes");
  const host = reader.string(6);
  const port = reader.uint(7);
  if (port > 65_535) throw new ProtobufError("a port is at most 65535");
  return {
    clusterId: reader.string(2),
    nodeId: reader.uint(3),
    directoryId: uuidFromBytes(directoryId),
    brokerEpoch: reader.optionalUint(5),
    address: port === 0 ? null : { host, port },
  };
}

function stranger(message: string): HelloVerdict {
  return { kind: "stranger", message };
}
