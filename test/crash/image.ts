import { createHash } from "node:crypto";
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

const hashes = new WeakMap<Buffer, string>();

/** Over all names and contents. Buffers of an image do not change, so each is hashed once. */
export function imageHash(image: Image): string {
  const hash = createHash("sha1");
  for (const path of [...image.directories].sort()) hash.update(`${path}/\n`);
  for (const path of [...image.files.keys()].sort()) {
    const content = image.files.get(path) ?? Buffer.alloc(0);
    let contentHash = hashes.get(content);
    if (contentHash === undefined) {
      contentHash = createHash("sha1").update(content).digest("base64");
      hashes.set(content, contentHash);
    }
    hash.update(`${path}\n${contentHash}`);
  }
  return hash.digest("base64");
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
