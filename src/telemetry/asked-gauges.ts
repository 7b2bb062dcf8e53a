import { Gauge, type Registry } from "prom-client";

/** Makes gauges without labels that are asked at each scrape rather than told at each change. */
export function askedGauges(registers: Registry[]) {
  return (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      registers,
      name,
      help,
      collect() {
        this.set(read());
      },
    });
}
