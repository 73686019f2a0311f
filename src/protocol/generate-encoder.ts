import {
  type ArrayPlan,
  FIXED_BYTES,
  type FieldPlan,
  type PrimitivePlan,
  type StructPlan,
  type TypePlan,
} from "./plan.ts";
import {
  blobMethod,
  defaultText,
  fixedRun,
  functionName,
  isFixed,
  literal,
  tagOf,
} from "./generate.ts";

/** The generated text, and the field plans that it refers to as `F[index]`. */
export interface EncoderText {
  readonly text: string;
  readonly fields: readonly FieldPlan[];
}

/** Functions and field plans that the text needs, as they come up. */
interface Unit {
  readonly functions: string[];
  readonly fields: FieldPlan[];
}

/**
 * The text of a function expression `(w: Writer, o: value) => void`, for compile.ts. Every value is
 * checked before it is written. Fields of fixed size that follow each other share one growth check.
 * In scope besides: `F`, `UNKNOWN_TAGS` and the functions of values.ts.
 */
export function generateEncoder(plan: StructPlan, subject: string): EncoderText {
  const unit: Unit = { functions: [], fields: [] };
  const root = structFunction(plan, subject, unit);
  return {
    text: `(() => {\n${unit.functions.join("\n")}\nreturn ${root};\n})()`,
    fields: unit.fields,
  };
}

/** Adds the function that writes the struct, those of its inner structs first; returns its name. */
function structFunction(plan: StructPlan, path: string, unit: Unit): string {
  const lines: string[] = [
    `if (typeof o !== "object" || o === null) badValue(${JSON.stringify(path)}, o, "a struct");`,
    "let v, b, p, l, h;",
  ];
  let index = 0;
  while (index < plan.ordinary.length) {
    const run = fixedRun(plan.ordinary, index);
    if (run.length > 0) lines.push(runText(run));
    const next = plan.ordinary[index + run.length];
    if (next !== undefined) {
      lines.push(`v = o.${next.name};`, orDefault(next), valueText(next, false, unit));
    }
    index += run.length + 1;
  }
  for (const field of plan.absent) {
    if (field.isIgnorable) continue;
    const at = unit.fields.push(field) - 1;
    lines.push(`if (o.${field.name} !== undefined) checkAbsent(F[${at}], o.${field.name});`);
  }
  if (plan.isFlexible) lines.push(tagsText(plan, unit));
  const name = functionName("encode", path, unit.functions.length);
  unit.functions.push(`function ${name}(w, o) {\n${lines.join("\n")}\n}`);
  return name;
}

function runText(run: readonly FieldPlan[]): string {
  let offset = 0;
  const writes: string[] = [];
  for (const field of run) {
    const { kind } = field.type as PrimitivePlan;
    writes.push(`v = o.${field.name};`, orDefault(field), primitiveText(kind, field.path, offset));
    offset += FIXED_BYTES[kind];
  }
  return [roomText(String(offset)), ...writes].join("\n");
}

/** Makes room and moves on; what is written then stands at `p` in `b`. */
function roomText(size: string): string {
  return `w.need(${size}); b = w.buffer; p = w.position; w.position = p + ${size};`;
}

function orDefault(field: FieldPlan): string {
  return field.isRequired ? "" : `if (v === undefined) v = ${defaultText(field)};`;
}

/** Checks `v` and writes it at `p + offset`, where there is room. */
function primitiveText(kind: PrimitivePlan["kind"], path: string, offset: number): string {
  const at = (index: number): string => `b[p + ${offset + index}]`;
  const word = (from: string, index: number): string =>
    `${at(index)} = ${from} >> 24; ${at(index + 1)} = ${from} >> 16; ` +
    `${at(index + 2)} = ${from} >> 8; ${at(index + 3)} = ${from};`;
  const check = `if (${IS_BAD[kind]}) badValue(${JSON.stringify(path)}, v, "${kind}");\n`;
  switch (kind) {
    case "bool":
      return `${check}${at(0)} = v ? 1 : 0;`;
    case "int8":
      return `${check}${at(0)} = v;`;
    case "int16":
    case "uint16":
      return `${check}${at(0)} = v >> 8; ${at(1)} = v;`;
    case "int32":
    case "uint32":
      return check + word("v", 0);
    case "int64":
      return `${check}l = v >>> 0; h = (v - l) / 4294967296;\n${word("h", 0)} ${word("l", 4)}`;
    case "exactInt64":
      return `${check}b.writeBigInt64BE(v, p + ${offset});`;
    case "float64":
      return `${check}b.writeDoubleBE(v, p + ${offset});`;
    case "uuid":
      return `${check}w.uuidAt(p + ${offset}, v);`;
  }
}

