import type { Listener } from "../base/net.ts";
import type { Random } from "../base/random.ts";
import type { Rpc, RpcAddress, RpcService, RpcStream, RpcStreamListener } from "../base/rpc.ts";
import type { SimClock } from "./sim-clock.ts";
import { SimLinks } from "./sim-links.ts";
import { NetError } from "./sim-net.ts";
import { type Accepter, SimRpcConnection } from "./sim-rpc-connection.ts";

/** As GrpcRpc has it. */
const MAX_MESSAGE_BYTES = 128 * 1024 * 1024;

interface Dependencies {
  readonly clock: SimClock;
  readonly random: Random;
}

const NO_STREAM: RpcStream = {
  remote: "",
  queuedBytes: 0,
  send: () => undefined,
  end: () => undefined,
  destroy: () => undefined,
};

type Services = ReadonlyMap<string, RpcService>;

/**
 * The way between the nodes of a simulated world. A machine goes by its name, which is the host of its
 * addresses. Messages of a stream keep their order, as over TCP; what the network does to packets shows as
 * delay, and at last as a broken connection.
 */
export class SimRpcNet {
  readonly links: SimLinks;
  readonly #dependencies: Dependencies;
  readonly #maxMessageBytes: number;
  /** By machine and port. */
  readonly #listeners = new Map<string, Accepter>();
  readonly #connections = new Set<SimRpcConnection>();
  readonly #machinesWithoutPower = new Set<string>();
  #nextPort = 40_000;
  #openedCount = 0;

  constructor(dependencies: Dependencies, options: { readonly maxMessageBytes?: number } = {}) {
    this.#dependencies = dependencies;
    this.#maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
    this.links = new SimLinks(dependencies, {
      onCut: (from, to) => this.#eachBetween(from, to, (connection) => connection.onCut(from, to)),
      onMended: () => this.#each((connection) => connection.resume()),
    });
  }

  /** Streams that were opened so far, in vain or not. */
  get openedCount(): number {
    return this.#openedCount;
  }

  /** A process that begins on the machine, which has power then. */
  host(machine: string): SimRpcHost {
    this.#machinesWithoutPower.delete(machine);
    const host: SimRpcHost = new SimRpcHost(machine, {
      bind: (port, services) => this.#bind(host, port, services),
      unbind: (port) => this.#listeners.delete(`${machine}:${port}`),
      onListenerClosed: () => this.#each((connection) => connection.onListenerClosed(host)),
      open: (...call) => this.#open(host, ...call),
      kill: () => this.#each((connection) => connection.onProcessDeath(host)),
      cutPower: () => {
        this.#machinesWithoutPower.add(machine);
        this.#each((connection) => connection.onPowerCut(host));
      },
    });
    return host;
  }

  /** Every connection between the two is reset; what was on its way is gone. */
  breakConnections(a: string, b: string): void {
    this.#eachBetween(a, b, (connection) => connection.break());
  }

  #bind(owner: SimRpcHost, wanted: number, services: Services): number {
    this.#nextPort += 1;
    const port = wanted === 0 ? this.#nextPort : wanted;
    const name = `${owner.machine}:${port}`;
    if (this.#listeners.has(name)) throw new NetError("EADDRINUSE");
    this.#listeners.set(name, { kind: "served", owner, services });
    return port;
  }

  #open(owner: SimRpcHost, ...[address, service, opening, listener]: OpenArguments): RpcStream {
    const hasPower = (machine: string): boolean => !this.#machinesWithoutPower.has(machine);
    const connection: SimRpcConnection = new SimRpcConnection(
      { ...this.#dependencies, links: this.links },
      {
        ...{ owner, address, service, opening, listener, hasPower },
        maxMessageBytes: this.#maxMessageBytes,
        accepter: () => {
          if (!hasPower(address.host)) return { kind: "silent" };
          return this.#listeners.get(`${address.host}:${address.port}`) ?? { kind: "refused" };
        },
        onOver: () => this.#connections.delete(connection),
      },
    );
    this.#openedCount += 1;
    this.#connections.add(connection);
    return connection.opener;
  }

  #eachBetween(a: string, b: string, visit: (connection: SimRpcConnection) => void): void {
    this.#each((connection) => {
      if (connection.isBetween(a, b)) visit(connection);
    });
  }

  #each(visit: (connection: SimRpcConnection) => void): void {
    for (const connection of [...this.#connections]) visit(connection);
  }
}

type OpenArguments = Parameters<Rpc["open"]>;

interface HostPorts {
  bind(port: number, services: Services): number;
  unbind(port: number): void;
  onListenerClosed(): void;
  open: Rpc["open"];
  kill(): void;
  cutPower(): void;
}

/** The Rpc of one process. */
export class SimRpcHost implements Rpc {
  readonly machine: string;
  readonly #ports: HostPorts;
  /** The ports that it listens on. */
  readonly #bound = new Set<number>();
  #isDead = false;

  constructor(machine: string, ports: HostPorts) {
    this.machine = machine;
    this.#ports = ports;
  }

  listen(address: RpcAddress, services: ReadonlyMap<string, RpcService>): Promise<Listener> {
    return new Promise((resolve) => {
      if (this.#isDead) return;
      const port = this.#ports.bind(address.port, services);
      this.#bound.add(port);
      resolve({
        host: address.host,
        port,
        close: () => {
          if (this.#bound.delete(port)) {
            this.#ports.unbind(port);
            this.#ports.onListenerClosed();
          }
          return Promise.resolve();
        },
      });
    });
  }

  open(
    address: RpcAddress,
    service: string,
    opening: Buffer,
    listener: RpcStreamListener,
  ): RpcStream {
    // What a dead process still does in the turn of its death reaches nobody.
    if (this.#isDead) return NO_STREAM;
    return this.#ports.open(address, service, opening, listener);
  }

  /** kill -9: the kernel closes what the process had open, and the others see it at once. */
  kill(): void {
    this.#die();
    this.#ports.kill();
  }

  /** The machine is gone: the others see nothing, until they miss its answers or it has come back. */
  cutPower(): void {
    this.#die();
    this.#ports.cutPower();
  }

  #die(): void {
    this.#isDead = true;
    for (const port of this.#bound) this.#ports.unbind(port);
    this.#bound.clear();
  }
}
