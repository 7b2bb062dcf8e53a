import type { FaultCode } from "../../../src/base/fault.ts";
import type { FaultPoint } from "../../../src/functions/fault-points.ts";
import type { FaultOrder } from "../../support/fault-order.ts";
import type { Random } from "../../support/seed.ts";

export type FaultKind = FaultOrder["fault"];

/**
 * What goes on when the coordinator fails. `load`: a load; it fails in the middle of it. `absent`: it is away before a load. `start`: it was
 * killed, has missed a load, and starts. `told`: it has prepared a version, was not told of its commit, and a peer runs it.
 * `ahead`: the record has lost a version that it serves.
 */
export type Situation = "load" | "absent" | "start" | "told" | "ahead";

export type Who = "asked" | "other";

export interface Scenario {
  /** Of the seven steps of a load. */
  readonly step: number;
  readonly situation: Situation;
  /** `absent` has none. */
  readonly point: FaultPoint | undefined;
  readonly who: Who;
  readonly fault: FaultKind;
  /** Where it fails, with what. */
  readonly code: FaultCode;
}

interface Place {
  readonly step: number;
  readonly situation: Situation;
  readonly who: readonly Who[];
  /** Undefined: nothing there can fail by itself. */
  readonly code?: FaultCode;
}

/** Every point, so that one that is added does not compile until it is tried. */
const PLACES: Readonly<Record<FaultPoint, Place>> = {
  "prepare.before": { step: 1, situation: "load", who: ["asked", "other"], code: "LIBRARY_REFUSED" },
  "prepare.compiled": { step: 1, situation: "load", who: ["asked", "other"], code: "UNAVAILABLE" },
  "prepare.peers": { step: 1, situation: "load", who: ["asked"], code: "UNAVAILABLE" },
  "commit.before": { step: 2, situation: "load", who: ["asked"], code: "UNAVAILABLE" },
  "commit.written": { step: 2, situation: "load", who: ["asked"], code: "INDETERMINATE" },
  "adopt.before": { step: 3, situation: "load", who: ["asked", "other"], code: "UNAVAILABLE" },
  "adopt.served": { step: 3, situation: "load", who: ["asked", "other"], code: "UNAVAILABLE" },
  "adopt.peers": { step: 3, situation: "load", who: ["asked"] },
  "load.answer": { step: 3, situation: "load", who: ["asked"] },
  "write-back.before": { step: 4, situation: "ahead", who: ["other"], code: "UNAVAILABLE" },
  "write-back.written": { step: 4, situation: "ahead", who: ["other"] },
  "level.before": { step: 5, situation: "start", who: ["other"], code: "UNAVAILABLE" },
  "level.recorded": { step: 5, situation: "start", who: ["other"], code: "UNAVAILABLE" },
  "envelope.unserved": { step: 6, situation: "told", who: ["other"], code: "UNAVAILABLE" },
};

/** A coordinator that fails there has not changed anything yet. */
export const BEFORE_COMMIT: ReadonlySet<FaultPoint | undefined> = new Set<FaultPoint>([
  "prepare.before",
  "prepare.compiled",
  "prepare.peers",
  "commit.before",
]);

const FAULTS: readonly FaultKind[] = ["fail", "kill", "cut", "freeze"];

/** Every point, who, and fault once. */
function everyScenario(): readonly Scenario[] {
  const places = Object.entries(PLACES) as [FaultPoint, Place][];
  const atPoints = places.flatMap(([point, { step, situation, who, code }]) =>
    who.flatMap((each) =>
      FAULTS.filter((fault) => fault !== "fail" || code !== undefined).map(
        (fault): Scenario => ({ step, situation, point, who: each, fault, code: code ?? "INTERNAL" }),
      ),
    ),
  );
  const absent = (["kill", "freeze"] as const).map(
    (fault): Scenario => ({
      step: 7,
      situation: "absent",
      point: undefined,
      who: "other",
      fault,
      code: "INTERNAL",
    }),
  );
  // Twice: with and without allow_missing, by chance.
  return [...atPoints, ...absent, ...absent];
}

/** As many rounds of every scenario, each in an order of its own, as `runs` takes. */
export function deck(runs: number, random: Random): readonly Scenario[] {
  const scenarios: Scenario[] = [];
  while (scenarios.length < runs) scenarios.push(...shuffled(everyScenario(), random));
  return scenarios;
}

function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  return items
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}
