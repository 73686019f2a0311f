import type { StructPlan } from "./plan.ts";
import type { Reader } from "./reader.ts";
import type { StructValue } from "./values.ts";
import type { Writer } from "./writer.ts";

/** Generates the decoder of the plan; null where code generation is not allowed. */
export function compileDecoder(_plan: StructPlan): ((reader: Reader) => StructValue) | null {
  return null;
}

/** Generates the encoder of the plan; null where code generation is not allowed. */
export function compileEncoder(
  _plan: StructPlan,
): ((writer: Writer, value: StructValue) => void) | null {
  return null;
}
