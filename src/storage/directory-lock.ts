import net from "node:net";
import { DiskError, type DiskLock, isNotFound } from "../base/disk.ts";
import type { Random } from "../base/random.ts";

/** The owner's socket. A connect that succeeds means a live owner. */
const LOCK_NAME = ".lock";
/** Sockets of those that want to become the owner, each with a name that is never used again. */
const CONTENDER = /^\.lock-[0-9a-f]{16}$/;
/** A contender's socket before it listens. */
const UNBORN = /^\.lock-[0-9a-f]{16}\.new$/;
/** `sun_path` without its final zero byte; libuv cuts what is longer without a word. */
const MAX_SOCKET_PATH_BYTES = 107;
/** How long we wait for another contender that neither wins, yields nor dies (it is stopped). */
const CONTENDER_PATIENCE_MS = 5_000;

/** The file system as the lock needs it; every call is atomic. */
export interface LockFiles {
  list(directory: string): readonly string[];
  rename(from: string, to: string): void;
  /** A missing file is no error. */
  unlink(path: string): void;
  openDirectory(directory: string): number;
  closeDirectory(descriptor: number): void;
}

/**
 * Takes the lock of a directory: a Unix socket, so that it frees itself when its process dies,
 * however it dies, and that it is seen from other containers that mount the directory.
 *
 * A dead owner leaves a stale `.lock`, and replacing it must not let two starters win. So:
 * 1. Each contender listens on a socket of its own and only then gives it a visible name.
 * 2. It looks at all other contenders. If one with a smaller name is alive, it yields; for those
 *    with a greater name that are alive it waits until they have yielded, won or died.
 * 3. It looks at `.lock`. If that is alive, it yields; if not, it renames its own socket over it.
 * Of two contenders at least one sees the other in step 2, since both became visible before they
 * looked, so never two are past step 2 at once; a later one finds the winner in step 3. Waiting goes
 * from smaller to greater names only, so there is no cycle, and the smallest never yields to another
 * contender, so somebody wins. The names of the dead may be removed at any time: none is used twice.
 *
 * Throws DiskError EBUSY while another live process owns the directory, or is taking it.
 */
export async function takeDirectoryLock(
  dependencies: { readonly files: LockFiles; readonly random: Random },
  options: { readonly directory: string; readonly procDirectory: string | null },
): Promise<DiskLock> {
  const { files, random } = dependencies;
  const place = socketPlace(files, options);
  const ownName = `${LOCK_NAME}-${random.bytes(8).toString("hex")}`;
  try {
    const own = await ContenderSocket.open(place, files, ownName);
    try {
      await passContenders(place, files, ownName);
      const owner = await probe(place, LOCK_NAME);
      if (owner === "alive") throw busy(place.directory);
      own.becomeOwner();
      removeDead(files, place.directory, ownName);
      return own;
    } catch (error) {
      await own.release();
      throw error;
    }
  } finally {
    place.close();
  }
}

interface Place {
  readonly directory: string;
  /** A name in the directory as a socket path that is short enough. */
  socketPath(name: string): string;
  close(): void;
}

function socketPlace(
  files: LockFiles,
  options: { readonly directory: string; readonly procDirectory: string | null },
): Place {
  const { directory, procDirectory } = options;
  const longestName = `${LOCK_NAME}-0123456789abcdef.new`;
  if (Buffer.byteLength(`${directory}/${longestName}`) <= MAX_SOCKET_PATH_BYTES) {
    return {
      directory,
      socketPath: (name) => `${directory}/${name}`,
      close: () => undefined,
    };
  }
  if (procDirectory === null) {
    throw new DiskError("ENAMETOOLONG", directory, "lock (the path leaves no room for a socket)");
  }
  const descriptor = files.openDirectory(directory);
  return {
    directory,
    socketPath: (name) => `${procDirectory}/${descriptor}/${name}`,
    close: () => files.closeDirectory(descriptor),
  };
}

/** Our own listening socket: first unseen, then a contender's, then the owner's. */
class ContenderSocket implements DiskLock {
  readonly #server: net.Server;
  readonly #connections: Set<net.Socket>;
  readonly #files: LockFiles;
  readonly #directory: string;
  #name: string;
  #isReleased = false;

