import { resolve } from "node:path";

/** The calls of Disk and DiskFile. "create" is an `open` that may make the file. */
export const FAULT_OPERATIONS = [
  "open",
  "create",
  "read",
  "writev",
  "datasync",
  "truncate",
  "size",
  "close",
  "rename",
  "remove",
  "mkdir",
  "list",
  "syncDir",
  "statfs",
  "lock",
] as const;

export type FaultOperation = (typeof FAULT_OPERATIONS)[number];

/** What goes wrong. Delays are milliseconds. */
export type Fault =
  /** The call has no effect and is refused. */
  | { readonly kind: "error"; readonly code: string }
  /** The call takes so much longer. */
  | { readonly kind: "delay"; readonly ms: number }
  /** The first bytes of a write arrive, then it is refused. */
  | { readonly kind: "shortWrite"; readonly bytes: number; readonly code: string }
  /**
   * One bit of what is read or written is wrong. `position` is in the file, and calls that do not
   * cover it do not match; null: in the middle of each.
   */
  | { readonly kind: "flipBit"; readonly position: number | null; readonly bit: number };

/** One rule of a FaultyDisk. All that it says must hold for a call to match. */
export interface FaultRule {
  /** How the log calls it. */
  readonly name: string;
  /**
   * "call": what the broker asks for. "platter": what the process's own page cache
   * (holdfast.disk.page.cache=process) asks of the disk below it.
   */
  readonly at: "call" | "platter";
  /** Empty: any. */
  readonly operations: readonly FaultOperation[];
  /**
   * An absolute path is compared whole, any other with the end of the path. `*` and `?` stand for
   * characters but `/`, `**` for any; `/**` at the end for the directory and all below it.
   */
  readonly path: string;
  /** As `callSite` names it; null: any. */
  readonly callSite: string | null;
  /** So many calls that match go well first. */
  readonly after: number;
  /** Then so many go wrong; Infinity: all. */
  readonly times: number;
  readonly fault: Fault;
}

/** A rule as a program writes it: what is left out means "any", "at once" and "once". */
export type NewFaultRule = Pick<FaultRule, "fault"> & Partial<FaultRule>;

export function faultRule(rule: NewFaultRule): FaultRule {
  return {
    name: describeFault(rule.fault),
    at: "call",
    operations: [],
    path: "**",
    callSite: null,
    after: 0,
    times: 1,
    ...rule,
  };
}

/** One line for a person: what the rule does, where and how often. */
export function describeRule(rule: FaultRule): string {
  const times = rule.times === Infinity ? "always" : rule.times === 1 ? "once" : `${rule.times}x`;
  const after = rule.after === 0 ? "" : ` after ${rule.after} calls`;
  const operations = rule.operations.length === 0 ? "any call" : rule.operations.join(", ");
  const site = rule.callSite === null ? "" : ` from ${rule.callSite}`;
  return `${describeFault(rule.fault)} ${times}${after}: ${operations} of ${rule.path}${site}`;
}

function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case "error":
      return fault.code;
    case "delay":
      return `${fault.ms} ms late`;
    case "shortWrite":
      return `${fault.code} after ${fault.bytes} bytes`;
    case "flipBit":
      return "a flipped bit";
  }
}

/** A test of paths for a rule's `path`. */
export function pathMatcher(pattern: string): (path: string) => boolean {
  const isWhole = pattern.startsWith("/");
  if (!/[*?]/.test(pattern)) {
    return isWhole
      ? (path) => resolve(path) === resolve(pattern)
      : (path) => path.endsWith(pattern);
  }
  const isBelow = pattern.endsWith("/**");
  const text = isBelow ? pattern.slice(0, -"/**".length) : pattern;
  const body = text.replace(/\*\*|[*?]|[^\w/-]/g, (part) => {
    if (part === "**") return ".*";
    return part === "*" ? "[^/]*" : part === "?" ? "[^/]" : `\\${part}`;
  });
  const expression = new RegExp(`${isWhole ? "^" : ""}${body}${isBelow ? "(?:/.*)?" : ""}$`);
  return (path) => expression.test(isWhole ? resolve(path) : path);
}
