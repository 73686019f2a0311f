import type { Field, Fields, Message } from "../protocol/schema.ts";

type Visit = (value: unknown, note: (code: number) => void) => void;

/**
 * A function that finds all error codes of a message's values: its own and those of its parts, as Kafka
 * counts them. It goes only where the schema has one.
 */
export function errorCodesOf(
  message: Message,
): (value: object, note: (code: number) => void) => void {
  return visitorOf(message.fields) ?? (() => undefined);
}

/** null: there is no error code in there. */
function visitorOf(fields: Fields): Visit | null {
  const visits = Object.entries(fields).flatMap(([name, field]): Visit[] => {
    if (name === "errorCode") {
      // Left out, it is no error.
      return [(value, note) => note((value as { errorCode?: number }).errorCode ?? 0)];
    }
    const visit = partVisitorOf(field);
    if (visit === null) return [];
    return [(value, note) => visit((value as Readonly<Record<string, unknown>>)[name], note)];
  });
  if (visits.length === 0) return null;
  return (value, note) => {
    for (const visit of visits) visit(value, note);
  };
}

function partVisitorOf(field: Field): Visit | null {
  const { fields } = field.element ?? field;
  const visit = fields === null ? null : visitorOf(fields);
  if (visit === null) return null;
  return (value, note) => {
    if (Array.isArray(value)) for (const each of value) visit(each, note);
    else if (typeof value === "object" && value !== null) visit(value, note);
  };
}
