import { AsyncLocalStorage } from "node:async_hooks";
import type { RequestIdentity } from "./request-identity.ts";

/** Whose request is being worked on: whatever happens on its behalf, however many steps later, finds it here. */
export class RequestScope {
  readonly #storage = new AsyncLocalStorage<RequestIdentity>();

  get current(): RequestIdentity | undefined {
    return this.#storage.getStore();
  }

  run<T>(identity: RequestIdentity, work: () => T): T {
    return this.#storage.run(identity, work);
  }
}
