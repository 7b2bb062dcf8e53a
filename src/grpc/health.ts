import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";

/** grpc.health.v1: one answer for the server ("") and for each of its services, since all need the same things. */
export class Health {
  readonly #implementation: HealthImplementation;
  readonly #services: readonly string[];

  constructor(services: readonly string[]) {
    this.#services = ["", ...services];
    this.#implementation = new HealthImplementation(
      Object.fromEntries(this.#services.map((service) => [service, "NOT_SERVING" as const])),
    );
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }

  set(serving: boolean): void {
    for (const service of this.#services) this.#implementation.setStatus(service, serving ? "SERVING" : "NOT_SERVING");
  }
}
