import { assert, must } from "../../src/base/assert.ts";
import {
  type Change,
  type Image,
  type NodeId,
  nodesOf,
  ROOT,
  type Slot,
  type Sync,
  type TraceEvent,
} from "./trace.ts";
import { contentNumber, keyOf, nameSetNumber } from "./image.ts";

/*
 * What a power cut may leave. The model is the weakest that is sane, over ext4, XFS and btrfs in all
 * their modes; test/crash/README.md says why each line is as it is.
 */

export const PAGE_BYTES = 4096;
const NO_BYTES = Buffer.alloc(0);

/** A value since the event `at`; -1: it was there before. */
interface Version<T> {
  readonly at: number;
  readonly value: T;
}

/** The first version is durable, the others may be. */
type Versions<T> = Version<T>[];

interface FileState {
  readonly lengths: Versions<number>;
  /** Whole pages, zeros behind the end. */
  readonly pages: Map<number, Versions<Buffer>>;
  /** Until the next sync a content is known by the versions that it is made of. */
  syncCount: number;
}

export interface NameChange {
  readonly at: number;
  readonly node: NodeId;
  /** The entries that it sets, all of them or none. */
  readonly sets: readonly { readonly slot: Slot; readonly node: NodeId | null }[];
}

/** All that is not durable, in the order in which choices speak of it. */
export interface Pending {
  readonly names: readonly NameChange[];
  readonly files: readonly PendingFile[];
  /** What lies where when these name changes survive. */
  readonly treeOf: (names: readonly boolean[]) => Tree;
  /** The content that the choice leaves of the file (`contentNumber`). */
  readonly contentOf: (file: PendingFile, choice: FileChoice, tear: Tear | null) => number;
}

/** Directories and files by path. */
export interface Tree {
  readonly directories: readonly string[];
  /** In the order of their paths. */
  readonly files: readonly { readonly path: string; readonly node: NodeId }[];
  readonly nodes: ReadonlySet<NodeId>;
  /** Equal for equal trees. */
  readonly identity: string;
  /** Of the names alone (`nameSetNumber`). */
  readonly nameSet: number;
}

export interface PendingFile {
  readonly node: NodeId;
  readonly lengths: readonly Version<number>[];
  readonly pages: readonly {
    readonly page: number;
    readonly versions: readonly Version<Buffer>[];
  }[];
}

/** Which versions survive; a legal one has a name change only with those that it builds upon. */
export interface Choice {
  readonly names: readonly boolean[];
  readonly files: readonly FileChoice[];
  readonly tear: Tear | null;
}

export interface FileChoice {
  readonly length: number;
  readonly pages: readonly number[];
}

/** A page that was being written: new bytes up to `byte`, old or nobody's bytes behind it. */
export interface Tear {
  readonly file: number;
  readonly page: number;
  readonly byte: number;
  /** Of the bytes that were being written, those in the sector of the cut are nobody's. */
  readonly isGarbled: boolean;
}

const SECTOR_BYTES = 512;

/** Follows a trace and knows what is durable after each event, and what only may be. */
export class PowerModel {
  readonly #files = new Map<NodeId, FileState>();
  readonly #directories = new Map<NodeId, Map<string, NodeId>>([[ROOT, new Map()]]);
  #names: NameChange[] = [];
  readonly #contents = new Map<string, Buffer>();
  /** Of torn contents, which are many: they are made again when they are looked at. */
  readonly #tornContents = new Map<string, number>();
  /** Choices have parts in common. */
  readonly #known = new WeakMap<FileChoice, Map<Tear | null, number>>();
  /** By the name changes that survive. */
  readonly #trees = new Map<string, Tree>();
  /** Files and directories of which a sync has failed. */
  readonly #unsyncable = new Set<NodeId>();

