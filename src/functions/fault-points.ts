/** Where a coordinator may fail, stop or lose its connections on a library's way to every shard. The order is that of a load. */
export type FaultPoint =
  /** A version is about to be compiled, on the coordinator that was asked for the load or on a peer. */
  | "prepare.before"
  /** It is compiled and registered here; nobody knows yet. */
  | "prepare.compiled"
  /** The coordinator that was asked has prepared it and asks the others to. */
  | "prepare.peers"
  /** Every coordinator has prepared it. Still nothing has changed. */
  | "commit.before"
  /** The record holds it, and the coordinator that wrote it has not read Redis' reply. */
  | "commit.written"
  /** A version that is committed is about to be served, whoever told of it. */
  | "adopt.before"
  /** It is served here; nobody knows yet. */
  | "adopt.served"
  /** The coordinator that was asked tells the others. */
  | "adopt.peers"
  /** Each has adopted it, or has not answered; the caller was not told. */
  | "load.answer"
  /** A peer's run names a version that is not served here. */
  | "envelope.unserved"
  /** The record and the peers are about to be asked what is newest. */
  | "level.before"
  /** The record's versions are adopted; peers were not asked. */
  | "level.recorded"
  /** The record is behind this coordinator. */
  | "write-back.before"
  /** It was written back. */
  | "write-back.written";

/** Comes by every point, and may stay there or reject: for tests of what follows. */
export interface FaultPoints {
  reached(point: FaultPoint): Promise<void> | undefined;
}

/** What coordinators run with. */
export const NO_FAULTS: FaultPoints = { reached: () => undefined };
