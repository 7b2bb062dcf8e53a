import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import { decodePayload, encodePayload } from "../base/payload.ts";
import type { RoomMessage } from "./room-codec.ts";
import type { RoomHook, RoomHooks } from "./room-ports.ts";

/** Asks hooks. What they are asked about happens where nobody provides the hook; where its provider cannot be asked, it does not. */
export class HookGate {
  readonly #hooks: RoomHooks;

  constructor(hooks: RoomHooks) {
    this.#hooks = hooks;
  }

  isProvided(hook: RoomHook): boolean {
    return this.#hooks.isProvided(hook);
  }

  /** Rejects with REFUSED_BY_HOOK, or with the fault for which the hook could not be asked. */
  async permit(
    hook: "room.join" | "room.leave",
    connection: JsonValue,
    room: string,
    context: CallContext,
  ): Promise<void> {
    if (this.#hooks.isProvided(hook)) await this.#ask(hook, [payloadOf(connection), payloadOf(room)], context);
  }

  /**
   * The message as the hook wants it: an object that it returns takes the place of the one it was given, but for the room; what it leaves out stays as it was. A message of bytes, which
   * JSON cannot say, is null in the object, and the hook's fourth argument. Rejects as `permit` does.
   */
  async change(
    hook: "room.say" | "room.onSayReceive",
    connection: JsonValue,
    message: RoomMessage,
    context: CallContext,
  ): Promise<RoomMessage> {
    if (!this.#hooks.isProvided(hook)) return message;
    const { room, from, context: kind, sentAtMs } = message;
    const payload = message.message ?? payloadOf(null);
    const isJson = typeof decodePayload(payload) === "string";
    const described = {
      message: isJson ? (payloadValue(payload) as JsonValue) : null,
      room,
      from,
      context: kind,
      sentAt: sentAtMs,
    };
    const args = [payloadOf(connection), payloadOf(room), payloadOf(described), ...(isJson ? [] : [payload])];
    const answer = await this.#ask(hook, args, context);
    return answer === undefined ? message : changed(message, payloadValue(answer));
  }

  async #ask(hook: RoomHook, args: readonly Uint8Array[], context: CallContext): Promise<Uint8Array | undefined> {
    try {
      return await this.#hooks.call(hook, args, context);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      throw fault.code === "METHOD_FAILED" ? new Fault("REFUSED_BY_HOOK", fault.message, { cause: fault }) : fault;
    }
  }
}

/** What is of another type than it should be stays as it was. */
function changed(message: RoomMessage, answer: JsonValue | Uint8Array): RoomMessage {
  if (typeof answer !== "object" || answer === null || Array.isArray(answer) || answer instanceof Uint8Array)
    return message;
  const { message: text, from, context, sentAt } = answer as { readonly [key: string]: JsonValue };
  return {
    room: message.room,
    message:
      text === undefined || (text === null && isRaw(message)) ? message.message : encodePayload(JSON.stringify(text)),
    from: typeof from === "string" ? from : message.from,
    context: typeof context === "string" ? context : message.context,
    sentAtMs: typeof sentAt === "number" && Number.isSafeInteger(sentAt) && sentAt >= 0 ? sentAt : message.sentAtMs,
  };
}

function isRaw({ message }: RoomMessage): boolean {
  return message !== undefined && typeof decodePayload(message) !== "string";
}
