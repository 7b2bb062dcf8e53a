import { NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { roomRequest } from "./room-codec.ts";
import type { RoomNodes } from "./room-ports.ts";
import type { RoomSelf } from "./room-store.ts";

/** Longest a nudge may take. Nobody waits for it. Unit: ms. */
const NUDGE_TIMEOUT_MS = 2000;

export interface RoomNewsParts {
  readonly self: () => RoomSelf | undefined;
  readonly nodes: RoomNodes;
  /** The members of a room that is watched here have changed. */
  readonly changed: (room: string) => void;
}

/** Tells those who watch a room that its members have changed. A nudge that is lost is made up for at the watchers' next look. */
export class RoomNews {
  readonly #parts: RoomNewsParts;

  constructor(parts: RoomNewsParts) {
    this.#parts = parts;
  }

  /** `watchers`: node ids. */
  spread(room: string, watchers: readonly string[]): void {
    const { self, nodes, changed } = this.#parts;
    const body = roomRequest.encode({ room });
    const context = { deadline: deadlineIn(NUDGE_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
    for (const nodeId of new Set(watchers)) {
      if (nodeId === self()?.nodeId) changed(room);
      else
        nodes
          .peer(nodeId)
          ?.request("nudge", body, context)
          .catch(() => undefined);
    }
  }

  /** Takes an encoded NudgeRoomRequest. */
  async fromPeer(body: Uint8Array): Promise<Uint8Array> {
    this.#parts.changed(decodeRequest(roomRequest.decode, body).room);
    return new Uint8Array();
  }
}
