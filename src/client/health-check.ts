import { WireReader } from "../base/wire.ts";
import type { RpcMethod } from "./rpc-channel.ts";

export type Health = "serving" | "not-serving";

const SERVING = 1;

/** grpc.health.v1.Health/Check for the whole server. Its two messages have one field each, so no proto file is needed. */
export const HEALTH_CHECK: RpcMethod<undefined, Health> = {
  path: "/grpc.health.v1.Health/Check",
  requestSerialize: () => Buffer.alloc(0),
  responseDeserialize: (bytes) => {
    let status = 0;
    const reader = new WireReader(bytes);
    while (reader.next()) if (reader.field === 1) status = reader.uint();
    return status === SERVING ? "serving" : "not-serving";
  },
};
