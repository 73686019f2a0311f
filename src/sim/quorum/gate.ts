import type { Clock } from "../../base/clock.ts";
import type { Disk, DiskFile } from "../../base/disk.ts";
import type { Connection, ConnectionListener, Net } from "../../base/net.ts";
import type { Ports } from "../../base/ports.ts";
import type { Rpc, RpcService, RpcStream, RpcStreamListener } from "../../base/rpc.ts";
import type { SimClock } from "../sim-clock.ts";

/** What reaches a process: while it is shut the process stands still, and all comes late, in its order. */
export class Gate {
  readonly #clock: SimClock;
  #waiting: (() => void)[] = [];
  #isShut = false;
  #isDead = false;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  get isShut(): boolean {
    return this.#isShut;
  }

  /** SIGSTOP, or a loop that is busy. */
  shut(): void {
    this.#isShut = true;
  }

  /** SIGCONT: each event that waits has its own turn. */
  open(): void {
    this.#isShut = false;
    this.#passOne();
  }

  kill(): void {
    this.#isDead = true;
    this.#waiting = [];
  }

  readonly pass = (event: () => void): void => {
    if (this.#isDead) return;
    if (this.#isShut || this.#waiting.length > 0) this.#waiting.push(event);
    else event();
  };

  readonly later = <T>(promise: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      promise.then(
        (value) => this.pass(() => resolve(value)),
        (error: unknown) =>
          this.pass(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });

  #passOne(): void {
    if (this.#isShut || this.#isDead || this.#waiting.length === 0) return;
    this.#clock.schedule("io", 0, () => {
      if (this.#isShut || this.#isDead) return;
      const event = this.#waiting.shift();
      event?.();
      this.#passOne();
    });
  }
}

/** The ports of a process that can be made to stand still, and whose wall clock may be wrong. */
export function gated(ports: Ports, gate: Gate, wallOffsetMs: () => number): Ports {
  return {
    ...ports,
    clock: gatedClock(ports.clock, gate, wallOffsetMs),
    disk: gatedDisk(ports.disk, gate),
    net: gatedNet(ports.net, gate),
    openRpc: async (options) => gatedRpc(await ports.openRpc(options), gate),
  };
}

function gatedClock(clock: Clock, { pass }: Gate, wallOffsetMs: () => number): Clock {
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs() + wallOffsetMs(),
    after: (delayMs, callback) => {
      let isCancelled = false;
      const timer = clock.after(delayMs, () =>
        pass(() => {
          if (!isCancelled) callback();
        }),
      );
      return {
        cancel: () => {
          isCancelled = true;
          timer.cancel();
        },
      };
    },
    afterPoll: (callback) => clock.afterPoll(() => pass(callback)),
  };
}

function gatedDisk(disk: Disk, { later }: Gate): Disk {
  return {
    open: async (path, options) => gatedFile(await later(disk.open(path, options)), later),
    rename: (from, to) => later(disk.rename(from, to)),
    remove: (path) => later(disk.remove(path)),
    mkdir: (path) => later(disk.mkdir(path)),
    list: (path) => later(disk.list(path)),
    syncDir: (path) => later(disk.syncDir(path)),
    statfs: (path) => later(disk.statfs(path)),
    lock: async (directory) => {
      const lock = await later(disk.lock(directory));
      return { release: () => later(lock.release()) };
    },
  };
}

function gatedFile(file: DiskFile, later: Gate["later"]): DiskFile {
  return {
    path: file.path,
    read: (target, position) => later(file.read(target, position)),
    writev: (buffers, position) => later(file.writev(buffers, position)),
    datasync: () => later(file.datasync()),
    truncate: (length) => later(file.truncate(length)),
    size: () => later(file.size()),
    close: () => later(file.close()),
  };
}

function gatedNet(net: Net, { pass, later }: Gate): Net {
  return {
    listen: (address, onConnection) =>
      later(
        net.listen(address, (connection) => {
          const gate = connectionGate(connection, pass);
          pass(() => onConnection(gate));
        }),
      ),
  };
}

/** What comes before the process has looked at the connection waits as well. */
function connectionGate(connection: Connection, pass: Gate["pass"]): Connection {
  let told: ConnectionListener | null = null;
  connection.listen({
    onData: (chunk) => {
      const bytes = Buffer.from(chunk);
      pass(() => deliver(told, bytes));
    },
    onDrain: () => pass(() => told?.onDrain()),
    onEnd: () => pass(() => told?.onEnd()),
    onClose: (error) => pass(() => told?.onClose(error)),
  });
  const { remoteAddress, remotePort, localAddress, localPort } = connection;
  return {
    ...{ remoteAddress, remotePort, localAddress, localPort },
    get queuedBytes() {
      return connection.queuedBytes;
    },
    listen: (listener) => void (told = listener),
    write: (buffers, onSent) => connection.write(buffers, onSent),
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    end: () => connection.end(),
    destroy: () => connection.destroy(),
  };
}

/** Into the listener's own memory, as the kernel does. */
function deliver(listener: ConnectionListener | null, bytes: Buffer): void {
  if (listener === null) return;
  if (listener.readTarget === undefined) {
    listener.onData(bytes);
    return;
  }
  for (let position = 0; position < bytes.length;) {
    const target = listener.readTarget();
    const readBytes = bytes.copy(target, 0, position);
    position += readBytes;
    listener.onData(target.subarray(0, readBytes));
  }
}

function gatedRpc(rpc: Rpc, gate: Gate): Rpc {
  return {
    listen: (address, services) => gate.later(rpc.listen(address, gatedServices(services, gate))),
    open: (address, service, opening, listener) => {
      const one = gatedStream(gate);
      return one.wrap(rpc.open(address, service, opening, one.hear(listener)));
    },
  };
}

/** After `end` and `destroy` nothing is called, nor what has waited since before. */
function gatedStream({ pass }: Gate) {
  let isOver = false;
  const unlessOver = (event: () => void): void =>
    pass(() => {
      if (!isOver) event();
    });
  return {
    hear: (listener: RpcStreamListener): RpcStreamListener => ({
      onOpen: (answer) => unlessOver(() => listener.onOpen?.(answer)),
      onMessage: (message) => unlessOver(() => listener.onMessage(message)),
      ...(listener.onDrain && { onDrain: () => unlessOver(() => listener.onDrain?.()) }),
      onEnd: (end) => unlessOver(() => listener.onEnd(end)),
    }),
    wrap: (stream: RpcStream): RpcStream => ({
      remote: stream.remote,
      get queuedBytes() {
        return stream.queuedBytes;
      },
      send: (message) => stream.send(message),
      end: () => {
        isOver = true;
        stream.end();
      },
      destroy: () => {
        isOver = true;
        stream.destroy();
      },
    }),
  };
}

/** Who is admitted is decided at once, even by a process that stands still: it is the same decision. */
function gatedServices(
  services: ReadonlyMap<string, RpcService>,
  gate: Gate,
): ReadonlyMap<string, RpcService> {
  const gatedService =
    (service: RpcService): RpcService =>
    (opening) => {
      const admission = service(opening);
      if (admission.kind === "rejected") return admission;
      return {
        ...admission,
        onStream: (stream) => {
          const one = gatedStream(gate);
          return one.hear(admission.onStream(one.wrap(stream)));
        },
      };
    };
  return new Map([...services].map(([name, service]) => [name, gatedService(service)]));
}
