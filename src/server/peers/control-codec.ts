import { type ErrorName, errorNamed } from "../../protocol/errors.ts";
import { ProtobufReader, ProtobufWriter } from "../../protocol/peers/protobuf.ts";
import type { LeaderAndEpoch } from "../../raft/raft-client.ts";
import type { ControllerAnswer, ControllerRequest } from "../metadata/controller-apis.ts";

/** As control.proto names it. */
export const CONTROL_SERVICE = "holdfast.Control/Exchange";

/** A request on its way to the active controller. */
export interface ControlRequest extends ControllerRequest {
  readonly correlationId: number;
  /** Under which the sender is registered; null: it is not, or no broker. */
  readonly brokerEpoch: number | null;
}

export interface ControlAnswer {
  readonly correlationId: number;
  readonly outcome:
    | { readonly kind: "answered"; readonly answer: ControllerAnswer }
    | {
        readonly kind: "refused";
        readonly error: ErrorName;
        readonly message: string;
        /** Who leads as far as the answering node knows. */
        readonly leader: LeaderAndEpoch;
      };
}

export function encodeControlRequest(request: ControlRequest): Buffer {
  const writer = new ProtobufWriter();
  writer.uint(1, request.correlationId);
  writer.uint(2, request.apiKey);
  writer.uint(3, request.apiVersion);
  writer.bytes(4, request.body);
  writer.optionalUint(5, request.brokerEpoch);
  return writer.finish();
}

/** Throws ProtobufError. */
export function decodeControlRequest(bytes: Buffer): ControlRequest {
  const reader = new ProtobufReader(bytes);
  return {
    correlationId: reader.uint(1),
    apiKey: reader.uint(2),
    apiVersion: reader.uint(3),
    body: reader.bytes(4),
    brokerEpoch: reader.optionalUint(5),
  };
}

export function encodeControlAnswer({ correlationId, outcome }: ControlAnswer): Buffer {
  const writer = new ProtobufWriter();
  writer.uint(1, correlationId);
  switch (outcome.kind) {
    case "answered":
      writer.optionalUint(4, outcome.answer.lastOffset);
      writer.bytes(5, outcome.answer.body);
      break;
    case "refused":
      writer.string(2, outcome.error);
      writer.string(3, outcome.message);
      writer.optionalUint(6, outcome.leader.leaderId);
      writer.uint(7, outcome.leader.leaderEpoch);
      break;
  }
  return writer.finish();
}

/** Throws ProtobufError. */
export function decodeControlAnswer(bytes: Buffer): ControlAnswer {
  const reader = new ProtobufReader(bytes);
  const correlationId = reader.uint(1);
  const error = reader.string(2);
  if (error === "") {
    const answer = { lastOffset: reader.optionalUint(4), body: reader.bytes(5) };
    return { correlationId, outcome: { kind: "answered", answer } };
  }
  const leader = { leaderId: reader.optionalUint(6), leaderEpoch: reader.uint(7) };
  return {
    correlationId,
    outcome: { kind: "refused", error: errorNamed(error), message: reader.string(3), leader },
  };
}
