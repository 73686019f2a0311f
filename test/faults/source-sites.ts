import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** A call in the sources that changes the disk, as the recorder of FaultyDisk names it. */
export interface SourceSite {
  /** "segment.ts datasync datasync": file, function, operation. */
  readonly id: string;
  readonly place: string;
}

const FILE_OPERATIONS = new Set(["writev", "datasync", "truncate"]);
const DISK_OPERATIONS = new Set(["rename", "remove", "mkdir", "syncDir"]);
/** Disks themselves. */
const DISKS = /^(node-disk|faulty-disk|volatile-\w+|directory-lock|call-site|fault-\w+)\.ts$/;

/** What only several nodes come by: test/raft runs them on disks that fail. */
const QUORUM = /^(form-quorum|formation-state|snapshot-file|snapshots)\.ts$/;

/** All calls of src/storage and src/raft that write, sync, rename, make, cut or remove. */
export function findSourceSites(root: string): SourceSite[] {
  return ["src/storage", "src/raft"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".ts") && !DISKS.test(name) && !QUORUM.test(name))
      .flatMap((name) => sitesOf(join(root, folder, name), name)),
  );
}

function sitesOf(path: string, name: string): SourceSite[] {
  const source = ts.createSourceFile(
    path,
    readFileSync(path, "utf8"),
    ts.ScriptTarget.ES2023,
    true,
  );
  const sites: SourceSite[] = [];
  const visit = (node: ts.Node): void => {
    const operation = ts.isCallExpression(node) ? operationOf(node) : null;
    if (operation !== null) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      const id = `${name} ${functionAround(node)} ${operation}`;
      sites.push({ id, place: `${path}:${line + 1}` });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return sites;
}

/** The operation of Disk or DiskFile that the call is; null: it is none that changes anything. */
function operationOf(call: ts.CallExpression): string | null {
  if (!ts.isPropertyAccessExpression(call.expression)) return null;
  const method = call.expression.name.text;
  const receiver = call.expression.expression;
  const text = receiver.getText();
  // `must(this.#file, "…").datasync()` as well.
  if (FILE_OPERATIONS.has(method)) return /#?file\b/i.test(text) ? method : null;
  if (!/(^|[.#])disk$/.test(text)) return null;
  if (DISK_OPERATIONS.has(method)) return method;
  const mayCreate = method === "open" && /\bcreate\b/.test(call.arguments[1]?.getText() ?? "");
  return mayCreate ? "create" : null;
}

/** The function that V8 names in a stack: arrows that are passed on have no name. */
function functionAround(node: ts.Node): string {
  for (let at = node.parent; !ts.isSourceFile(at); at = at.parent) {
    if (ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) return at.name?.getText() ?? "";
    if (ts.isConstructorDeclaration(at)) return "constructor";
    if (ts.isArrowFunction(at) || ts.isFunctionExpression(at)) {
      const { parent } = at;
      const isNamed = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent);
      return isNamed ? parent.name.getText() : "(anonymous)";
    }
  }
  return "(anonymous)";
}