  private constructor(
    server: net.Server,
    connections: Set<net.Socket>,
    files: LockFiles,
    directory: string,
    name: string,
  ) {
    this.#server = server;
    this.#connections = connections;
    this.#files = files;
    this.#directory = directory;
    this.#name = name;
  }

  static async open(place: Place, files: LockFiles, name: string): Promise<ContenderSocket> {
    const connections = new Set<net.Socket>();
    const server = net.createServer((connection) => {
      connections.add(connection);
      connection.on("error", () => connection.destroy());
      connection.on("close", () => connections.delete(connection));
      connection.resume();
    });
    // The name appears at bind, before listen: whoever connected in between would think us dead.
    const unborn = `${name}.new`;
    await listening(server, place.socketPath(unborn), place.directory);
    const own = new ContenderSocket(server, connections, files, place.directory, unborn);
    try {
      own.#moveTo(name);
    } catch (error) {
      await own.release();
      // A winner sweeps the sockets of those that were not yet visible.
      throw isNotFound(error) ? busy(place.directory) : error;
    }
    return own;
  }

  becomeOwner(): void {
    this.#moveTo(LOCK_NAME);
    // Those that wait for us look at the owner next.
    for (const connection of this.#connections) connection.destroy();
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (connection) => {
      connection.on("error", () => connection.destroy());
      connection.destroy();
    });
    this.#server.unref();
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    // The name goes first, while it is still certainly ours.
    this.#files.unlink(`${this.#directory}/${this.#name}`);
    for (const connection of this.#connections) connection.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #moveTo(name: string): void {
    this.#files.rename(`${this.#directory}/${this.#name}`, `${this.#directory}/${name}`);
    this.#name = name;
  }
}

function listening(server: net.Server, path: string, directory: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Once we listen, a failed accept (EMFILE) changes nothing: the kernel has answered the connect.
    server.on("error", (error: NodeJS.ErrnoException) => {
      reject(new DiskError(error.code ?? "EIO", directory, "lock", { cause: error }));
    });
    server.listen({ path }, resolve);
  });
}

async function passContenders(place: Place, files: LockFiles, ownName: string): Promise<void> {
  const others = files
    .list(place.directory)
    .filter((name) => CONTENDER.test(name) && name !== ownName)
    .sort();
  for (const name of others) {
    const isSmaller = name < ownName;
    const state = isSmaller ? await probe(place, name) : await outlive(place, name);
    if (state === "alive") throw busy(place.directory);
    if (state === "dead") files.unlink(`${place.directory}/${name}`);
  }
}

type Liveness = "alive" | "dead" | "absent";

/** Whether somebody listens on the socket. In doubt (any other error) it is alive. */
function probe(place: Place, name: string): Promise<Liveness> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: place.socketPath(name) });
    socket.once("connect", () => {
      resolve("alive");
      socket.destroy();
    });
    socket.on("error", (error) => resolve(livenessAfter(error)));
  });
}

/** Waits until the listener has gone; "alive" if it has not in good time. */
function outlive(place: Place, name: string): Promise<Liveness> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: place.socketPath(name) });
    let isConnected = false;
    socket.once("connect", () => {
      isConnected = true;
    });
    socket.on("error", (error) => {
      // A reset after the connect is the end that we wait for.
      if (!isConnected) resolve(livenessAfter(error));
    });
    socket.once("close", () => resolve("absent"));
    socket.setTimeout(CONTENDER_PATIENCE_MS, () => {
      resolve("alive");
      socket.destroy();
    });
    socket.resume();
  });
}

function livenessAfter(error: NodeJS.ErrnoException): Liveness {
  if (error.code === "ENOENT") return "absent";
  return error.code === "ECONNREFUSED" ? "dead" : "alive";
}

/** Sweeps what killed contenders left before they were visible. */
function removeDead(files: LockFiles, directory: string, ownName: string): void {
  for (const name of files.list(directory)) {
    if (UNBORN.test(name) && !name.startsWith(ownName)) files.unlink(`${directory}/${name}`);
  }
}

function busy(directory: string): DiskError {
  return new DiskError("EBUSY", directory, "lock (another process uses the directory)");
}
