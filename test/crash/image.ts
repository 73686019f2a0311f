import { hash } from "node:crypto";
import { must } from "../../src/base/assert.ts";
import { MemoryDisk } from "../../src/sim/memory-disk.ts";
import type { Image } from "./trace.ts";

/** A disk that holds the image, all of it durable. */
export function diskOf(image: Image): MemoryDisk {
  const disk = new MemoryDisk();
  for (const path of image.directories) void disk.mkdir(path);
  for (const [path, content] of image.files) {
    disk.openNow(path, { create: true }).writeNow([content], 0);
  }
  return disk;
}

/** What the disk holds now, as it stays when the disk changes; it held the other image before. */
export function imageOf(disk: MemoryDisk, before: Image): Image {
  const files = new Map<string, Buffer>();
  for (const [path, content] of disk.files()) {
    const known = before.files.get(path);
    // What has not changed keeps its hash.
    files.set(path, known?.equals(content) === true ? known : Buffer.from(content));
  }
  return { files, directories: disk.directories() };
}

/** Texts by the order in which they came: a number that is told apart faster. */
class Numbering {
  readonly #numbers = new Map<string, number>();
  readonly texts: string[] = [];

  of(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.texts.length;
      this.#numbers.set(text, number);
      this.texts.push(text);
    }
    return number;
  }
}

const nameSets = new Numbering();
const contentHashes = new Numbering();
const contentNumbers = new WeakMap<Buffer, number>();

/** The same for equal contents. Buffers of an image do not change, so each is hashed once. */
export function contentNumber(content: Buffer): number {
  let number = contentNumbers.get(content);
  if (number === undefined) {
    number = contentHashes.of(hash("sha1", content, "base64"));
    contentNumbers.set(content, number);
  }
  return number;
}

/** The same for equal names, in whatever order. */
export function nameSetNumber(directories: readonly string[], paths: readonly string[]): number {
  return nameSets.of([...directories.map((path) => `${path}/`), ...paths].sort().join("\n"));
}

/** Equal for equal images, in this process: the names, and the contents in the order of their paths. */
export function keyOf(nameSet: number, contents: readonly number[]): string {
  return `${nameSet}:${contents.join()}`;
}

export function imageKey({ files, directories }: Image): string {
  const paths = [...files.keys()].sort();
  const contents = paths.map((path) => contentNumber(must(files.get(path), "it is one of them")));
  return keyOf(nameSetNumber(directories, paths), contents);
}

/** Over all names and contents; equal for equal images in all processes. */
export function hashOfKey(key: string): string {
  const [nameSet = "", contents = ""] = key.split(":");
  const hashes = contents === "" ? [] : contents.split(",").map(hashNumbered);
  return hash("sha1", [nameSets.texts[Number(nameSet)], ...hashes].join("\n"), "base64");
}

function hashNumbered(number: string): string {
  return must(contentHashes.texts[Number(number)], "it was numbered");
}

/** Names what differs between two images. */
export function imageDifferences(one: Image, other: Image): string[] {
  const paths = new Set([...one.files.keys(), ...other.files.keys()]);
  const files = [...paths].flatMap((path) => {
    const before = one.files.get(path);
    const after = other.files.get(path);
    if (before === undefined) return [`${path} is new`];
    if (after === undefined) return [`${path} is gone`];
    if (before.equals(after)) return [];
    return [`${path} has other content (${before.length} and ${after.length} bytes)`];
  });
  const directories = [...new Set([...one.directories, ...other.directories])]
    .filter((path) => one.directories.includes(path) !== other.directories.includes(path))
    .map((path) => `the directory ${path} is in one of them`);
  return [...files, ...directories];
}
