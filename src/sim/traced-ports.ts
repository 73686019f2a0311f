import type { Clock } from "../base/clock.ts";
import type { Disk, DiskFile } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { Connection, Net } from "../base/net.ts";
import type { Offload } from "../base/offload.ts";
import type { Ports } from "../base/ports.ts";
import type { Random } from "../base/random.ts";
import type { Trace, TraceValue } from "./trace.ts";
import { tracedOpenRpc } from "./traced-rpc.ts";

/** The same ports, with every call, result and event told to the trace. */
export function traced(ports: Ports, trace: Trace): Ports {
  return {
    clock: tracedClock(ports.clock, trace),
    disk: tracedDisk(ports.disk, trace),
    net: tracedNet(ports.net, trace),
    random: tracedRandom(ports.random, trace),
    offload: tracedOffload(ports.offload, trace),
    logger: tracedLogger(ports.logger, trace),
    openRpc: tracedOpenRpc(ports.openRpc, trace),
  };
}

function tracedClock(clock: Clock, trace: Trace): Clock {
  return {
    nowMs: () => told(trace, "nowMs", clock.nowMs()),
    wallMs: () => told(trace, "wallMs", clock.wallMs()),
    after: (delayMs, callback) => {
      trace.add("after", delayMs);
      const timer = clock.after(delayMs, () => {
        trace.add("timer", delayMs);
        callback();
      });
      return {
        cancel: () => {
          trace.add("cancel", delayMs);
          timer.cancel();
        },
      };
    },
    afterPoll: (callback) => {
      trace.add("afterPoll");
      clock.afterPoll(() => {
        trace.add("polled");
        callback();
      });
    },
  };
}

function tracedDisk(disk: Disk, trace: Trace): Disk {
  return {
    open: async (path, options) => {
      const { create, truncate } = options ?? {};
      const file = await toldLater(
        trace,
        () => disk.open(path, options),
        "open",
        path,
        create,
        truncate,
      );
      return tracedFile(file, trace);
    },
    rename: (from, to) => toldLater(trace, () => disk.rename(from, to), "rename", from, to),
    remove: (path) => toldLater(trace, () => disk.remove(path), "remove", path),
    mkdir: (path) => toldLater(trace, () => disk.mkdir(path), "mkdir", path),
    list: async (path) => {
      const names = await toldLater(trace, () => disk.list(path), "list", path);
      trace.add("names", ...names);
      return names;
    },
    syncDir: (path) => toldLater(trace, () => disk.syncDir(path), "syncDir", path),
    statfs: async (path) => {
      const space = await toldLater(trace, () => disk.statfs(path), "statfs", path);
      trace.add("space", space.totalBytes, space.usableBytes);
      return space;
    },
    lock: async (directory) => {
      const lock = await toldLater(trace, () => disk.lock(directory), "lock", directory);
      return { release: () => toldLater(trace, () => lock.release(), "release", directory) };
    },
  };
}

function tracedFile(file: DiskFile, trace: Trace): DiskFile {
  const { path } = file;
  return {
    path,
    read: async (target, position) => {
      const bytes = await toldLater(
        trace,
        () => file.read(target, position),
        "read",
        path,
        position,
      );
      trace.add("bytes", target.subarray(0, bytes));
      return bytes;
    },
    writev: (buffers, position) =>
      toldLater(trace, () => file.writev(buffers, position), "writev", path, position, ...buffers),
    datasync: () => toldLater(trace, () => file.datasync(), "datasync", path),
    truncate: (length) => toldLater(trace, () => file.truncate(length), "truncate", path, length),
    size: () => toldLater(trace, () => file.size(), "size", path),
    close: () => toldLater(trace, () => file.close(), "close", path),
  };
}

