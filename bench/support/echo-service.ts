import { fileURLToPath } from "node:url";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

export interface EchoMessage {
  readonly payload: Uint8Array;
}

/** The echo service as a user of grpc-js would load it. */
export function echoService(): ServiceDefinition {
  const file = fileURLToPath(new URL("echo.proto", import.meta.url));
  return loadSync(file)["gearmesh.bench.EchoService"] as ServiceDefinition;
}
