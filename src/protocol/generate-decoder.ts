import {
  FIXED_BYTES,
  type ArrayPlan,
  type BlobPlan,
  type FieldPlan,
  type PrimitivePlan,
  type StructPlan,
  type TypePlan,
} from "./plan.ts";
import { blobMethod, defaultText, fixedRun, functionName, isFixed } from "./generate.ts";

/**
 * The text of a function expression `(r: Reader) => value`, for compile.ts. Fields of fixed size that
 * follow each other share one bounds check; each struct is a function of its own, which V8 inlines.
 * In scope besides: `EMPTY_BYTES`, `UNKNOWN_TAGS`.
 */
export function generateDecoder(plan: StructPlan, subject: string): string {
  const functions: string[] = [];
  const root = structFunction(plan, subject, functions);
  return `(() => {\n${functions.join("\n")}\nreturn ${root};\n})()`;
}

/** Adds the function that reads the struct, those of its inner structs first; returns its name. */
function structFunction(plan: StructPlan, path: string, functions: string[]): string {
  const variables = new Map<FieldPlan, string>();
  for (const [index, field] of plan.fields.entries()) variables.set(field, `v${index}`);
  const nameOf = (field: FieldPlan): string => variables.get(field) ?? "";
  const lines: string[] = ["const b = r.buffer; let p, n;"];
  const onWire = new Set([...plan.ordinary, ...plan.tagged]);
  for (const field of plan.fields) {
    const start = onWire.has(field) && field.tag === null ? "" : ` = ${defaultText(field)}`;
    lines.push(`let ${nameOf(field)}${start};`);
  }
  lines.push(...ordinaryText(plan, nameOf, functions));
  if (plan.isFlexible) lines.push(tagsText(plan, nameOf, functions));
  const entries = plan.fields.map((field) => `${field.name}: ${nameOf(field)}`);
  lines.push(`const o = { ${entries.join(", ")} };`);
  if (plan.isFlexible) lines.push("if (u !== undefined) o[UNKNOWN_TAGS] = u;");
  lines.push("return o;");
  const name = functionName("decode", path, functions.length);
  functions.push(`function ${name}(r) {\n${lines.join("\n")}\n}`);
  return name;
}

function ordinaryText(
  plan: StructPlan,
  nameOf: (field: FieldPlan) => string,
  functions: string[],
): string[] {
  const lines: string[] = [];
  let index = 0;
  while (index < plan.ordinary.length) {
    const run = fixedRun(plan.ordinary, index);
    if (run.length > 0) lines.push(runText(run, nameOf));
    const next = plan.ordinary[index + run.length];
    if (next !== undefined) lines.push(valueText(next, nameOf(next), false, functions));
    index += run.length + 1;
  }
  return lines;
}

function runText(run: readonly FieldPlan[], nameOf: (field: FieldPlan) => string): string {
  let offset = 0;
  const reads: string[] = [];
  for (const field of run) {
    const { kind } = field.type as PrimitivePlan;
    reads.push(primitiveText(kind, nameOf(field), offset));
    offset += FIXED_BYTES[kind];
  }
  return [
    `p = r.position; if (r.end - p < ${offset}) r.need(${offset}); r.position = p + ${offset};`,
    ...reads,
  ].join("\n");
}

/** Reads the primitive at `p + offset`, of which the bounds are checked. */
function primitiveText(kind: PrimitivePlan["kind"], into: string, offset: number): string {
  const byte = (index: number): string => `b[p + ${offset + index}]`;
  const word = (index: number): string =>
    `(${byte(index)} << 24 | ${byte(index + 1)} << 16 | ${byte(index + 2)} << 8 | ${byte(index + 3)})`;
  switch (kind) {
    case "bool":
      return `n = ${byte(0)}; if (n > 1) r.failBoolean(n); ${into} = n === 1;`;
    case "int8":
      return `${into} = ${byte(0)} << 24 >> 24;`;
    case "int16":
      return `${into} = (${byte(0)} << 24 | ${byte(1)} << 16) >> 16;`;
    case "uint16":
      return `${into} = ${byte(0)} << 8 | ${byte(1)};`;
    case "int32":
      return `${into} = ${word(0)};`;
    case "uint32":
      return `${into} = ${word(0)} >>> 0;`;
    case "int64":
      return (
        `${into} = ${word(0)} * 4294967296 + (${word(4)} >>> 0);\n` +
        `if (${into} > 9007199254740991 || ${into} < -9007199254740991) r.failUnsafe();`
      );
    case "exactInt64":
      return `${into} = b.readBigInt64BE(p + ${offset});`;
    case "float64":
      return `${into} = b.readDoubleBE(p + ${offset});`;
    case "uuid":
      return `${into} = b.toString("base64url", p + ${offset}, p + ${offset + 16});`;
  }
}

/** Reads one value at the reader's position. */
function valueText(field: FieldPlan, into: string, isTagged: boolean, functions: string[]): string {
  const { type, isNullable, path } = field;
  if (type.kind === "array") return arrayText(type, field, into, functions);
  if (type.kind !== "struct") return `${into} = ${scalarText(type, isNullable)};`;
  const read = `${structFunction(type, path, functions)}(r)`;
  if (!isNullable) return `${into} = ${read};`;
  const presence = isTagged ? "taggedStructPresence" : "structPresence";
  return `${into} = r.${presence}() ? ${read} : null;`;
}

function scalarText(type: PrimitivePlan | BlobPlan, isNullable: boolean): string {
  return "isCompact" in type ? `r.${blobMethod(type, isNullable)}()` : `r.${type.kind}()`;
}

function arrayText(type: ArrayPlan, field: FieldPlan, into: string, functions: string[]): string {
  const method = type.isCompact ? "compactArrayLength" : "arrayLength";
  return [
    `n = r.${method}(${type.elementWireBytes}, ${type.elementHeapBytes});`,
    `if (n < 0) ${into} = ${field.isNullable ? "null" : "r.failNull()"};`,
    `else { const a = ${into} = new Array(n);`,
    elementsText(type.element, field.path, functions),
    "}",
  ].join("\n");
}

/** Fills `a`, of length `n`. The array's length was checked against what is left. */
function elementsText(element: TypePlan, path: string, functions: string[]): string {
  if (element.kind === "struct") {
    return `for (let i = 0; i < n; i++) a[i] = ${structFunction(element, path, functions)}(r);`;
  }
  if (!isFixed(element) || element.kind === "bool") {
    const read = scalarText(element as PrimitivePlan | BlobPlan, false);
    return `for (let i = 0; i < n; i++) a[i] = ${read};`;
  }
  const { kind } = element;
  const size = FIXED_BYTES[kind];
  return [
    `p = r.position; r.position = p + n * ${size};`,
    `for (let i = 0; i < n; i++, p += ${size}) { ${primitiveText(kind, "a[i]", 0)} }`,
  ].join("\n");
}

function tagsText(
  plan: StructPlan,
  nameOf: (field: FieldPlan) => string,
  functions: string[],
): string {
  const cases = plan.tagged.map(
    (field) =>
      `case ${String(field.tag)}: ${valueText(field, nameOf(field), true, functions)} break;`,
  );
  return [
    "let u;",
    // Nearly every tag section is empty: one byte.
    "p = r.position;",
    "if (p < r.end && b[p] === 0) r.position = p + 1;",
    "else for (let c = r.tagCount(); c > 0; c--) {",
    "const t = r.uvarint(), e = r.enterTag();",
    `switch (t) {\n${cases.join("\n")}\ndefault: u = r.keepUnknownTag(u, t);\n}`,
    "r.leaveTag(e);",
    "}",
  ].join("\n");
}
