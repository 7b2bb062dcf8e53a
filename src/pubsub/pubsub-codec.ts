import { encoded, flag, type MessageOf, message, nested, text, texts, uint } from "../base/message.ts";

/** `gearmesh.v1.PublishRequest`. Payloads, and messages on their way, stay encoded: nobody between publisher and subscriber looks inside. */
export const publishRequest = message({ messageType: text(1), payload: encoded(2) });

/** `gearmesh.v1.PublishResponse`. */
export const publishResponse = message({ nodes: uint(1), subscribers: uint(2) });

/** `gearmesh.v1.SubscribeRequest`. */
export const subscribeRequest = message({ messageTypes: texts(1) });

/** `gearmesh.v1.Missed`. */
const missed = message({ count: uint(1), unknown: flag(2) });

/** `gearmesh.v1.SubscribeResponse`: exactly one field is set. */
export const subscribeResponse = message({ subscribed: encoded(1), message: encoded(2), missed: nested(3, missed) });

/** `gearmesh.v1.PublishedMessage`. */
export const publishedMessage = message({ messageType: text(1), serverId: text(2), payload: encoded(3) });

/** `gearmesh.v1.DeliverPublishedRequest`. */
export const deliverPublishedRequest = message({ message: encoded(1), runId: text(2), sequence: uint(3) });

/** `gearmesh.v1.DeliverPublishedResponse`. */
export const deliverPublishedResponse = message({ subscribers: uint(1) });

/** `gearmesh.v1.SyncInterestRequest`. */
export const syncInterestRequest = message({
  complete: flag(1),
  added: texts(2),
  removed: texts(3),
  runId: text(4),
  sequence: uint(5),
  more: flag(6),
});
export type SyncInterestRequest = MessageOf<typeof syncInterestRequest>;
