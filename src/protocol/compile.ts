import { generateDecoder } from "./generate-decoder.ts";
import { generateEncoder } from "./generate-encoder.ts";
import { EMPTY_BYTES, type StructPlan } from "./plan.ts";
import { type Reader, UNKNOWN_TAGS } from "./reader.ts";
import {
  badNull,
  badValue,
  checkAbsent,
  isDefault,
  type StructValue,
  unknownTagsOf,
  writeUnknownTags,
} from "./values.ts";
import type { Writer } from "./writer.ts";

/**
 * Turns plans into functions with `new Function`. The text is made from our own schemas only, never
 * from anything that came over a socket or out of a file. The one place where code is generated.
 */

/** The decoder of the plan; null where the process does not allow code generation. */
export function compileDecoder(
  plan: StructPlan,
  subject: string,
): ((reader: Reader) => StructValue) | null {
  const text = generateDecoder(plan, subject);
  return evaluate(text, { EMPTY_BYTES, UNKNOWN_TAGS }) as ReturnType<typeof compileDecoder>;
}

/** The encoder of the plan; null where the process does not allow code generation. */
export function compileEncoder(
  plan: StructPlan,
  subject: string,
): ((writer: Writer, value: StructValue) => void) | null {
  const { text, fields } = generateEncoder(plan, subject);
  const scope = { ...ENCODER_SCOPE, F: fields };
  return evaluate(text, scope) as ReturnType<typeof compileEncoder>;
}

const ENCODER_SCOPE = {
  EMPTY_BYTES,
  UNKNOWN_TAGS,
  badNull,
  badValue,
  checkAbsent,
  isDefault,
  unknownTagsOf,
  writeUnknownTags,
};

/** The value of the expression, or null. */
function evaluate(expression: string, scope: Readonly<Record<string, unknown>>): unknown {
  try {
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see the top of this file.
    const make = new Function(...Object.keys(scope), `"use strict"; return ${expression};`) as (
      ...values: unknown[]
    ) => unknown;
    return make(...Object.values(scope));
  } catch (error) {
    // --disallow-code-generation-from-strings: the interpreter takes over.
    if (error instanceof EvalError) return null;
    throw error;
  }
}