  constructor(base: Image) {
    const nodeOfPath = new Map<string, NodeId>([["", ROOT]]);
    for (const { path, node, content } of nodesOf(base)) {
      nodeOfPath.set(path, node);
      const at = path.lastIndexOf("/");
      const parent = must(nodeOfPath.get(path.slice(0, at)), "a parent comes first");
      must(this.#directories.get(parent), "it is a directory").set(path.slice(at + 1), node);
      if (content === null) this.#directories.set(node, new Map());
      else this.#files.set(node, durableFile(content));
    }
  }

  apply(event: TraceEvent, at: number): void {
    switch (event.kind) {
      case "fact":
        return;
      case "datasync":
        if (!this.#unsyncable.has(event.node)) this.#datasync(event);
        return;
      case "syncDir":
        if (!this.#unsyncable.has(event.node)) this.#syncDir(event);
        return;
      case "failed-sync":
        this.#unsyncable.add(event.node);
        return;
      default:
        this.#change(event, at);
    }
  }

  get pending(): Pending {
    const files: PendingFile[] = [];
    const named = this.#namedNodes();
    for (const [node, { lengths, pages }] of this.#files) {
      if (!named.has(node)) continue;
      const dirty = [...pages].filter(([, versions]) => versions.length > 1);
      if (lengths.length === 1 && dirty.length === 0) continue;
      files.push({ node, lengths, pages: dirty.map(([page, versions]) => ({ page, versions })) });
    }
    const names = this.#names;
    const trees = new WeakMap<readonly boolean[], Tree>();
    const treeOf = (chosen: readonly boolean[]): Tree => {
      const tree = trees.get(chosen) ?? this.#treeOf(names.filter((_, at) => chosen[at] === true));
      trees.set(chosen, tree);
      return tree;
    };
    return { names, files, treeOf, contentOf: (...chosen) => this.#contentOf(...chosen) };
  }

  /** All that a name may lead to. */
  #namedNodes(): ReadonlySet<NodeId | null> {
    const entries = [...this.#directories.values()].flatMap((names) => [...names.values()]);
    const changed = this.#names.flatMap(({ sets }) => sets.map(({ node }) => node));
    return new Set([...entries, ...changed]);
  }

  /** Of the image that the choice leaves (image.ts), which need not be made for it. */
  key(pending: Pending, { names, files: choices, tear }: Choice): string {
    const { files, nameSet } = pending.treeOf(names);
    const numbers = new Map<NodeId, number>();
    for (const [index, file] of pending.files.entries()) {
      const choice = must(choices[index], "there is a choice for each file");
      const ownTear = tear?.file === index ? tear : null;
      numbers.set(file.node, this.#contentOf(file, choice, ownTear));
    }
    return keyOf(
      nameSet,
      files.map(({ node }) => numbers.get(node) ?? contentNumber(this.#durableContent(node))),
    );
  }

  /** What a machine that starts after that cut finds. */
  image(pending: Pending, choice: Choice): Image {
    const { directories, files } = pending.treeOf(choice.names);
    const indexes = new Map(pending.files.map(({ node }, index) => [node, index]));
    const contentOf = (node: NodeId): Buffer => {
      const index = indexes.get(node);
      if (index === undefined) return this.#durableContent(node);
      const file = must(pending.files[index], "it was found");
      const chosen = must(choice.files[index], "there is a choice for each file");
      return this.#content(file, chosen, choice.tear?.file === index ? choice.tear : null);
    };
    const contents = files.map(({ path, node }) => [path, contentOf(node)] as const);
    return { files: new Map(contents), directories };
  }

  /** What the page cache holds when the process dies in a write, after so many of its bytes. */
  imageDuring(write: Extract<Change, { readonly kind: "write" }>, byteCount: number): Image {
    const { pending } = this;
    const image = this.image(pending, newestOf(pending));
    const path = this.#pathIn(pending, write.node);
    const before = path === null ? undefined : image.files.get(path);
    if (path === null || before === undefined) return image;
    const length = Math.max(before.length, write.position + byteCount);
    const content = Buffer.alloc(length);
    before.copy(content);
    write.bytes.copy(content, write.position, 0, byteCount);
    return { ...image, files: new Map(image.files).set(path, content) };
  }

  #change(change: Change, at: number): void {
    switch (change.kind) {
      case "write":
        this.#write(must(this.#files.get(change.node), "a file is written"), change, at);
        return;
      case "truncate":
        this.#truncate(must(this.#files.get(change.node), "a file is cut"), change.length, at);
        return;
      case "link": {
        const { node, to } = change;
        if (change.isDirectory) this.#directories.set(node, new Map());
        else this.#files.set(node, durableFile(NO_BYTES));
        this.#names.push({ at, node, sets: [{ slot: to, node }] });
        return;
      }
      case "move": {
        const { node, from, to } = change;
        const sets = [
          { slot: from, node: null },
          { slot: to, node },
        ];
        this.#names.push({ at, node, sets });
        return;
      }
      case "unlink":
        this.#names.push({
          at,
          node: change.node,
          sets: [{ slot: change.from, node: null }],
        });
    }
  }

  #write(file: FileState, { position, bytes }: { position: number; bytes: Buffer }, at: number) {
    const end = position + bytes.length;
    for (let page = Math.floor(position / PAGE_BYTES); page * PAGE_BYTES < end; page += 1) {
      const versions = versionsOf(file, page);
      const start = page * PAGE_BYTES;
      const value = Buffer.from(latest(versions));
      bytes.copy(value, Math.max(0, position - start), Math.max(0, start - position));
      versions.push({ at, value });
    }
    if (end > latest(file.lengths)) file.lengths.push({ at, value: end });
  }

  #truncate(file: FileState, length: number, at: number): void {
    if (length === latest(file.lengths)) return;
    for (const [page, versions] of file.pages) {
      const keptBytes = Math.max(0, length - page * PAGE_BYTES);
      if (keptBytes >= PAGE_BYTES) continue;
      const value = Buffer.alloc(PAGE_BYTES);
      latest(versions).copy(value, 0, 0, keptBytes);
      versions.push({ at, value });
    }
    file.lengths.push({ at, value: length });
  }

  #datasync({ node, coveredEvents }: Sync): void {
    const file = must(this.#files.get(node), "a file is synced");
    file.syncCount += 1;
    settle(file.lengths, coveredEvents);
    for (const versions of file.pages.values()) settle(versions, coveredEvents);
  }

  #syncDir({ node, coveredEvents }: Sync): void {
    const isDurable = new Set<NameChange>();
    for (const change of this.#names.toReversed()) {
      if (change.at >= coveredEvents) continue;
      const isOwn = change.sets.some(({ slot }) => slot.directory === node);
      const isNeeded = [...isDurable].some((later) => dependsOn(later, change));
      if (isOwn || isNeeded) isDurable.add(change);
    }
    for (const change of this.#names) {
      if (isDurable.has(change)) applyTo(this.#directories, change);
    }
    this.#names = this.#names.filter((change) => !isDurable.has(change));
    this.#trees.clear();
  }

  #treeOf(changes: readonly NameChange[]): Tree {
    const key = changes.map(({ at }) => at).join();
    const tree = this.#trees.get(key) ?? this.#tree(changes);
    this.#trees.set(key, tree);
    return tree;
  }

  #tree(changes: readonly NameChange[]): Tree {
    const names = new Map([...this.#directories].map(([id, entries]) => [id, new Map(entries)]));
    for (const change of changes) applyTo(names, change);
    const files: { path: string; node: NodeId }[] = [];
    const directories: string[] = [];
    const visit = (directory: NodeId, path: string): void => {
      for (const [name, node] of names.get(directory) ?? []) {
        const childPath = `${path}/${name}`;
        if (this.#directories.has(node)) {
          directories.push(childPath);
          visit(node, childPath);
        } else {
          files.push({ path: childPath, node });
        }
      }
    };
    visit(ROOT, "");
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    const nodes = new Set(files.map(({ node }) => node));
    const identity = [...files.map(({ path, node }) => `${path}=${node}`), ...directories]
      .sort()
      .join();
    const nameSet = nameSetNumber(
      directories,
      files.map(({ path }) => path),
    );
    return { directories, files, nodes, identity, nameSet };
  }

  /** Where the process sees the file. */
  #pathIn(pending: Pending, node: NodeId): string | null {
    const { files } = pending.treeOf(newestOf(pending).names);
    return files.find((file) => file.node === node)?.path ?? null;
  }

  #contentOf(file: PendingFile, choice: FileChoice, tear: Tear | null): number {
    let known = this.#known.get(choice);
    if (known === undefined) this.#known.set(choice, (known = new Map<Tear | null, number>()));
    const number = known.get(tear) ?? this.#numberOf(file, choice, tear);
    known.set(tear, number);
    return number;
  }

