import { ConfigError } from "./config-error.ts";
import { splitList } from "./config-types.ts";

const OVERRIDES_KEY = "max.connections.per.ip.overrides";

/** Limits that a listener can have of its own (`listener.name.<name>.…`). */
const LISTENER_LIMITS = ["max.connections", "max.connection.creation.rate"] as const;

export type ListenerLimitKey = (typeof LISTENER_LIMITS)[number];

/** `listener.name.<name>.max.connections`: the key whose form for one listener it is; null: of none. */
export function listenerLimitOf(key: string): ListenerLimitKey | null {
  const rest = /^listener\.name\.[^.]+\.(.+)$/.exec(key)?.[1];
  return LISTENER_LIMITS.find((limit) => limit === rest) ?? null;
}

export function isListenerLimitKey(key: string): boolean {
  return listenerLimitOf(key) !== null;
}

/** The key of a limit for the listener of that name. */
export function listenerKey(listenerName: string, key: ListenerLimitKey): string {
  return `listener.name.${listenerName.toLowerCase()}.${key}`;
}

/** The text of max.connections.per.ip.overrides, by address. Throws ConfigError. */
export function parseIpOverrides(text: string): ReadonlyMap<string, number> {
  return new Map(
    splitList(text).map((item) => {
      const end = item.lastIndexOf(":");
      const address = addressOf(item.slice(0, Math.max(0, end)));
      const count = item.slice(end + 1);
      if (address === null || !/^\d{1,9}$/.test(count)) {
        throw new ConfigError(
          `${OVERRIDES_KEY}=${text}: must be addresses with counts, like 10.0.0.7:100,::1:20; ` +
            `${item} is not one`,
        );
      }
      return [address, Number(count)];
    }),
  );
}

/** As the system writes the addresses of connections; null: it is none. */
function addressOf(text: string): string | null {
  const isIPv6 = text.includes(":");
  if (!isIPv6 && !/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return null;
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  const url = `http://${isIPv6 ? `[${bare}]` : bare}/`;
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, "$1") : null;
}
