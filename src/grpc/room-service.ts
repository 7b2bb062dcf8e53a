import type { ServerWritableStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import type { RoomHandler, RoomMethod } from "../rooms/room-requests.ts";
import type { RoomWatch } from "../rooms/room-watch.ts";
import type { Definitions } from "./definitions.ts";
import { namedStream } from "./named-stream.ts";
import { passedThrough } from "./pass-through.ts";
import { statusOf } from "./status.ts";
import { type UnaryParts, unary } from "./unary.ts";

export interface RoomServiceParts extends UnaryParts {
  /** Each takes the encoded request and resolves with the encoded response. */
  readonly requests: Readonly<Record<RoomMethod, RoomHandler>>;
  /** Takes an encoded WatchRoomRequest. `wake` is called when there is something to take. */
  readonly watch: (body: Uint8Array, wake: () => void) => Promise<RoomWatch>;
}

export function roomServiceDefinition({ rooms }: Definitions): ServiceDefinition {
  return {
    ListRooms: passedThrough(rooms.ListRooms),
    AddRoom: passedThrough(rooms.AddRoom),
    DestroyRoom: passedThrough(rooms.DestroyRoom),
    RoomExists: passedThrough(rooms.RoomExists),
    RoomStatus: passedThrough(rooms.RoomStatus),
    AddMember: passedThrough(rooms.AddMember),
    RemoveMember: passedThrough(rooms.RemoveMember),
    Broadcast: passedThrough(rooms.Broadcast),
    WatchRoom: passedThrough(rooms.WatchRoom),
  } satisfies Record<RoomMethod | "WatchRoom", unknown>;
}

export function roomService(parts: RoomServiceParts): UntypedServiceImplementation {
  const requests = Object.entries(parts.requests).map(
    ([name, answer]) => [name, unary<Uint8Array, Uint8Array>(parts, answer)] as const,
  );
  return {
    ...Object.fromEntries(requests),
    WatchRoom: namedStream(parts, (call: ServerWritableStream<Uint8Array, Uint8Array>) => watch(parts, call)),
  };
}

/** Takes as much as the client reads. */
function watch({ watch: open, observer }: RoomServiceParts, call: ServerWritableStream<Uint8Array, Uint8Array>): void {
  let watching: RoomWatch | undefined;
  let isWritable = true;
  let isOver = false;
  const end = (thrown?: unknown): void => {
    if (isOver) return;
    isOver = true;
    watching?.close();
    if (thrown === undefined) {
      call.end();
      return;
    }
    const fault = Fault.from(thrown);
    if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
    // How grpc-js sends a status other than OK.
    call.emit("error", statusOf(fault));
  };
  const pump = (): void => {
    while (watching && isWritable && !isOver) {
      const event = watching.take();
      if (!event) break;
      isWritable = call.write(event);
    }
    if (watching?.isOver) end();
    else if (watching?.fault) end(watching.fault);
  };
  call.on("drain", () => {
    isWritable = true;
    pump();
  });
  call.on("cancelled", () => end());
  open(call.request, pump).then((opened) => {
    watching = opened;
    if (isOver) opened.close();
    else pump();
  }, end);
}
