import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { Fault, type FaultCode, isFaultCode } from "../base/fault.ts";

/** Trailing metadata key that carries the fault code beside the gRPC status. */
export const CODE_TRAILER = "gearmesh-code";

/** A new code does not compile until it is mapped. */
const STATUS_OF: Record<FaultCode, status> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  UNKNOWN_LIBRARY: status.NOT_FOUND,
  UNKNOWN_FUNCTION: status.NOT_FOUND,
  NO_PREVIOUS_REVISION: status.FAILED_PRECONDITION,
  LIBRARY_EXISTS: status.ALREADY_EXISTS,
  LIBRARY_REFUSED: status.INVALID_ARGUMENT,
  FUNCTION_FAILED: status.FAILED_PRECONDITION,
  FUNCTION_TIMEOUT: status.DEADLINE_EXCEEDED,
  UNKNOWN_METHOD: status.NOT_FOUND,
  METHOD_EXISTS: status.ALREADY_EXISTS,
  METHOD_FAILED: status.FAILED_PRECONDITION,
  UNKNOWN_NODE: status.NOT_FOUND,
  UNKNOWN_CONNECTION: status.NOT_FOUND,
  UNKNOWN_ROOM: status.NOT_FOUND,
  ROOM_EXISTS: status.ALREADY_EXISTS,
  ALREADY_IN_ROOM: status.ALREADY_EXISTS,
  NOT_IN_ROOM: status.FAILED_PRECONDITION,
  REFUSED_BY_HOOK: status.PERMISSION_DENIED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  MOVED: status.ABORTED,
  CROSSSLOT: status.INVALID_ARGUMENT,
  UNAVAILABLE: status.UNAVAILABLE,
  INDETERMINATE: status.UNKNOWN,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  INTERNAL: status.INTERNAL,
};

/** What the far side of a gRPC call sees of a fault: never its cause. */
export function statusOf(fault: Fault): Pick<StatusObject, "code" | "details" | "metadata"> {
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, fault.code);
  return { code: STATUS_OF[fault.code], details: fault.message, metadata };
}

/** Statuses that gRPC itself raises, with no code of ours beside them. */
const FAULT_OF: Partial<Record<status, FaultCode>> = {
  [status.INVALID_ARGUMENT]: "INVALID_ARGUMENT",
  [status.UNAUTHENTICATED]: "UNAUTHENTICATED",
  [status.DEADLINE_EXCEEDED]: "DEADLINE_EXCEEDED",
  [status.CANCELLED]: "CANCELLED",
  [status.UNAVAILABLE]: "UNAVAILABLE",
  [status.RESOURCE_EXHAUSTED]: "RESOURCE_EXHAUSTED",
  [status.UNIMPLEMENTED]: "UNIMPLEMENTED",
};

/** The fault behind an error that a gRPC client call ended with. */
export function faultOf(error: Partial<StatusObject>): Fault {
  const [sent] = error.metadata?.get(CODE_TRAILER) ?? [];
  const message = error.details || "the call failed without a reason";
  if (typeof sent === "string" && isFaultCode(sent)) return new Fault(sent, message, { cause: error });
  const code = (error.code !== undefined && FAULT_OF[error.code]) || "INTERNAL";
  return new Fault(code, message, { cause: error });
}
