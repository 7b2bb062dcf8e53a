import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { Fault, type FaultCode, isFaultCode } from "../base/fault.ts";

/** Trailing metadata key that carries the fault code beside the gRPC status. */
export const CODE_TRAILER = "gearmesh-code";

/** Trailing metadata key that says of a stream that nothing which came on it was begun. */
const REFUSED_TRAILER = "gearmesh-refused";

/** A new code does not compile until it is mapped. */
const STATUS_OF: Record<FaultCode, status> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
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
  UNKNOWN_LEASE: status.NOT_FOUND,
  OBJECT_NOT_FOUND: status.NOT_FOUND,
  OBJECT_LOCKED: status.FAILED_PRECONDITION,
  LOCK_LOST: status.FAILED_PRECONDITION,
  WRONG_KIND: status.FAILED_PRECONDITION,
  UNKNOWN_TASK: status.NOT_FOUND,
  UNKNOWN_QUEUE: status.NOT_FOUND,
  DUPLICATE_TASK: status.ALREADY_EXISTS,
  TASK_FAILED: status.FAILED_PRECONDITION,
  TASK_NOT_HELD: status.FAILED_PRECONDITION,
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
export function statusOf(fault: Fault): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, fault.code);
  return { code: STATUS_OF[fault.code], details: fault.message, metadata };
}

/** The same of a stream that is not taken, so that whoever opened it knows that nothing was begun. */
export function refusalOf(fault: Fault): ReturnType<typeof statusOf> {
  const refusal = statusOf(fault);
  refusal.metadata.set(REFUSED_TRAILER, "1");
  return refusal;
}

/** Whether the far side did not take the stream. */
export function isRefusal({ metadata }: Pick<StatusObject, "metadata">): boolean {
  return metadata.get(REFUSED_TRAILER).length > 0;
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
