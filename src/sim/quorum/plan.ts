import { type Random, randomBelow } from "../../base/random.ts";

export interface PlannedNode {
  readonly nodeId: number;
  readonly isBroker: boolean;
  readonly isController: boolean;
}

/** What a seed stands for, but for the faults. */
export interface QuorumPlan {
  readonly nodes: readonly PlannedNode[];
  readonly clientCount: number;
  /** Of each node, beside its place in the cluster. */
  readonly settings: Readonly<Record<string, string>>;
  /** Whether a controller's disk may be lost for good. */
  readonly mayWipe: boolean;
}

/** Mostly three nodes that are all; sometimes five, or controllers and brokers of their own. */
export function planOf(random: Random): QuorumPlan {
  const draw = randomBelow(random, 10);
  const both = (nodeId: number): PlannedNode => ({ nodeId, isBroker: true, isController: true });
  const nodes =
    draw < 6
      ? [1, 2, 3].map(both)
      : draw < 8
        ? [1, 2, 3, 4, 5].map((nodeId) => ({
            nodeId,
            isBroker: nodeId > 3 || draw === 7,
            isController: nodeId <= 3,
          }))
        : [1, 2, 3, 4, 5].map((nodeId) =>
            draw === 9 ? both(nodeId) : { ...both(nodeId), isBroker: nodeId > 2 },
          );
  return {
    nodes,
    clientCount: 3 + randomBelow(random, 3),
    settings:
      randomBelow(random, 2) === 0
        ? {}
        : {
            "metadata.log.max.record.bytes.between.snapshots": String(
              2_000 + randomBelow(random, 20_000),
            ),
          },
    mayWipe: randomBelow(random, 4) === 0,
  };
}
