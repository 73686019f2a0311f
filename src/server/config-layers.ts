import { type BrokerConfig, type BrokerValues, isConfigKey, specOf } from "./config-keys.ts";
import type { ConfigSpec } from "./config-spec.ts";
import { ConfigValueError } from "./config-types.ts";

/** Settings by key, as they were written. */
export type Layer = ReadonlyMap<string, string>;

/** Settings that were made while the cluster ran (KIP-226). */
export interface DynamicLayers {
  /** For all brokers. */
  readonly cluster: Layer;
  /** For this one; they go before. */
  readonly broker: Layer;
}

/** Kafka's ConfigSource numbers of a broker's setting. */
export const CONFIG_SOURCES = {
  dynamicBroker: 2,
  dynamicDefault: 3,
  staticBroker: 4,
  default: 5,
} as const;

/** One place in which a setting stands. */
export interface Synonym {
  readonly name: string;
  /** null: it is a secret. */
  readonly value: string | null;
  readonly source: number;
}

/** Keys that say the same in different units; the first that is set counts. */
const FAMILIES = [
  ["log.roll.ms", "log.roll.hours"],
  ["log.roll.jitter.ms", "log.roll.jitter.hours"],
  ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
] as const;

const NOTHING: DynamicLayers = { cluster: new Map(), broker: new Map() };

/** The settings of this broker in their order: what was set for it, for all, in its properties, defaults. */
export class BrokerSettings {
  /** What was read at the start. */
  readonly config: BrokerConfig;
  readonly dynamic: DynamicLayers;
  #values: BrokerValues | null = null;
  #given: Layer | null = null;

  constructor(config: BrokerConfig, dynamic: DynamicLayers = NOTHING) {
    this.config = config;
    this.dynamic = dynamic;
  }

  /** The values that hold now. */
  get values(): BrokerValues {
    this.#values ??= { ...this.config, ...dynamicValues(this.dynamic) };
    return this.#values;
  }

  /** What was set somewhere, as it was written where it counts. */
  get given(): Layer {
    this.#given ??= new Map([
      ...this.config.given,
      ...this.dynamic.cluster,
      ...this.dynamic.broker,
    ]);
    return this.#given;
  }

  /** The text that holds, as it was written; null: the key has none. */
  text(key: string): string | null {
    return this.given.get(key) ?? specOf(key)?.defaultText ?? null;
  }

  /** The same as Kafka tells it, without blanks that do not count. */
  formatted(key: string): string | null {
    const text = this.text(key);
    const spec = specOf(key);
    return text === null || spec === undefined ? text : formatted(key, spec, text);
  }

  /** All places in which the key or one of its family stands, the one that counts first. */
  synonyms(key: string): readonly Synonym[] {
    const names = familyOf(key);
    const layers = [
      {
        source: CONFIG_SOURCES.dynamicBroker,
        text: (name: string) => this.dynamic.broker.get(name),
      },
      {
        source: CONFIG_SOURCES.dynamicDefault,
        text: (name: string) => this.dynamic.cluster.get(name),
      },
      { source: CONFIG_SOURCES.staticBroker, text: (name: string) => this.config.given.get(name) },
      { source: CONFIG_SOURCES.default, text: (name: string) => specOf(name)?.defaultText },
    ];
    const all = layers.flatMap(({ source, text }) =>
      names.flatMap((name) => {
        const value = text(name) ?? null;
        return value === null ? [] : [{ name, value, source }];
      }),
    );
    // As Kafka does: what stands before the key itself overrules it, and is another key.
    const own = all.findIndex(({ name }) => name === key);
    return own < 0 ? [] : all.slice(own);
  }
}

/** A broker's settings for its parts, which read them at each use: they change while it runs. */
export class LiveConfig {
  /** Always what holds now. */
  readonly view: BrokerConfig;
  #settings: BrokerSettings;

  constructor(config: BrokerConfig) {
    this.#settings = new BrokerSettings(config);
    const properties = Object.entries(config).map(([key, value]): [string, PropertyDescriptor] => [
      key,
      isConfigKey(key) && specOf(key)?.updateMode !== "read-only"
        ? { enumerable: true, get: () => this.#settings.values[key] }
        : { enumerable: true, value },
    ]);
    this.view = Object.defineProperties(
      {},
      {
        ...Object.fromEntries(properties),
        given: { enumerable: true, get: () => this.#settings.given },
      },
    ) as BrokerConfig; // Has all that it was made of.
  }

  get settings(): BrokerSettings {
    return this.#settings;
  }

  /** Called when the layers may have changed. */
  update(dynamic: DynamicLayers): void {
    const { cluster, broker } = this.#settings.dynamic;
    if (cluster === dynamic.cluster && broker === dynamic.broker) return;
    this.#settings = new BrokerSettings(this.#settings.config, dynamic);
  }
}

/** What is not allowed is left out: another version may have written it. */
function dynamicValues({ cluster, broker }: DynamicLayers): Partial<BrokerValues> {
  const entries = [...new Map([...cluster, ...broker])].flatMap(([key, text]) => {
    if (!isConfigKey(key)) return [];
    const spec: ConfigSpec<unknown> | undefined = specOf(key);
    if (spec === undefined || spec.updateMode === "read-only") return [];
    try {
      return [[key, spec.type.parse(key, text)] as const];
    } catch (error) {
      if (error instanceof ConfigValueError) return [];
      throw error;
    }
  });
  return Object.fromEntries(entries); // Made of the table's own keys.
}

function formatted(key: string, { type }: ConfigSpec<unknown>, text: string): string {
  try {
    return type.format(type.parse(key, text));
  } catch (error) {
    if (error instanceof ConfigValueError) return text;
    throw error;
  }
}

function familyOf(key: string): readonly string[] {
  if (key === "log.flush.interval.ms") return [key, "log.flush.scheduler.interval.ms"];
  return FAMILIES.find((family) => family.some((name) => name === key)) ?? [key];
}
