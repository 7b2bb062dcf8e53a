import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type TestLink, TestPubSubNode, type TestSubscription } from "../../support/pubsub-node.ts";

const TYPES = ["x", "y", "z"] as const;

/** The link by which the subscribing node tells its interest, and the one by which the publishing node sends messages. */
type LinkName = "interest" | "messages";

type LinkEvent =
  | "hold"
  | "release"
  | "refuse"
  | "accept"
  /** Another link opens in its place, with what the former one carries still on its way. */
  | "replace"
  /** Its sender loses it. */
  | "lose";

/** One thing that happens to the two nodes, or between them. */
type Action =
  | { readonly kind: "subscribe"; readonly types: readonly string[] }
  | { readonly kind: "close"; readonly which: number }
  | { readonly kind: "publish"; readonly type: string; readonly timeoutMs: number }
  | { readonly kind: "link"; readonly link: LinkName; readonly event: LinkEvent }
  /** The receiver is through with a former link: what was on its way arrives, or does not. */
  | { readonly kind: "end"; readonly which: number; readonly arrives: boolean }
  | { readonly kind: "wait"; readonly ms: number };

const type = fc.constantFrom(...TYPES);
const which = fc.nat({ max: 20 });
const kind = <const K extends Action["kind"]>(name: K) => fc.constant(name);
const link = fc.record({
  kind: kind("link"),
  link: fc.constantFrom("interest" as const, "messages" as const),
  event: fc.constantFrom<LinkEvent[]>("hold", "release", "refuse", "accept", "lose", "replace", "replace"),
});
const publish = fc.record({ kind: kind("publish"), type, timeoutMs: fc.integer({ min: 1, max: 3000 }) });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: kind("subscribe"), types: fc.uniqueArray(type, { minLength: 1 }) }),
  fc.record({ kind: kind("close"), which }),
  { weight: 6, arbitrary: publish },
  { weight: 4, arbitrary: link },
  fc.record({ kind: kind("end"), which, arrives: fc.boolean() }),
  fc.record({ kind: kind("wait"), ms: fc.nat({ max: 3000 }) }),
);

interface Open extends TestSubscription {
  readonly types: readonly string[];
}

/** A node that subscribes and a node that publishes numbers, with links between them that are anything but steady. */
function scenario() {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const [subscribing, publishing] = [new TestPubSubNode("s", wheel), new TestPubSubNode("p", wheel)];
  const open = (name: LinkName) => (name === "interest" ? subscribing.link(publishing) : publishing.link(subscribing));
  const links: Record<LinkName, TestLink> = { interest: open("interest"), messages: open("messages") };
  const former: TestLink[] = [];
  const subscriptions: Open[] = [];
  const closed: Open[] = [];
  let published = 0;

  const onLink = (name: LinkName, event: LinkEvent): void => {
    if (event === "hold") links[name].hold();
    else if (event === "release") links[name].release();
    else if (event === "refuse") links[name].refuse(new Fault("RESOURCE_EXHAUSTED", "busy"));
    else if (event === "accept") links[name].refuse(undefined);
    else if (event === "lose") links[name].lose();
    else {
      former.push(links[name]);
      links[name] = open(name);
    }
  };
  const act = (each: Action): void => {
    if (each.kind === "subscribe") {
      subscriptions.push({ types: each.types, ...subscribing.subscribe(...each.types) });
    } else if (each.kind === "close") {
      for (const gone of subscriptions.splice(each.which % subscriptions.length, 1)) {
        gone.read();
        gone.subscription.close();
        closed.push(gone);
      }
    } else if (each.kind === "publish") void publishing.publish(each.type, published++, each.timeoutMs);
    else if (each.kind === "link") onLink(each.link, each.event);
    else if (each.kind === "end") for (const old of former.splice(each.which % former.length, 1)) old.end(each.arrives);
    else clock.advance(each.ms);
  };
  return {
    subscribing,
    publishing,
    subscriptions,
    closed,
    async run(actions: readonly Action[]) {
      for (const each of actions) {
        act(each);
        await nextTurn();
      }
    },
    /** Links are well again, those that are lost are opened anew and no others, and time passes. */
    async settle() {
      for (const name of ["interest", "messages"] as const) {
        if (links[name].isLost) onLink(name, "replace");
        else for (const event of ["accept", "release"] as const) onLink(name, event);
      }
      for (const old of former.splice(0)) old.end(true);
      for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 500) {
        clock.advance(500);
        await nextTurn();
      }
    },
  };
}

/** The numbers that a subscriber was given. */
function numbers({ seen }: TestSubscription): number[] {
  return seen.flatMap((event) => /: (\d+) from p$/.exec(event)?.[1] ?? []).map(Number);
}

test("whatever becomes of links, each subscriber gets each message once at most, in order, and in the end all who are interested", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 30, maxLength: 100, size: "max" }), async (actions) => {
      const { subscribing, publishing, subscriptions, closed, run, settle } = scenario();
      await run(actions);
      await settle();
      t.is(publishing.pubSub.counts.peerTypes, subscribing.pubSub.counts.types);
      for (const each of TYPES) {
        const subscribers = subscriptions.filter(({ types }) => types.includes(each)).length;
        t.deepEqual(await publishing.publish(each, 1e6), { nodes: Math.min(1, subscribers), subscribers });
      }
      for (const subscriber of [...subscriptions, ...closed]) {
        subscriber.read();
        const got = numbers(subscriber);
        t.deepEqual(
          got.filter((number) => number < 1e6),
          [...new Set(got)].filter((number) => number < 1e6).toSorted((one, other) => one - other),
        );
      }
    }),
    { numRuns: 300 },
  );
});