  #numberOf(file: PendingFile, choice: FileChoice, tear: Tear | null): number {
    if (tear === null) return contentNumber(this.#content(file, choice, null));
    const key = `${this.#contentKey(file, choice)} ${tearKey(file, tear)}`;
    const number = this.#tornContents.get(key) ?? contentNumber(this.#content(file, choice, tear));
    this.#tornContents.set(key, number);
    return number;
  }

  #content(file: PendingFile, choice: FileChoice, tear: Tear | null): Buffer {
    const key = this.#contentKey(file, choice);
    const cached = tear === null ? this.#contents.get(key) : undefined;
    if (cached !== undefined) return cached;
    const state = this.#state(file.node);
    const pages = new Map(file.pages.map(({ page }, at) => [page, choice.pages[at] ?? 0]));
    const content = contentAt(state, choice.length, (page) => pages.get(page) ?? 0);
    if (tear === null) this.#contents.set(key, content);
    else tearPage(content, file, choice, tear);
    return content;
  }

  /** Of a file of which nothing is pending. */
  #durableContent(node: NodeId): Buffer {
    const state = this.#state(node);
    const key = `${node} ${state.syncCount}`;
    const content = this.#contents.get(key) ?? contentAt(state, 0, () => 0);
    this.#contents.set(key, content);
    return content;
  }

  #state(node: NodeId): FileState {
    return must(this.#files.get(node), "a name leads to a file");
  }

  /** Equal for equal contents. */
  #contentKey({ node, lengths, pages }: PendingFile, chosen: FileChoice): string {
    const versions = pages.map(
      ({ page, versions: of }, index) => `${page}:${of[chosen.pages[index] ?? 0]?.at}`,
    );
    const { syncCount } = this.#state(node);
    return `${node} ${syncCount} ${lengths[chosen.length]?.at} ${versions.join(" ")}`;
  }
}

