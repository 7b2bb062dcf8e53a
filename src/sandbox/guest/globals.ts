import { ApiError } from "./api-error.ts";
import { defineProperty, getPrototypeOf } from "./primordials.ts";

const ABSENT = ["eval", "SharedArrayBuffer", "Atomics", "WebAssembly", "console"];

/**
 * Takes away what a library must not have. The function constructors go by way of their prototypes, since `(() => 1).constructor`
 * leads to them as well; `Function` stays as a name so that `instanceof Function` works, but it makes nothing from text.
 */
export function restrictGlobals(): void {
  for (let i = 0; i < ABSENT.length; i++) delete (globalThis as Record<string, unknown>)[ABSENT[i] as string];
  const prototypes: unknown[] = [
    getPrototypeOf(async () => undefined),
    getPrototypeOf(function* () {
      yield undefined;
    }),
    getPrototypeOf(async function* () {
      yield undefined;
    }),
    Function.prototype,
  ];
  const refusing = () => {
    throw new ApiError("a library cannot make code from text");
  };
  defineProperty(refusing, "name", { value: "Function" });
  defineProperty(refusing, "prototype", { value: Function.prototype, writable: false });
  for (let i = 0; i < prototypes.length; i++) defineProperty(prototypes[i], "constructor", { value: refusing });
  defineProperty(globalThis, "Function", { value: refusing, writable: true, configurable: true, enumerable: false });
}
