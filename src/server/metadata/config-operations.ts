import { type ItemError, itemError } from "./controller.ts";
import type { ConfigImage } from "./image.ts";

/** Kafka's AlterConfigOp.OpType. */
const OPERATIONS = ["SET", "DELETE", "APPEND", "SUBTRACT"] as const;

export interface ConfigOperation {
  readonly name: string;
  readonly operation: (typeof OPERATIONS)[number];
  readonly value: string;
}

/** What shall become of a resource's settings. */
export type ConfigChange =
  | { readonly kind: "incremental"; readonly operations: readonly ConfigOperation[] }
  /** These, and no others. */
  | { readonly kind: "replace"; readonly values: ConfigImage };

/** Whether a key is a list, with its default; null: it is none. */
export type ListDefault = (key: string) => string | null;

/** The operation of that number; null: there is none. */
export function operationOf(id: number): ConfigOperation["operation"] | null {
  return OPERATIONS[id] ?? null;
}

/** What a change makes of a resource's settings, or why it cannot be. */
export type Changed =
  | { readonly kind: "changed"; readonly configs: ConfigImage }
  | { readonly kind: "refused"; readonly error: ItemError };

export function changed(
  current: ConfigImage,
  change: ConfigChange,
  listDefault: ListDefault,
): Changed {
  if (change.kind === "replace") return { kind: "changed", configs: change.values };
  const next = new Map(current);
  for (const { name, operation, value } of change.operations) {
    if (operation === "SET") next.set(name, value);
    else if (operation === "DELETE") next.delete(name);
    else {
      const defaultText = listDefault(name);
      if (defaultText === null) {
        const message = `Can't ${operation} to key ${name} because its type is not LIST.`;
        return { kind: "refused", error: itemError("INVALID_CONFIG", message) };
      }
      const items = partsOf(next.get(name) ?? defaultText);
      next.set(name, combined(items, operation, value.split(",")).join(","));
    }
  }
  return { kind: "changed", configs: next };
}

function combined(
  items: readonly string[],
  operation: "APPEND" | "SUBTRACT",
  values: readonly string[],
): readonly string[] {
  const [known, others] = [new Set(items), new Set(values)];
  if (operation === "SUBTRACT") return items.filter((item) => !others.has(item));
  return [...items, ...values.filter((value) => !known.has(value))];
}

function partsOf(text: string): readonly string[] {
  return text.split(",").filter((item) => item !== "");
}
