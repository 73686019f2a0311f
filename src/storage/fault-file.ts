import {
  type Fault,
  FAULT_OPERATIONS,
  type FaultOperation,
  type FaultRule,
  faultRule,
} from "./fault-rules.ts";

/** The rules cannot be used; the message names the place, what is wrong there and what would be right. */
export class FaultRuleError extends Error {
  override readonly name = "FaultRuleError";
}

const RULE_KEYS: readonly string[] = [
  "name",
  "at",
  "operation",
  "path",
  "callSite",
  "after",
  "times",
  "sticky",
  "fault",
];

/** An object of the file, with where it stands for messages. */
class Item {
  readonly where: string;
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(where: string, value: unknown, keys: readonly string[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FaultRuleError(`${where} must be an object`);
    }
    this.where = where;
    this.#values = new Map(Object.entries(value));
    for (const key of this.#values.keys()) {
      if (keys.includes(key)) continue;
      throw new FaultRuleError(`${where}: "${key}" is unknown; it may have ${keys.join(", ")}`);
    }
  }

  get(key: string): unknown {
    return this.#values.get(key);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text(key: string, otherwise: string): string {
    return this.#value(key, otherwise, isText, "a text");
  }

  count(key: string, otherwise: number | null, max = Number.MAX_SAFE_INTEGER): number {
    const isCount = (value: unknown): value is number =>
      Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= max;
    const range = max === Number.MAX_SAFE_INTEGER ? "from 0 on" : `from 0 to ${max}`;
    return this.#value(key, otherwise, isCount, `a whole number ${range}`);
  }

  flag(key: string): boolean {
    return this.#value(key, false, (value) => typeof value === "boolean", "true or false");
  }

  refuse(key: string, allowed: string): never {
    const value = JSON.stringify(this.get(key)) as string | undefined;
    throw new FaultRuleError(`${this.where}: ${key} is ${value ?? "missing"}, must be ${allowed}`);
  }

  #value<T>(
    key: string,
    otherwise: T | null,
    isValid: (value: unknown) => value is T,
    allowed: string,
  ): T {
    const value = this.has(key) ? this.get(key) : otherwise;
    return isValid(value) ? value : this.refuse(key, allowed);
  }
}

/**
 * The rules of a `holdfast.disk.faults` file: a JSON list of objects as `FaultRule` says, but with
 * `operation` (a name or a list of them) and `sticky: true` for always. Throws FaultRuleError.
 */
export function parseFaultRules(text: string): readonly FaultRule[] {
  let rules: unknown;
  try {
    rules = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FaultRuleError(`it is not JSON (${reason})`, { cause: error });
  }
  if (!Array.isArray(rules)) {
    throw new FaultRuleError(
      'it must be a list of rules, such as [{"operation": "datasync", "path": "/data/a/**", ' +
        '"fault": {"kind": "error", "code": "EIO"}}]',
    );
  }
  return rules.map((rule: unknown, index) => parseRule(rule, `rule ${index + 1}`));
}

function parseRule(value: unknown, where: string): FaultRule {
  const item = new Item(where, value, RULE_KEYS);
  const fault = parseFault(item.get("fault"), `${where}: fault`);
  const isSticky = item.flag("sticky");
  if (isSticky && item.has("times")) {
    throw new FaultRuleError(`${where}: sticky and times exclude each other; take one out`);
  }
  const rule = faultRule({
    fault,
    at: parsePlace(item),
    operations: parseOperations(item),
    path: item.text("path", "**"),
    callSite: item.has("callSite") ? item.text("callSite", "") : null,
    after: item.count("after", 0),
    times: isSticky ? Infinity : item.count("times", 1),
  });
  return item.has("name") ? { ...rule, name: item.text("name", "") } : rule;
}

function parsePlace(item: Item): FaultRule["at"] {
  const at = item.text("at", "call");
  return at === "call" || at === "platter" ? at : item.refuse("at", '"call" or "platter"');
}

function parseOperations(item: Item): readonly FaultOperation[] {
  const value = item.has("operation") ? item.get("operation") : [];
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  return names.map((name) => {
    const operation = FAULT_OPERATIONS.find((known) => known === name);
    return operation ?? item.refuse("operation", `one or a list of ${FAULT_OPERATIONS.join(", ")}`);
  });
}

const FAULT_KINDS = '"error", "delay", "shortWrite" or "flipBit"';

function parseFault(value: unknown, where: string): Fault {
  const { kind } = new Object(value) as { kind?: unknown };
  switch (kind) {
    case "error":
      return { kind, code: parseCode(new Item(where, value, ["kind", "code"]), "EIO") };
    case "delay":
      return { kind, ms: new Item(where, value, ["kind", "ms"]).count("ms", null) };
    case "shortWrite": {
      const item = new Item(where, value, ["kind", "bytes", "code"]);
      return { kind, bytes: item.count("bytes", 0), code: parseCode(item, "ENOSPC") };
    }
    case "flipBit": {
      const item = new Item(where, value, ["kind", "position", "bit"]);
      const position = item.has("position") ? item.count("position", null) : null;
      return { kind, position, bit: item.count("bit", 0, 7) };
    }
    default:
      return new Item(where, value, ["kind"]).refuse("kind", FAULT_KINDS);
  }
}

function parseCode(item: Item, otherwise: string): string {
  const code = item.text("code", otherwise);
  return /^E[A-Z0-9]+$/.test(code) ? code : item.refuse("code", "a name such as EIO or ENOSPC");
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
