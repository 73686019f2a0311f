import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, test } from "vitest";

/** The house rules that are about files as a whole; eslint.config.js says the rest to the editor. */

const LAYERS: Record<string, readonly string[]> = {
  base: ["base"],
  protocol: ["base", "protocol"],
  storage: ["base", "protocol", "storage"],
  raft: ["base", "protocol", "storage", "raft"],
  replica: ["base", "protocol", "storage", "replica"],
  server: ["base", "protocol", "storage", "raft", "replica", "server"],
  sim: ["base", "protocol", "storage", "raft", "replica", "server", "sim"],
};

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name): SourceFile => {
    const path = join("src", name);
    const text = readFileSync(path, "utf8");
    return { path, text, imports: importsOf(text) };
  });

function importsOf(text: string): string[] {
  const pattern = /(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+|\brequire\(\s*)"([^"]+)"/gm;
  return [...text.matchAll(pattern)].map((match) => match[1]!);
}

function layerOf(path: string): string {
  return relative("src", path).split("/")[0]!;
}

/** Which files may import a Node module that reaches outside the process (design.md, sections 1 and 2). */
const DOORS: readonly { readonly module: RegExp; readonly files: RegExp }[] = [
  {
    module: /^(node:)?fs(\/promises)?$/,
    files: /^src\/(storage\/node-disk\.ts|server\/(config|main)[a-z-]*\.ts)$/,
  },
  {
    module: /^(node:)?(net|tls)$/,
    files: /^src\/(server\/net\/|storage\/(node-disk|.*lock)\.ts)/,
  },
  { module: /^(node:)?(timers|timers\/promises)$/, files: /^src\/base\/clock\.ts$/ },
  { module: /^(node:)?zlib$/, files: /^src\/(protocol\/records\/compression|server\/offload)/ },
  { module: /^(node:)?(worker_threads|child_process|cluster|dgram|http|https)$/, files: /^$/ },
  { module: /^@grpc\//, files: /\/grpc-[a-z-]+\.ts$/ },
];

describe("tidy", () => {
  test("imports point one way through the layers", () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => layerOf(normalize(join(dirname(file.path), specifier))))
        .filter((target) => target in LAYERS && layerOf(file.path) in LAYERS)
        .filter((target) => !LAYERS[layerOf(file.path)]!.includes(target))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test("files, sockets, timers and threads are reached only through their doors", () => {
    const wrong = files.flatMap((file) =>
      file.imports.flatMap((specifier) =>
        DOORS.filter((door) => door.module.test(specifier) && !door.files.test(file.path)).map(
          () => `${file.path} imports ${specifier}`,
        ),
      ),
    );
    expect(wrong).toEqual([]);
  });

  test("raft/core and pure files of replica hold neither async code nor I/O", () => {
    const pure = files.filter((file) =>
      /^src\/(raft\/core\/|replica\/high-watermark\.ts)/.test(file.path),
    );
    const wrong = pure.filter((file) => /\basync\b|\bawait\b|\bPromise\b/.test(file.text));
    expect(pure.length).toBeGreaterThan(0);
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test("relative imports name the .ts file", () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith(".") && !specifier.endsWith(".ts"))
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  test("every package that is imported is a declared dependency", () => {
    const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
      dependencies: Record<string, string>;
    };
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
        .map((specifier) => /^(@[^/]+\/[^/]+|[^/]+)/.exec(specifier)![0])
        .filter((name) => !(name in manifest.dependencies))
        .map((name) => `${file.path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test("there is no leftover marker of unfinished work without an issue", () => {
    const wrong = files.filter((file) => /\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))/.test(file.text));
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test("every folder of the source tree says in at most 40 lines what it is for", () => {
    const folders = Object.keys(LAYERS).filter((folder) =>
      files.some((file) => layerOf(file.path) === folder),
    );
    const lengths = folders.map((folder) => ({
      folder,
      lines: readFileSync(join("src", folder, "README.md"), "utf8")
        .trimEnd()
        .split("\n").length,
    }));
    expect(lengths.filter(({ lines }) => lines > 40)).toEqual([]);
  });

  test("the lock file names no registry and no dependency runs a script on installation", () => {
    const lock = readFileSync("package-lock.json", "utf8");
    expect(lock).not.toContain('"resolved"');
    const packages = (
      JSON.parse(lock) as {
        packages: Record<string, { hasInstallScript?: boolean; dev?: boolean; optional?: boolean }>;
      }
    ).packages;
    const scripted = Object.entries(packages)
      .filter(([, entry]) => entry.hasInstallScript === true && entry.dev !== true)
      .map(([name]) => name);
    expect(scripted).toEqual([]);
  });

  test("every path that the map names exists", () => {
    const page = readFileSync("docs/architecture.md", "utf8");
    const paths = [...page.matchAll(/`((?:src|test|docs|config|bin)\/[^`\s]+)`/g)].map(
      (match) => match[1]!,
    );
    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !existsSync(path))).toEqual([]);
  });

  test("no page and no script of ours names a place outside the repository", () => {
    const roots = ["docs", "bin", "config", "examples", ".ci", "README.md", "CONTRIBUTING.md"];
    const listed = roots.flatMap((root) =>
      root.includes(".md")
        ? [root]
        : readdirSync(root, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => join(entry.parentPath, entry.name)),
    );
    const wrong = [...listed, ...files.map((file) => file.path)].filter((path) =>
      /\.\.\/shared\b|\/work\/main/.test(readFileSync(path, "utf8")),
    );
    expect(wrong).toEqual([]);
  });
});
