import { ConfigError } from "./config-error.ts";
import type { BrokerValues } from "./config-keys.ts";
import { splitList } from "./config-types.ts";

/** A place to listen, or one to be reached at. */
export interface EndPoint {
  readonly name: string;
  /** Empty: every address of this host. */
  readonly host: string;
  /** 0: a free one, chosen when it is bound. */
  readonly port: number;
}

/** A listener for clients, with what clients are told. */
export interface ListenerConfig extends EndPoint {
  readonly advertisedHost: string;
  /** 0: the port that is bound. */
  readonly advertisedPort: number;
}

/** The texts of the settings about listeners. */
export interface ListenerSettings {
  readonly listeners: readonly string[];
  readonly advertised: readonly string[];
  readonly controllerNames: readonly string[];
  readonly protocolMap: string;
  /** It is a broker. */
  readonly hasClients: boolean;
}

/** What there is about listeners in the settings. */
export function listenerSettings(values: BrokerValues): ListenerSettings {
  return {
    listeners: values.listeners,
    advertised: values["advertised.listeners"],
    controllerNames: values["controller.listener.names"].map((name) => name.toUpperCase()),
    protocolMap: values["listener.security.protocol.map"],
    hasClients: values["process.roles"].includes("broker"),
  };
}

/** They may be listened on, and not be advertised. */
export const WILDCARD_HOSTS: ReadonlySet<string> = new Set(["0.0.0.0", "::", "0:0:0:0:0:0:0:0"]);

/**
 * The listeners for clients (those for controllers left out), each with its advertised address:
 * advertised.listeners, else the listener's own, with this host's name where it names no host.
 * Throws ConfigError as Kafka does; 0.0.0.0 may be bound but not advertised.
 */
export function resolveListeners(
  settings: ListenerSettings,
  hostName: string,
): readonly ListenerConfig[] {
  const endPoints = clientEndPoints(settings);
  const advertised = advertisedEndPoints(settings);
  refuseRepeats("advertised.listeners", advertised, false);
  for (const { name } of advertised) {
    if (settings.controllerNames.includes(name)) continue;
    if (endPoints.some((endPoint) => endPoint.name === name)) continue;
    throw new ConfigError(
      `advertised.listeners names ${name}, which is not among listeners: ` +
        "give it a listener of the same name or take it out",
    );
  }
  return endPoints.map((endPoint) => {
    const told = advertised.find(({ name }) => name === endPoint.name) ?? endPoint;
    if (WILDCARD_HOSTS.has(told.host)) throw notRoutable(told, told === endPoint);
    return {
      ...endPoint,
      advertisedHost: told.host === "" ? hostName : told.host,
      advertisedPort: told.port,
    };
  });
}

/** All of `listeners`, whoever they are for. */
export function allEndPoints(settings: ListenerSettings): readonly EndPoint[] {
  return settings.listeners.map((text) => parse("listeners", text));
}

/** All of `advertised.listeners`. */
export function advertisedEndPoints(settings: ListenerSettings): readonly EndPoint[] {
  return settings.advertised.map((text) => parse("advertised.listeners", text));
}

/** Those of the listeners that a lone node does not open. */
export function controllerEndPoints(settings: ListenerSettings): readonly EndPoint[] {
  return allEndPoints(settings).filter(({ name }) => settings.controllerNames.includes(name));
}

/** The security protocol of the listener; null: it has none. Throws ConfigError. */
export function protocolOf(protocolMap: string, listenerName: string): string | null {
  return parseProtocolMap(protocolMap).get(listenerName) ?? null;
}

function clientEndPoints(settings: ListenerSettings): readonly EndPoint[] {
  const all = allEndPoints(settings);
  refuseRepeats("listeners", all, true);
  const protocols = parseProtocolMap(settings.protocolMap);
  const endPoints = all.filter(({ name }) => !settings.controllerNames.includes(name));
  if (!settings.hasClients) return endPoints;
  if (endPoints.length === 0) {
    throw new ConfigError(
      "listeners has none for clients: add one, as listeners=PLAINTEXT://127.0.0.1:9092",
    );
  }
  for (const { name } of endPoints) {
    const protocol = protocols.get(name);
    if (protocol === undefined) {
      throw new ConfigError(
        `listeners names ${name}, which has no security protocol: ` +
          `add ${name}:PLAINTEXT to listener.security.protocol.map`,
      );
    }
    if (protocol !== "PLAINTEXT") {
      throw new ConfigError(
        `listener ${name} asks for ${protocol}, which is not supported yet: ` +
          `use PLAINTEXT (listener.security.protocol.map has ${name}:${protocol})`,
      );
    }
  }
  return endPoints;
}

function parseProtocolMap(text: string): ReadonlyMap<string, string> {
  const known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
  return new Map(
    splitList(text).map((item) => {
      const match = /^([^:\s]+)\s*:\s*([A-Za-z_]+)$/.exec(item);
      const name = match?.[1]?.toUpperCase();
      const protocol = match?.[2]?.toUpperCase();
      if (name === undefined || protocol === undefined || !known.includes(protocol)) {
        throw new ConfigError(
          `listener.security.protocol.map has "${item}": ` +
            `must be NAME:PROTOCOL with one of ${known.join(", ")}`,
        );
      }
      return [name, protocol];
    }),
  );
}

function parse(key: string, text: string): EndPoint {
  const match = /^([A-Za-z0-9_.-]+):\/\/(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]*)):(\d{1,5})$/.exec(text);
  const name = match?.[1];
  const port = Number(match?.[4]);
  if (name === undefined || !(port <= 65535)) {
    throw new ConfigError(
      `${key} has "${text}": must be NAME://host:port, as PLAINTEXT://127.0.0.1:9092`,
    );
  }
  return { name: name.toUpperCase(), host: match?.[2] ?? match?.[3] ?? "", port };
}

function refuseRepeats(key: string, endPoints: readonly EndPoint[], withPorts: boolean): void {
  const names = endPoints.map(({ name }) => name);
  const name = names.find((item, index) => names.indexOf(item) !== index);
  if (name !== undefined) throw new ConfigError(`${key} has the name ${name} twice`);
  if (!withPorts) return;
  const places = endPoints
    .filter(({ port }) => port !== 0)
    .map(({ host, port }) => `${host}:${port}`);
  const place = places.find((item, index) => places.indexOf(item) !== index);
  if (place !== undefined) throw new ConfigError(`${key} has ${place} twice`);
}

function notRoutable(endPoint: EndPoint, isOwn: boolean): ConfigError {
  const wayOut = `advertised.listeners=${endPoint.name}://<a name that clients can reach>:${endPoint.port}`;
  return new ConfigError(
    isOwn
      ? `listeners has ${endPoint.name}://${endPoint.host}:${endPoint.port}, and clients cannot be ` +
          `told ${endPoint.host}: set ${wayOut}`
      : `advertised.listeners has ${endPoint.host}, which clients cannot reach: set ${wayOut}`,
  );
}
