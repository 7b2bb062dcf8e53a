import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

/**
 * Keeps grpc-js from writing to standard error, for the whole process: its lines are none of our log's, they repeat what our errors
 * say, and one of them shows the `authorization` of a call whose token has a wrong character.
 */
export function silenceGrpc(): void {
  setLogVerbosity(logVerbosity.NONE);
}