function contentAt(state: FileState, length: number, versionOf: (page: number) => number): Buffer {
  const { value } = must(state.lengths[length], "the length is one of those it had");
  const content = Buffer.alloc(value);
  for (const [page, versions] of state.pages) {
    versions[versionOf(page)]?.value.copy(content, page * PAGE_BYTES);
  }
  return content;
}

function tearKey({ pages }: PendingFile, { page, byte, isGarbled }: Tear): string {
  return `${pages[page]?.page} ${byte} ${isGarbled}`;
}

/** All survives. */
export function newestOf({ names, files }: Pending): Choice {
  return {
    names: names.map(() => true),
    files: files.map(({ lengths, pages }) => ({
      length: lengths.length - 1,
      pages: pages.map(({ versions }) => versions.length - 1),
    })),
    tear: null,
  };
}

/** Whether the later change can be durable only with the earlier one. */
export function dependsOn(later: NameChange, earlier: NameChange): boolean {
  if (later.node === earlier.node) return true;
  return later.sets.some(({ slot, node }) =>
    earlier.sets.some((set) => {
      // A directory is removed when it is empty.
      const isRemoval = later.sets.length === 1 && node === null;
      if (isRemoval && set.slot.directory === later.node) return true;
      if (set.slot.directory !== slot.directory) return false;
      return set.slot.name === slot.name;
    }),
  );
}

function tearPage(content: Buffer, file: PendingFile, chosen: FileChoice, tear: Tear): void {
  const versions = must(file.pages[tear.page], "a dirty page is torn");
  const index = chosen.pages[tear.page] ?? 0;
  assert(index > 0, "a page is torn while it is written");
  const older = must(versions.versions[index - 1], "there is an older one").value;
  const newer = must(versions.versions[index], "there is a newer one").value;
  const start = versions.page * PAGE_BYTES;
  const sectorEnd = (Math.floor(tear.byte / SECTOR_BYTES) + 1) * SECTOR_BYTES;
  for (let at = tear.byte; at < PAGE_BYTES && start + at < content.length; at += 1) {
    const isWritten = newer[at] !== older[at];
    const isGarbage = tear.isGarbled && at < sectorEnd && isWritten;
    content[start + at] = isGarbage ? (newer[at] ?? 0) ^ 0xa5 : (older[at] ?? 0);
  }
}

function durableFile(content: Buffer): FileState {
  const pages = new Map<number, Versions<Buffer>>();
  for (let page = 0; page * PAGE_BYTES < content.length; page += 1) {
    const value = Buffer.alloc(PAGE_BYTES);
    content.copy(value, 0, page * PAGE_BYTES);
    pages.set(page, [{ at: -1, value }]);
  }
  return { lengths: [{ at: -1, value: content.length }], pages, syncCount: 0 };
}

function versionsOf(file: FileState, page: number): Versions<Buffer> {
  let versions = file.pages.get(page);
  if (versions === undefined) {
    versions = [{ at: -1, value: Buffer.alloc(PAGE_BYTES) }];
    file.pages.set(page, versions);
  }
  return versions;
}

function latest<T>(versions: Versions<T>): T {
  return must(versions.at(-1), "there is a version").value;
}

/** The newest version that the sync covers is durable; older ones are not seen again. */
function settle<T>(versions: Versions<T>, coveredEvents: number): void {
  const index = versions.findLastIndex(({ at }) => at < coveredEvents);
  if (index > 0) versions.splice(0, index);
}

function applyTo(directories: Map<NodeId, Map<string, NodeId>>, { sets }: NameChange): void {
  for (const { slot, node } of sets) {
    const names = must(directories.get(slot.directory), "a name is in a directory");
    if (node === null) names.delete(slot.name);
    else names.set(slot.name, node);
  }
}
