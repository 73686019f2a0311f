import { listenerLimitOf } from "./config-connection-limits.ts";
import { KEYS_WITHOUT_EFFECT } from "./config-kafka-keys.ts";
import { GROUP_KEYS } from "./config-keys-groups.ts";
import { LOG_KEYS, RETENTION_KEYS, TOPIC_KEYS } from "./config-keys-log.ts";
import { CONNECTION_KEYS, HOLDFAST_KEYS, LISTENER_KEYS, NODE_KEYS } from "./config-keys-node.ts";
import { QUORUM_KEYS, TLS_KEYS } from "./config-keys-quorum.ts";
import { REFUSED_KEYS } from "./config-refused-keys.ts";
import type { ConfigSpec } from "./config-spec.ts";

/**
 * Every setting that has an effect, by Kafka's own key. To add one: a line in one of config-keys-*.ts (moved
 * there from config-kafka-keys.ts if it is Kafka's), `UPDATE=1 npx vitest run --project unit
 * test/server/config-page.test.ts`, and `config["the.key"]` is typed wherever a BrokerConfig is.
 */
export const CONFIG_KEYS = {
  ...NODE_KEYS,
  ...QUORUM_KEYS,
  ...LISTENER_KEYS,
  ...TLS_KEYS,
  ...CONNECTION_KEYS,
  ...TOPIC_KEYS,
  ...LOG_KEYS,
  ...RETENTION_KEYS,
  ...GROUP_KEYS,
  ...HOLDFAST_KEYS,
} as const;

export type ConfigKey = keyof typeof CONFIG_KEYS;

type ValueOf<S> = S extends ConfigSpec<infer T> ? T : never;

/** A value for each key, checked. A long one is a LongSetting, an absent one null. */
export type BrokerValues = {
  readonly [K in ConfigKey]: ValueOf<(typeof CONFIG_KEYS)[K]>;
};

/** The settings of a broker. */
export type BrokerConfig = BrokerValues & {
  /** As they were written, by key, those without effect and unknown ones included. */
  readonly given: ReadonlyMap<string, string>;
  /** What others are told where a listener names no host. */
  readonly hostName: string;
};

export function isConfigKey(key: string): key is ConfigKey {
  return Object.hasOwn(CONFIG_KEYS, key);
}

const ALL_KEYS: ReadonlyMap<string, ConfigSpec<unknown>> = new Map<string, ConfigSpec<unknown>>(
  Object.entries({ ...KEYS_WITHOUT_EFFECT, ...REFUSED_KEYS, ...CONFIG_KEYS }),
);

/** Every key that is known, with and without effect. */
export function allKeys(): IterableIterator<[string, ConfigSpec<unknown>]> {
  return ALL_KEYS.entries();
}

/** Its line in the table; undefined: no such key is known. */
export function specOf(key: string): ConfigSpec<unknown> | undefined {
  const ownKey = listenerLimitOf(key);
  return ownKey === null ? ALL_KEYS.get(key) : CONNECTION_KEYS[ownKey];
}
