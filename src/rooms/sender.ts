/** Who says what nobody connected says. */
export const SERVER = "0";

/** What kind of message each is. */
export const USER_CONTEXT = "user";

/** Whose turn a message takes. Servers are many, and what they say in one room waits for nothing in another; a connection's messages keep their order over all rooms. */
export function turnOf(from: string, room: string): string {
  return from === SERVER ? `${SERVER} ${room}` : from;
}
