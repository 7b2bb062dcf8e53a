/** What the supervisor is told. */
export type Event =
  /** Whom to stand beside from the start: Redis nodes that have no coordinator, by their addresses. */
  | { readonly kind: "nodes"; readonly redises: readonly string[] }
  /** TTIN: one more instance, beside the first of these Redis nodes without a coordinator that has none of ours either. */
  | { readonly kind: "more"; readonly redises: readonly string[] }
  | { readonly kind: "signal"; readonly signal: Signal }
  /** The process of an instance has ended. `how`, in words: `signal SIGKILL`, `exit code 70`. */
  | { readonly kind: "ended"; readonly redis: string; readonly how: string }
  /** What an instance says of itself: why it is not ready, if it is not, and the number it has in Redis once it has one. */
  | {
      readonly kind: "told";
      readonly redis: string;
      readonly missing: string | undefined;
      readonly number: number | undefined;
    }
  /** Time passes. */
  | { readonly kind: "tick" };

export type Signal = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR2" | "SIGTTOU";

/** What the supervisor wants done. */
export type Order =
  /** Start a process for this instance, which has none. */
  | { readonly kind: "start"; readonly redis: string; readonly number: number }
  /** Tell the process of this instance to end, or end it. */
  | { readonly kind: "stop"; readonly redis: string; readonly signal: "SIGTERM" | "SIGKILL" }
  /** Instances have other numbers: each file goes from the one to the other. */
  | { readonly kind: "rename"; readonly moves: readonly { readonly from: number; readonly to: number }[] }
  /** This instance is no more. */
  | { readonly kind: "forget"; readonly redis: string; readonly number: number }
  | { readonly kind: "log"; readonly level: "info" | "warn" | "error"; readonly message: string }
  /** Nothing runs any more: end. `failure`: why it did not end because it was told to. */
  | { readonly kind: "exit"; readonly failure?: string };
