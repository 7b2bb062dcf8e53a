import { Counter, Gauge, type Registry } from "prom-client";
import type { PubSubCounts, PubSubObserver } from "../pubsub/pubsub-parts.ts";

export type PubSubRecorder = PubSubObserver;

/** Counts in plain numbers and tells them at each scrape, since messages may be many. */
export function pubSubRecorder(registers: Registry[], counts: () => PubSubCounts): PubSubRecorder {
  const gauge = (name: string, help: string, of: keyof PubSubCounts) =>
    new Gauge({
      registers,
      name,
      help,
      collect() {
        this.set(counts()[of]);
      },
    });
  gauge("gearmesh_pubsub_subscriptions", "Subscriptions that are open on this coordinator.", "subscriptions");
  gauge("gearmesh_pubsub_types", "Message types that have a subscriber on this coordinator.", "types");
  gauge(
    "gearmesh_pubsub_peer_types",
    "Message types that other coordinators have told this one they have subscribers for, each counted for each of them.",
    "peerTypes",
  );
  gauge(
    "gearmesh_pubsub_queued_bytes",
    "Bytes of messages that wait for their subscribers on this coordinator. Growing: subscribers read too slowly, and are about to miss some.",
    "queuedBytes",
  );
  const published = counter(registers, "gearmesh_pubsub_published_total", "Messages published on this coordinator.");
  const received = counter(
    registers,
    "gearmesh_pubsub_received_total",
    "Messages that other coordinators sent for the subscribers on this one.",
  );
  const delivered = counter(
    registers,
    "gearmesh_pubsub_delivered_total",
    "Messages given to subscribers on this coordinator, each counted for each subscriber.",
  );
  const missed = counter(
    registers,
    "gearmesh_pubsub_missed_total",
    "Messages that subscribers on this coordinator missed and were told so, each counted for each subscriber. Growing: a subscriber reads too slowly for what it has subscribed to.",
  );
  const unreached = counter(
    registers,
    "gearmesh_pubsub_unreached_total",
    "How often another coordinator that has subscribers for a message could not be sent it, or did not answer in time. Growing: links are lost, or a coordinator is overloaded.",
  );
  return {
    published: () => published(1),
    received: () => received(1),
    delivered,
    missed,
    unreached: () => unreached(1),
  };
}

/** A counter without labels, as a function that adds to it. */
function counter(registers: Registry[], name: string, help: string): (count: number) => void {
  let sinceLastScrape = 0;
  new Counter({
    registers,
    name,
    help,
    collect() {
      this.inc(sinceLastScrape);
      sinceLastScrape = 0;
    },
  });
  return (count) => {
    sinceLastScrape += count;
  };
}