function tracedNet(net: Net, trace: Trace): Net {
  return {
    listen: async (address, onConnection) => {
      const start = () =>
        net.listen(address, (connection) => {
          trace.add("connection", connection.remotePort, connection.localPort);
          onConnection(tracedConnection(connection, trace));
        });
      const listener = await toldLater(trace, start, "listen", address.host, address.port);
      trace.add("bound", listener.port);
      return {
        host: listener.host,
        port: listener.port,
        close: () => toldLater(trace, () => listener.close(), "unlisten", listener.port),
      };
    },
  };
}

function tracedConnection(connection: Connection, trace: Trace): Connection {
  const { remoteAddress, remotePort, localAddress, localPort } = connection;
  return {
    remoteAddress,
    remotePort,
    localAddress,
    localPort,
    get queuedBytes() {
      return told(trace, "queued", connection.queuedBytes);
    },
    listen: (listener) => {
      trace.add("listening", remotePort);
      connection.listen({
        ...(listener.readTarget === undefined
          ? {}
          : { readTarget: listener.readTarget.bind(listener) }),
        onData: (chunk) => {
          trace.add("data", remotePort, chunk);
          listener.onData(chunk);
        },
        onDrain: () => {
          trace.add("drain", remotePort);
          listener.onDrain();
        },
        onEnd: () => {
          trace.add("ended", remotePort);
          listener.onEnd();
        },
        onClose: (error) => {
          trace.add("closed", remotePort, error?.message);
          listener.onClose(error);
        },
      });
    },
    write: (buffers, onSent) => {
      trace.add("write", remotePort, ...buffers);
      return told(trace, "written", connection.write(buffers, onSent));
    },
    pause: () => {
      trace.add("pause", remotePort);
      connection.pause();
    },
    resume: () => {
      trace.add("resume", remotePort);
      connection.resume();
    },
    end: () => {
      trace.add("end", remotePort);
      connection.end();
    },
    destroy: () => {
      trace.add("destroy", remotePort);
      connection.destroy();
    },
  };
}

function tracedRandom(random: Random, trace: Trace): Random {
  return {
    uint32: () => told(trace, "uint32", random.uint32()),
    bytes: (length) => {
      const bytes = random.bytes(length);
      trace.add("random", bytes);
      return bytes;
    },
    fork: (name) => {
      trace.add("fork", name);
      return tracedRandom(random.fork(name), trace);
    },
  };
}

function tracedOffload(offload: Offload, trace: Trace): Offload {
  return {
    inflate: async (type, bytes, maxBytes) => {
      const inflate = () => offload.inflate(type, bytes, maxBytes);
      const inflated = await toldLater(trace, inflate, "inflate", type, bytes, maxBytes);
      trace.add("inflated", inflated);
      return inflated;
    },
    deflate: async (type, bytes, level) => {
      const deflate = () => offload.deflate(type, bytes, level);
      const deflated = await toldLater(trace, deflate, "deflate", type, bytes, level ?? "default");
      trace.add("deflated", deflated);
      return deflated;
    },
  };
}

/** What is logged is told by its sentence: facts may hold errors, whose stacks name this machine. */
function tracedLogger(logger: Logger, trace: Trace): Logger {
  const tell =
    (level: "debug" | "info" | "warn" | "error" | "fatal") =>
    (facts: object, message: string): void => {
      trace.add("log", level, message);
      logger[level](facts, message);
    };
  return {
    debug: tell("debug"),
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
    fatal: tell("fatal"),
    child: (facts) => tracedLogger(logger.child(facts), trace),
  };
}

function told<T extends TraceValue>(trace: Trace, name: string, value: T): T {
  trace.add(name, value);
  return value;
}

/** Tells of a call when it is made, and of its outcome when that comes. */
async function toldLater<T>(
  trace: Trace,
  call: () => Promise<T>,
  name: string,
  ...values: readonly TraceValue[]
): Promise<T> {
  trace.add(name, ...values);
  try {
    const result = await call();
    trace.add(`${name} done`, values[0], typeof result === "number" ? result : null);
    return result;
  } catch (error) {
    trace.add(`${name} failed`, values[0], error instanceof Error ? error.message : String(error));
    throw error;
  }
}
