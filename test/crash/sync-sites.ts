import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import ts from "typescript";

/** A call that makes something durable, by itself or in what it calls. */
export interface SyncSite {
  /** File, function and callee: it stays when lines are added above. */
  readonly id: string;
  /** Turned off, it is not made at all; otherwise it is made, and all syncs in it do nothing. */
  readonly isSkipped: boolean;
}

export interface PlacedSite extends SyncSite {
  readonly path: string;
  readonly line: number;
  readonly start: number;
  readonly end: number;
}

const SYNCS: ReadonlySet<string> = new Set(["datasync", "syncDir"]);

/** Disks themselves: what they do with a sync is what the model is about, and tested beside them. */
const DISKS = /\/(node-disk|faulty-disk|volatile-[a-z]+|directory-lock|call-site|fault-rules)\.ts$/;

/** What only several nodes come by: those are left out in `npm run test:quorum -- --planted`. */
const QUORUM = /\/src\/raft\/(form-quorum|formation-state|snapshot-file|snapshots)\.ts$/;
const QUORUM_SITES: ReadonlySet<string> = new Set(["src/raft/durable-point.ts retreat #replace"]);

/** Functions that share one sync among their callers: each call of them counts, and is left out. */
const SHARED: ReadonlySet<string> = new Set(["DirectorySync.sync"]);

/**
 * Every call of `datasync` and `syncDir` in src/storage and src/raft, and every call of a function
 * that makes one (`replaceFile`, say): the caller decides about durability as well.
 */
export function findSyncSites(root: string): PlacedSite[] {
  const program = openProgram(root);
  const checker = program.getTypeChecker();
  const files = program.getSourceFiles().filter(({ fileName }) => {
    const isOurs = /\/src\/(storage|raft)\//.test(fileName);
    return isOurs && !DISKS.test(fileName) && !QUORUM.test(fileName);
  });
  const helpers = new Set<ts.Node>();
  for (const file of files) {
    forEachCall(file, (call) => {
      const owner = isSync(call) ? ownerOf(call) : null;
      if (owner !== null) helpers.add(owner);
    });
  }
  const counts = new Map<string, number>();
  const sites: PlacedSite[] = [];
  for (const file of files) {
    forEachCall(file, (call) => {
      const declaration = declarationOf(checker, call);
      const isShared = declaration !== null && SHARED.has(nameOf(declaration));
      const isHelped = declaration !== null && helpers.has(declaration);
      const isLeaf = isSync(call) && !isHelped;
      if (!isLeaf && !isShared && !isHelped) return;
      if (declaration !== null && saysNotSynced(declaration, call)) return;
      const line = file.getLineAndCharacterOfPosition(call.expression.getEnd()).line + 1;
      const place = `${relative(root, file.fileName)} ${ownerText(call)} ${calleeText(call)}`;
      const count = (counts.get(place) ?? 0) + 1;
      counts.set(place, count);
      const id = count === 1 ? place : `${place} (${count})`;
      if (QUORUM_SITES.has(id)) return;
      const range = { start: call.getStart(), end: call.getEnd() };
      sites.push({ id, isSkipped: isLeaf || isShared, path: file.fileName, line, ...range });
    });
  }
  return sites;
}

/** A copy of sources and tests in which each site passes through `holdfastSyncSite`. */
export function rewrittenCopy(
  root: string,
  sites: readonly PlacedSite[],
): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "holdfast-crash-"));
  for (const name of ["src", "test/crash", "package.json", "tsconfig.json"]) {
    cpSync(join(root, name), join(path, name), { recursive: true });
  }
  symlinkSync(resolve(root, "node_modules"), join(path, "node_modules"));
  for (const original of new Set(sites.map((site) => site.path))) {
    const own = sites.filter((site) => site.path === original);
    writeFileSync(
      join(path, relative(root, original)),
      rewrite(readFileSync(original, "utf8"), own),
    );
  }
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function rewrite(text: string, sites: readonly PlacedSite[]): string {
  const insertions = sites.flatMap(({ id, start, end }) => [
    { at: start, text: `holdfastSyncSite(${JSON.stringify(id)}, () => (` },
    { at: end, text: "))" },
  ]);
  let rewritten = text;
  for (const insertion of insertions.sort((a, b) => b.at - a.at)) {
    rewritten = rewritten.slice(0, insertion.at) + insertion.text + rewritten.slice(insertion.at);
  }
  return rewritten;
}

function openProgram(root: string): ts.Program {
  const configPath = join(root, "tsconfig.json");
  const { config } = ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)) as {
    config: unknown;
  };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const rootNames = ts.sys.readDirectory(join(root, "src"), [".ts"]);
  return ts.createProgram({ rootNames, options: { ...options, incremental: false } });
}

function forEachCall(file: ts.SourceFile, visit: (call: ts.CallExpression) => void): void {
  const walk = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) visit(node);
    ts.forEachChild(node, walk);
  };
  walk(file);
}

function isSync(call: ts.CallExpression): boolean {
  return ts.isPropertyAccessExpression(call.expression) && SYNCS.has(call.expression.name.text);
}

function calleeText({ expression }: ts.CallExpression): string {
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText();
}

/** The named function around a node; one without a name belongs to the one around it. */
function ownerOf(node: ts.Node): ts.MethodDeclaration | ts.FunctionDeclaration | null {
  let at = node;
  while (!ts.isSourceFile(at)) {
    if (ts.isMethodDeclaration(at) || ts.isFunctionDeclaration(at)) return at;
    at = at.parent;
  }
  return null;
}

/** What is called in a constructor, or in the making of a constant, has no named function around it. */
function ownerText(call: ts.CallExpression): string {
  return ownerOf(call)?.name?.getText() ?? "-";
}

function declarationOf(checker: ts.TypeChecker, call: ts.CallExpression): ts.Node | null {
  return checker.getResolvedSignature(call)?.declaration ?? null;
}

/** Whether it is told not to sync: its parameter `isSynced` is false. */
function saysNotSynced(declaration: ts.Node, call: ts.CallExpression): boolean {
  if (!ts.isMethodDeclaration(declaration)) return false;
  const at = declaration.parameters.findIndex((each) => each.name.getText() === "isSynced");
  return call.arguments[at]?.kind === ts.SyntaxKind.FalseKeyword;
}

function nameOf(declaration: ts.Node): string {
  if (!ts.isMethodDeclaration(declaration)) return "";
  const owner = ts.isClassDeclaration(declaration.parent) ? declaration.parent.name?.text : "";
  return `${owner}.${declaration.name.getText()}`;
}
