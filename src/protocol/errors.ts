import { ERRORS } from "./error-table.ts";

/** An error of the protocol by its name, NONE included. */
export type ErrorName = keyof typeof ERRORS;

const nameByCode = new Map<number, ErrorName>(
  Object.entries(ERRORS).map(([name, [code]]) => [code, name as ErrorName]),
);

/** The int16 that stands for the error on the wire. */
export function errorCode(name: ErrorName): number {
  return ERRORS[name][0];
}

/** The error that the int16 stands for; UNKNOWN_SERVER_ERROR when the table does not know it. */
export function errorName(code: number): ErrorName {
  return nameByCode.get(code) ?? "UNKNOWN_SERVER_ERROR";
}

/** The error of that name; UNKNOWN_SERVER_ERROR when the table does not know it. */
export function errorNamed(text: string): ErrorName {
  return Object.hasOwn(ERRORS, text) ? (text as ErrorName) : "UNKNOWN_SERVER_ERROR";
}

/** The table's text for people. */
export function errorMessage(name: ErrorName): string {
  return ERRORS[name][2];
}

/** All names, in the table's order. */
export function errorNames(): readonly ErrorName[] {
  return [...nameByCode.values()];
}

/** A refusal that the client sees: its name picks code and retriability. */
export class KafkaError extends Error {
  override readonly name = "KafkaError";
  readonly errorName: ErrorName;
  readonly code: number;
  readonly retriable: boolean;

  /** `message` is for people and defaults to the table's text. */
  constructor(name: ErrorName, message?: string, options?: ErrorOptions) {
    super(message ?? errorMessage(name), options);
    this.errorName = name;
    this.code = ERRORS[name][0];
    this.retriable = ERRORS[name][1];
  }
}

/** What is wrong with the bytes, or with the value that should become bytes. */
export type ProtocolErrorKind =
  /** The bytes end before the message does. */
  | "truncated"
  /** The bytes do not follow the schema: a bad length, boolean, varint, null or trailing bytes. */
  | "malformed"
  /** Well-formed so far, but it would cost more than the limits allow. */
  | "too-large"
  /** An int64 that we compute with lies beyond ±(2^53 - 1). */
  | "unsafe-int64"
  /** The message has no such version. */
  | "unsupported-version"
  /** The value lacks a required field, or holds what the type or the version cannot carry. */
  | "not-encodable";

/** Bytes that are not a message, or a value that cannot become one. The codec throws nothing else. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly kind: ProtocolErrorKind;

  constructor(kind: ProtocolErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
