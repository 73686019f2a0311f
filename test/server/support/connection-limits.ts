import type {
  ConnectionLimits,
  ListenerLimits,
} from "../../../src/server/net/connection-limits.ts";

/** No limits but those. */
export function limitsOf(
  limits: Partial<Omit<ConnectionLimits, "ofListener">> & {
    readonly listeners?: Readonly<Record<string, Partial<ListenerLimits>>>;
  },
): ConnectionLimits {
  return {
    maxConnections: Infinity,
    maxConnectionsPerIp: Infinity,
    maxConnectionsPerIpOverrides: new Map(),
    maxCreationRate: Infinity,
    ...limits,
    ofListener: (name) => ({
      maxConnections: Infinity,
      maxCreationRate: Infinity,
      ...limits.listeners?.[name],
    }),
  };
}
