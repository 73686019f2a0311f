import { must } from "../../src/base/assert.ts";
import type { FieldPlan, StructPlan, TypePlan } from "../../src/protocol/plan.ts";
import { FIXED_BYTES } from "../../src/protocol/plan.ts";

/** What stands at a place of a message: the mutator knows what hurts there. */
export type SiteKind =
  | "number"
  | "bool"
  | "presence"
  | "length16"
  | "length32"
  | "lengthVarint"
  | "count32"
  | "countVarint"
  | "tagCount"
  | "tag"
  | "tagSize"
  | "content";

export interface Site {
  readonly kind: SiteKind;
  readonly start: number;
  readonly end: number;
  /** Of a length or count: what it says, without the varint's one; -1 for null. */
  readonly value: number;
  /** Of a count: the first element, to be repeated. */
  readonly element: { readonly start: number; readonly end: number } | null;
}

/**
 * Where everything lies in the bytes of one struct, by a walk of its own: it shares the plan with the
 * codecs and no code. The bytes must be valid (golden vectors are). Returns where the struct ends.
 */
export function findSites(bytes: Buffer, plan: StructPlan, start: number, sites: Site[]): number {
  return new Walker(bytes, start, sites).struct(plan);
}

class Walker {
  readonly #bytes: Buffer;
  readonly #sites: Site[];
  #position: number;

  constructor(bytes: Buffer, position: number, sites: Site[]) {
    this.#bytes = bytes;
    this.#position = position;
    this.#sites = sites;
  }

  struct(plan: StructPlan): number {
    for (const field of plan.ordinary) this.#field(field, false);
    if (plan.isFlexible) this.#tags(plan);
    return this.#position;
  }

  #tags(plan: StructPlan): void {
    for (let count = this.#varint("tagCount"); count > 0; count -= 1) {
      const tag = this.#varint("tag");
      const size = this.#varint("tagSize");
      const field = plan.tagged.find((one) => one.tag === tag);
      if (field === undefined) this.#content(size);
      else this.#field(field, true);
    }
  }

  #field(field: FieldPlan, isTagged: boolean): void {
    if (field.type.kind === "struct" && field.isNullable) {
      const marker = this.#bytes.readInt8(this.#position);
      this.#add("presence", 1);
      if (marker !== 1) {
        if (marker !== (isTagged ? 0 : -1)) throw new Error(`${field.path}: marker ${marker}`);
        return;
      }
    }
    this.#value(field.type);
  }

  #value(type: TypePlan): void {
    switch (type.kind) {
      case "struct":
        this.struct(type);
        return;
      case "array":
        this.#array(type.isCompact, type.element);
        return;
      case "string":
        this.#content(type.isCompact ? this.#compact("lengthVarint") : this.#length16());
        return;
      case "bytes":
        this.#content(type.isCompact ? this.#compact("lengthVarint") : this.#int32("length32"));
        return;
      default:
        this.#add(type.kind === "bool" ? "bool" : "number", FIXED_BYTES[type.kind]);
    }
  }

  #array(isCompact: boolean, element: TypePlan): void {
    const siteIndex = this.#sites.length;
    const count = isCompact ? this.#compact("countVarint") : this.#int32("count32");
    for (let i = 0; i < count; i += 1) {
      const start = this.#position;
      this.#value(element);
      if (i === 0) {
        const site = must(this.#sites[siteIndex], "the count's site was added");
        const element = { start: small(start), end: small(this.#position) };
        this.#sites[siteIndex] = { ...site, element };
      }
    }
  }

  #length16(): number {
    const value = this.#bytes.readInt16BE(this.#position);
    this.#add("length16", 2, value);
    return value;
  }

  #int32(kind: SiteKind): number {
    const value = this.#bytes.readInt32BE(this.#position);
    this.#add(kind, 4, value);
    return value;
  }

  #compact(kind: SiteKind): number {
    return this.#varint(kind, 1) - 1;
  }

  #varint(kind: SiteKind, bias = 0): number {
    let value = 0;
    let sizeBytes = 0;
    for (;;) {
      const byte = this.#bytes.readUInt8(this.#position + sizeBytes);
      value += (byte & 0x7f) * 2 ** (7 * sizeBytes);
      sizeBytes += 1;
      if (byte < 0x80) break;
    }
    this.#add(kind, sizeBytes, value - bias);
    return value;
  }

  #content(length: number): void {
    if (length > 0) this.#add("content", length);
  }

  #add(kind: SiteKind, sizeBytes: number, value = 0): void {
    const end = this.#position + sizeBytes;
    if (end > this.#bytes.length) throw new Error("the vector ends before its schema does");
    const [start, says] = [small(this.#position), small(value)];
    this.#sites.push({ kind, start, end: small(end), value: says, element: null });
    this.#position = end;
  }
}

/**
 * For the engine a number of 31 bits, for ever. Once a single site had held another kind, all hundred thousand
 * got boxes for their numbers as they were used, which looked like a leak of 15 MiB in ten million frames.
 */
function small(value: number): number {
  return value | 0;
}
