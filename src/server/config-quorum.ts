import { must } from "../base/assert.ts";
import { ConfigError } from "./config-error.ts";
import type { BrokerValues } from "./config-keys.ts";
import { TLS_KEYS } from "./config-keys-quorum.ts";
import {
  advertisedEndPoints,
  allEndPoints,
  controllerEndPoints,
  type ListenerConfig,
  listenerSettings,
  protocolOf,
  resolveListeners,
  WILDCARD_HOSTS,
} from "./config-listeners.ts";
import type { Setting } from "./config-properties.ts";

/** A controller that votes, and where it is reached. */
export interface VoterAddress {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

type Address = Omit<VoterAddress, "nodeId">;

const THIS_MACHINE: readonly string[] = ["localhost", "127.0.0.1", "::1"];

/** controller.quorum.voters. Throws ConfigError. */
export function votersOf(values: BrokerValues): readonly VoterAddress[] {
  const key = "controller.quorum.voters";
  const voters = values[key].map((text) => {
    const [, id = "", place = ""] = /^(\d{1,10})@(.*)$/.exec(text) ?? [];
    const address = parseAddress(place);
    if (id === "" || address === null) {
      throw new ConfigError(`${key} has "${text}": must be id@host:port, as 1@localhost:9093`);
    }
    return { nodeId: Number(id), ...address };
  });
  const ids = voters.map(({ nodeId }) => nodeId);
  const repeated = ids.find((id, index) => ids.indexOf(id) !== index);
  if (repeated !== undefined) throw new ConfigError(`${key} has the id ${repeated} twice`);
  return voters;
}

/** controller.quorum.bootstrap.servers. Throws ConfigError. */
export function bootstrapOf(values: BrokerValues): readonly Address[] {
  const key = "controller.quorum.bootstrap.servers";
  return values[key].map((text) => {
    const address = parseAddress(text);
    if (address !== null) return address;
    throw new ConfigError(`${key} has "${text}": must be host:port, as localhost:9093`);
  });
}

/**
 * Whether this node is the whole cluster: it is broker and controller, and neither a voter nor a bootstrap
 * server is another node.
 */
export function isLoneNode(values: BrokerValues, hostName: string): boolean {
  const nodeId = values["node.id"];
  return (
    isController(values) &&
    isBroker(values) &&
    votersOf(values).every((voter) => voter.nodeId === nodeId) &&
    bootstrapOf(values).every((address) => isOwn(values, address, hostName))
  );
}

export function isBroker(values: BrokerValues): boolean {
  return values["process.roles"].includes("broker");
}

export function isController(values: BrokerValues): boolean {
  return values["process.roles"].includes("controller");
}

/**
 * Where other nodes reach this one: its first listener for controllers or, where it is none, what
 * holdfast.peer.listener says. Throws ConfigError.
 */
export function peerListenerOf(values: BrokerValues, hostName: string): ListenerConfig {
  if (isController(values)) return controllerListener(values, hostName);
  const text = values["holdfast.peer.listener"];
  const brokers = interBrokerListener(values, hostName);
  const { host, advertisedHost } = brokers;
  if (text === null) return { name: "PEER", host, port: 0, advertisedHost, advertisedPort: 0 };
  const address = parseAddress(text, true);
  if (address === null) {
    throw new ConfigError(`holdfast.peer.listener=${text}: must be host:port, as 10.0.0.7:9094`);
  }
  const isAnywhere = address.host === "" || WILDCARD_HOSTS.has(address.host);
  return {
    name: "PEER",
    ...address,
    advertisedHost: isAnywhere ? advertisedHost : address.host,
    advertisedPort: address.port,
  };
}

/** Whether nodes speak TLS to each other. */
export function hasPeerTls(values: BrokerValues): boolean {
  const { controllerNames, protocolMap } = listenerSettings(values);
  const [name] = controllerNames;
  return name !== undefined && protocolOf(protocolMap, name) === "SSL";
}

/** Refuses settings by which several nodes could not find each other. Throws ConfigError. */
export function checkQuorum(
  values: BrokerValues,
  given: ReadonlyMap<string, Setting>,
  hostName: string,
): void {
  const voters = votersOf(values);
  const bootstrap = bootstrapOf(values);
  refuseUnusedTls(values, given);
  if (isLoneNode(values, hostName)) return;
  if (voters.length + bootstrap.length === 0) {
    throw new ConfigError(
      `process.roles=${values["process.roles"].join(",")}: other nodes are needed, so say where ` +
        "controllers are: controller.quorum.voters=1@host:9093,… or controller.quorum.bootstrap.servers",
    );
  }
  checkRoles(values, voters);
  checkTimes(values);
  peerListenerOf(values, hostName);
}

function checkRoles(values: BrokerValues, voters: readonly VoterAddress[]): void {
  const nodeId = values["node.id"];
  const roles = values["process.roles"].join(",");
  const settings = listenerSettings(values);
  const isVoter = voters.some((voter) => voter.nodeId === nodeId);
  const [name] = settings.controllerNames;
  if (name === undefined) {
    throw new ConfigError(
      "controller.listener.names is empty: name the listener by which controllers are reached, " +
        "as controller.listener.names=CONTROLLER",
    );
  }
  checkProtocol(settings.protocolMap, name);
  if (isController(values) && voters.length > 0 && !isVoter) {
    throw new ConfigError(
      `process.roles=${roles}: node.id=${nodeId} must be among controller.quorum.voters=` +
        values["controller.quorum.voters"].join(","),
    );
  }
  if (!isController(values) && isVoter) {
    throw new ConfigError(
      `process.roles=${roles}: node.id=${nodeId} must not be among controller.quorum.voters=` +
        values["controller.quorum.voters"].join(","),
    );
  }
  checkListeners(values);
}

function checkProtocol(protocolMap: string, name: string): void {
  const protocol = protocolOf(protocolMap, name);
  if (protocol === "PLAINTEXT" || protocol === "SSL") return;
  const problem = protocol === null ? "has no security protocol" : `asks for ${protocol}`;
  throw new ConfigError(
    `listener ${name} for controllers ${problem}: ` +
      `add ${name}:PLAINTEXT or ${name}:SSL to listener.security.protocol.map`,
  );
}

function checkListeners(values: BrokerValues): void {
  const roles = values["process.roles"].join(",");
  const settings = listenerSettings(values);
  const { controllerNames } = settings;
  const endPoints = allEndPoints(settings);
  const ofControllers = controllerEndPoints(settings);
  const text = endPoints.map(({ name }) => name).join(",");
  if (!isController(values) && ofControllers.length > 0) {
    throw new ConfigError(
      `process.roles=${roles}: listeners (${text}) must have none of controller.listener.names`,
    );
  }
  if (isController(values) && ofControllers.length === 0) {
    throw new ConfigError(
      `process.roles=${roles}: listeners (${text}) must have one of ` +
        `controller.listener.names=${controllerNames.join(",")}`,
    );
  }
  if (!isBroker(values) && ofControllers.length < endPoints.length) {
    throw new ConfigError(
      `process.roles=${roles}: listeners (${text}) must have none but those of controller.listener.names`,
    );
  }
  if (isController(values) && values["holdfast.peer.listener"] !== null) {
    throw new ConfigError(
      "holdfast.peer.listener is for nodes that are no controllers: take it out, as others reach " +
        "this one by its listener for controllers",
    );
  }
}

function checkTimes(values: BrokerValues): void {
  const beatMs = values["broker.heartbeat.interval.ms"];
  const sessionMs = values["broker.session.timeout.ms"];
  if (beatMs < sessionMs) return;
  throw new ConfigError(
    `broker.heartbeat.interval.ms=${beatMs} must be below broker.session.timeout.ms=${sessionMs}`,
  );
}

/** As all settings of security: what has no effect here is refused rather than passed over. */
function refuseUnusedTls(values: BrokerValues, given: ReadonlyMap<string, Setting>): void {
  if (hasPeerTls(values)) return;
  for (const [key, spec] of Object.entries(TLS_KEYS)) {
    const setting = given.get(key);
    if (setting === undefined || isOff(setting.value, spec.defaultText)) continue;
    throw new ConfigError(
      `${key} (${setting.where}) is supported only between nodes so far: take it out, or make the ` +
        "listener for controllers SSL",
    );
  }
}

function isOff(text: string, defaultText: string | null): boolean {
  return ["", "false", "0", defaultText].includes(text);
}

function controllerListener(values: BrokerValues, hostName: string): ListenerConfig {
  const settings = listenerSettings(values);
  const listener = must(controllerEndPoints(settings)[0], "a controller listens for others");
  const told =
    advertisedEndPoints(settings).find(({ name }) => name === listener.name) ??
    votersOf(values).find(({ nodeId }) => nodeId === values["node.id"]) ??
    listener;
  if (WILDCARD_HOSTS.has(told.host)) {
    throw new ConfigError(
      `listener ${listener.name} is open at every address, and other nodes cannot be told ` +
        `${told.host}: set advertised.listeners=${listener.name}://<a name that they can reach>:${told.port}`,
    );
  }
  const advertisedHost = told.host === "" ? hostName : told.host;
  return { ...listener, advertisedHost, advertisedPort: told.port };
}

function interBrokerListener(values: BrokerValues, hostName: string): ListenerConfig {
  const listeners = resolveListeners(listenerSettings(values), hostName);
  const wanted = values["inter.broker.listener.name"]?.toUpperCase();
  const found = listeners.find(({ name }) => wanted === undefined || name === wanted);
  if (found !== undefined) return found;
  throw new ConfigError(
    `inter.broker.listener.name=${wanted ?? ""} must be among listeners, and not for controllers`,
  );
}

function isOwn(values: BrokerValues, address: Address, hostName: string): boolean {
  const settings = listenerSettings(values);
  const own = controllerEndPoints(settings);
  const named = [...own, ...advertisedEndPoints(settings)].map(({ host }) => host);
  const isHere = [hostName, ...THIS_MACHINE, ...named].includes(address.host);
  // Without a listener for controllers nobody else can have this node for one.
  return isHere && (own.length === 0 || own.some(({ port }) => port === address.port));
}

function parseAddress(text: string, mayBeAnywhere = false): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]@\s]*)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) return null;
  if (!mayBeAnywhere && (host === "" || port === 0)) return null;
  return { host, port };
}