const IS_BAD: Readonly<Record<PrimitivePlan["kind"], string>> = {
  bool: `typeof v !== "boolean"`,
  int8: "v << 24 >> 24 !== v",
  int16: "v << 16 >> 16 !== v",
  uint16: "(v & 0xffff) !== v",
  int32: "(v | 0) !== v",
  uint32: "v >>> 0 !== v",
  int64: "!Number.isSafeInteger(v)",
  exactInt64: `typeof v !== "bigint" || BigInt.asIntN(64, v) !== v`,
  float64: `typeof v !== "number"`,
  uuid: `typeof v !== "string"`,
};

/** Checks and writes `v`, a value of the field that is not undefined unless that is an error. */
function valueText(field: FieldPlan, isTagged: boolean, unit: Unit): string {
  const present = presentText(field, unit);
  if (!field.isNullable) {
    return `if (v === null) badNull(${JSON.stringify(field.path)});\n${present}`;
  }
  return `if (v === null) ${nullText(field.type, isTagged)}\nelse {\n${present}\n}`;
}

/** A present struct's marker is 1 in both places; an absent one's is not. */
function nullText(type: TypePlan, isTagged: boolean): string {
  if (type.kind === "struct") return `w.int8(${isTagged ? 0 : -1});`;
  if (type.kind === "string" && !type.isCompact) return "w.int16(-1);";
  return "isCompact" in type && type.isCompact ? "w.int8(0);" : "w.int32(-1);";
}

function presentText(field: FieldPlan, unit: Unit): string {
  const { type, path } = field;
  switch (type.kind) {
    case "struct": {
      const marker = field.isNullable ? "w.int8(1); " : "";
      return `${marker}${structFunction(type, path, unit)}(w, v);`;
    }
    case "array":
      return arrayText(type, path, unit);
    default:
      return scalarText(type, path);
  }
}

function scalarText(type: Exclude<TypePlan, StructPlan | ArrayPlan>, path: string): string {
  if (!("isCompact" in type)) {
    return `${roomText(String(FIXED_BYTES[type.kind]))}\n${primitiveText(type.kind, path, 0)}`;
  }
  const isBad = type.kind === "string" ? `typeof v !== "string"` : "!(v instanceof Uint8Array)";
  const check = `if (${isBad}) badValue(${JSON.stringify(path)}, v, "${type.kind}");`;
  return `${check} w.${blobMethod(type, false)}(v);`;
}

function arrayText(type: ArrayPlan, path: string, unit: Unit): string {
  const { element } = type;
  const length = type.isCompact ? "compactArrayLength" : "arrayLength";
  const head =
    `if (!Array.isArray(v)) badValue(${JSON.stringify(path)}, v, "an array");\n` +
    `const a = v, n = a.length; w.${length}(n);`;
  if (element.kind === "struct") {
    return `{ ${head}\nfor (let i = 0; i < n; i++) ${structFunction(element, path, unit)}(w, a[i]); }`;
  }
  if (!isFixed(element)) {
    const write = scalarText(element as Exclude<TypePlan, StructPlan | ArrayPlan>, path);
    return `{ ${head}\nfor (let i = 0; i < n; i++) { v = a[i]; ${write} } }`;
  }
  const size = FIXED_BYTES[element.kind];
  const write = primitiveText(element.kind, path, 0);
  return (
    `{ ${head}\n${roomText(`n * ${size}`)}\n` +
    `for (let i = 0; i < n; i++, p += ${size}) { v = a[i]; ${write} } }`
  );
}

function tagsText(plan: StructPlan, unit: Unit): string {
  const present = plan.tagged.map((field, at) => {
    const value = `o.${field.name}`;
    return `const t${at} = ${value} !== undefined && ${isSetText(field, value, unit)};`;
  });
  const count = plan.tagged.map((_, at) => `(t${at} ? 1 : 0)`).join(" + ");
  const writes = plan.tagged.map((field, at) => {
    const tag = tagOf(field);
    return [
      `if (t${at}) {`,
      `x = writeUnknownTags(w, k, x, ${tag});`,
      `const s = w.beginTag(${tag}); v = o.${field.name};`,
      valueText(field, true, unit),
      "w.endTag(s);",
      "}",
    ].join("\n");
  });
  return [
    ...present,
    `const c = ${count === "" ? "0" : count};`,
    "if (c === 0 && o[UNKNOWN_TAGS] === undefined) w.int8(0);",
    "else {",
    "const k = unknownTagsOf(o); let x = 0;",
    "w.uvarint(c + k.length);",
    ...writes,
    "writeUnknownTags(w, k, x, Infinity);",
    "}",
  ].join("\n");
}

/** Whether the value, which is not undefined, differs from the default. */
function isSetText(field: FieldPlan, value: string, unit: Unit): string {
  if (field.defaultValue !== undefined) return `${value} !== ${literal(field.defaultValue)}`;
  return `!isDefault(F[${unit.fields.push(field) - 1}], ${value})`;
}
