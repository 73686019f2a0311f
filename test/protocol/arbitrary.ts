import fc, { type Arbitrary } from "fast-check";
import { uuidFromBytes } from "../../src/base/ids.ts";
import { apiByKey, APIS, CONTROLLER_APIS } from "../../src/protocol/apis.ts";
import { METADATA_RECORDS } from "../../src/protocol/metadata-records.ts";
import { defaultOf, type StructPlan, type TypePlan } from "../../src/protocol/plan.ts";
import { UNKNOWN_TAGS } from "../../src/protocol/reader.ts";
import { type Message, parseVersions } from "../../src/protocol/schema.ts";
import { INTERNAL_MESSAGES } from "./golden/internal-messages.ts";

/** Every message that Holdfast knows, in every version. */
export function everyMessage(): { readonly message: Message; readonly version: number }[] {
  const messages: Message[] = [
    ...Object.values(APIS).flatMap(({ key }) => {
      const api = apiByKey(key)!;
      return [api.request, api.response];
    }),
    ...Object.values(CONTROLLER_APIS).flatMap(({ request, response }) => [request, response]),
    ...INTERNAL_MESSAGES,
    ...Object.values(METADATA_RECORDS),
  ];
  return messages.flatMap((message) => {
    const { first, last } = parseVersions(message.versions);
    return Array.from({ length: last - first + 1 }, (_, index) => ({
      message,
      version: first + index,
    }));
  });
}

/** Values that the version can carry, whole: as decoding would give them. */
export function structArbitrary(plan: StructPlan): Arbitrary<object> {
  const carried = [...plan.ordinary, ...plan.tagged];
  const fields = fc.record(
    Object.fromEntries(
      plan.fields.map((field) => [
        field.name,
        !carried.includes(field)
          ? fc.constant(null).map(() => defaultOf(field))
          : field.isNullable
            ? fc.option(valueArbitrary(field.type), { nil: null, freq: 3 })
            : valueArbitrary(field.type),
      ]),
    ),
    // Objects as decoders make them, so that the comparison may be strict.
    { noNullPrototype: true },
  );
  if (!plan.isFlexible) return fields;
  const known = new Set(plan.tagged.map(({ tag }) => tag));
  const tags = fc
    .uniqueArray(fc.record({ tag: tagArbitrary, bytes: bytesArbitrary }), {
      selector: ({ tag }) => tag,
      maxLength: 3,
    })
    .map((list) => list.filter(({ tag }) => !known.has(tag)).toSorted((a, b) => a.tag - b.tag));
  return fc
    .tuple(fields, fc.option(tags, { nil: [], freq: 3 }))
    .map(([value, unknown]) =>
      unknown.length === 0
        ? value
        : { ...value, [UNKNOWN_TAGS]: unknown.map(({ tag, bytes }) => ({ tag, bytes })) },
    );
}

const tagArbitrary = fc.oneof(fc.nat(20), fc.nat(2 ** 31 - 1));

const bytesArbitrary = fc
  .oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ minLength: 120, maxLength: 140 }),
    // Above the size at which bytes go by reference.
    fc.nat(255).map((byte) => new Uint8Array(5000).fill(byte)),
  )
  .map((bytes) => Buffer.from(bytes));

const stringArbitrary = fc.oneof(
  fc.string({ unit: "binary", maxLength: 10 }),
  fc.string({ minLength: 60, maxLength: 70 }),
  fc.string({ unit: "grapheme", minLength: 120, maxLength: 130 }),
);

function valueArbitrary(type: TypePlan): Arbitrary<unknown> {
  switch (type.kind) {
    case "struct":
      return structArbitrary(type);
    case "array":
      return fc.array(valueArbitrary(type.element), { maxLength: 3 });
    case "bool":
      return fc.boolean();
    case "int8":
      return fc.integer({ min: -0x80, max: 0x7f });
    case "int16":
      return fc.integer({ min: -0x8000, max: 0x7fff });
    case "uint16":
      return fc.integer({ min: 0, max: 0xffff });
    case "int32":
      return fc.integer();
    case "uint32":
      return fc.integer({ min: 0, max: 0xffffffff });
    case "int64":
      return fc.maxSafeInteger();
    case "exactInt64":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "float64":
      return fc.double({ noNaN: true });
    case "uuid":
      return fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map((bytes) => uuidFromBytes(Buffer.from(bytes)));
    case "string":
      return stringArbitrary;
    case "bytes":
      return bytesArbitrary;
  }
}
