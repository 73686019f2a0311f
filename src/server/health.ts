import type { LogDirectoryState } from "../storage/log-manager.ts";
import type { MetadataImage } from "./metadata/image.ts";

/** One thing that must hold before clients should be sent here. */
export interface HealthCheck {
  readonly name: string;
  readonly isHealthy: boolean;
  /** A sentence. */
  readonly detail: string;
}

/** Whether the node serves, checked by name. */
export function healthChecks(parts: {
  readonly isServing: boolean;
  readonly isStopping: boolean;
  readonly directories: readonly LogDirectoryState[];
  readonly image: MetadataImage | null;
  /** The active controller, as far as the node knows. */
  readonly controllerId: number | null;
  readonly nodeId: number;
  readonly isBroker: boolean;
}): readonly HealthCheck[] {
  const { isServing, isStopping, directories } = parts;
  const offline = directories.filter(({ isOnline }) => !isOnline).map(({ path }) => path);
  return [
    {
      name: "listeners",
      isHealthy: isServing && !isStopping,
      detail: isStopping
        ? "The broker is stopping."
        : isServing
          ? "Requests are answered."
          : "The broker is starting.",
    },
    parts.isBroker ? registrationCheck(parts.image, parts.nodeId) : quorumCheck(parts.controllerId),
    {
      // As long as one is left the node serves what lies there.
      name: "log-directories",
      isHealthy: offline.length < directories.length,
      detail:
        offline.length === 0
          ? "All log directories take batches."
          : `These log directories take no batches: ${offline.join(", ")}.`,
    },
  ];
}

function registrationCheck(image: MetadataImage | null, nodeId: number): HealthCheck {
  const registration = image?.brokers.get(nodeId);
  return {
    name: "registration",
    isHealthy: registration?.isFenced === false,
    detail:
      registration === undefined
        ? "The controller does not know this broker yet."
        : registration.isFenced
          ? "The broker is fenced."
          : `The broker is registered in epoch ${registration.brokerEpoch}.`,
  };
}

/** Of a node that has no clients: it is of use while it takes part. */
function quorumCheck(controllerId: number | null): HealthCheck {
  return {
    name: "quorum",
    isHealthy: controllerId !== null,
    detail:
      controllerId === null
        ? "No active controller is known here."
        : `Node ${controllerId} is the active controller.`,
  };
}
