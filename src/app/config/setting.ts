import { z } from "zod";
import type { Address } from "../../base/address.ts";
import { parseAddress } from "./address.ts";

/** One setting: all that its sources, its messages and docs/SETTINGS.md need to know. */
export interface Setting<T> {
  readonly doc: string;
  /** What a value must be, as the end of the sentence "it must be ...". */
  readonly accepts: string;
  /** Reads a JSON value of the configuration file, or the text of a variable or flag. */
  readonly schema: z.ZodType<T>;
  readonly default: T;
  /** Says what the default is where it follows from other settings. */
  readonly defaultDoc?: string;
  readonly unit?: string;
  /** Name of the flag, where users know the setting by another name than its key's. */
  readonly flag?: string;
  /** Never shown, neither in messages nor by `gearmesh config`. */
  readonly secret?: true;
  /** A flag without a value means true. */
  readonly isSwitch?: true;
}

type Facts<T> = Pick<Setting<T>, "doc" | "default"> & Partial<Pick<Setting<T>, "defaultDoc" | "flag">>;

export function integer(facts: Facts<number> & { min: number; max: number; unit?: string }): Setting<number> {
  const { min, max, unit, ...rest } = facts;
  const number = z.int().min(min).max(max);
  const text = z.string().regex(/^\d+$/).transform(Number).pipe(number);
  const accepts = `an integer from ${min} to ${max}`;
  return { ...rest, accepts, schema: z.union([number, text]), ...(unit !== undefined && { unit }) };
}

export function toggle(facts: Facts<boolean>): Setting<boolean> {
  const text = z.enum(["true", "false"]).transform((value) => value === "true");
  return { ...facts, accepts: "true or false", schema: z.union([z.boolean(), text]), isSwitch: true };
}

export function choice<const T extends string>(facts: Facts<T> & { of: readonly T[] }): Setting<T> {
  const { of, ...rest } = facts;
  return { ...rest, accepts: `one of ${of.join(", ")}`, schema: z.enum(of) as z.ZodType<T> };
}

/** A text that may be left out. */
export function optionalText(facts: Omit<Facts<string | undefined>, "default">): Setting<string | undefined> {
  return { ...facts, default: undefined, accepts: "a text that is not empty", schema: z.string().min(1) };
}

export function secretText(facts: Omit<Facts<string | undefined>, "default">): Setting<string | undefined> {
  return { ...optionalText(facts), secret: true };
}

export function word(facts: Facts<string>): Setting<string> {
  const schema = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
  return { ...facts, accepts: "1 to 64 of the characters A-Z, a-z, 0-9, _ and -", schema };
}

const addressText = z.string().transform((text, context) => {
  const address = parseAddress(text);
  if (address) return address;
  context.addIssue("not an address");
  return z.NEVER;
});

export function address<T extends Address | undefined>(facts: Facts<T>): Setting<T> {
  return { ...facts, accepts: "host:port or [ipv6]:port", schema: addressText as z.ZodType<Address> as z.ZodType<T> };
}

/** Items of a text, without what surrounds them. */
export const commaSeparated = z.string().transform((text) =>
  text
    .split(/[,\n]/)
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

export function words(facts: Facts<readonly string[]>): Setting<readonly string[]> {
  const list = z.array(z.string().regex(/^[A-Za-z][A-Za-z0-9._|-]*$/));
  return { ...facts, accepts: "names separated by commas", schema: z.union([list, commaSeparated.pipe(list)]) };
}

export type AddressMap = ReadonlyMap<string, Address>;

const addressPairs = commaSeparated.transform((pairs, context): AddressMap => {
  const map = new Map<string, Address>();
  for (const pair of pairs) {
    const [from = "", to = "", ...more] = pair.split("=");
    const target = parseAddress(to);
    if (parseAddress(from) && target && more.length === 0) map.set(from.trim(), target);
    else context.addIssue("not a pair of addresses");
  }
  return map;
});
const addressObject = z.record(z.string(), z.string()).transform((record) =>
  Object.entries(record)
    .map((pair) => pair.join("="))
    .join(","),
);

export function addressMap(facts: Facts<AddressMap>): Setting<AddressMap> {
  const schema = z.union([addressPairs, addressObject.pipe(addressPairs)]);
  return { ...facts, accepts: "pairs redis-host:port=coordinator-host:port, separated by commas", schema };
}

/** Shorter ones could be guessed; two at most, so that one can be replaced by the other without a gap. */
const tokenList = commaSeparated.pipe(
  z
    .array(
      z
        .string()
        .min(16)
        .regex(/^[\x21-\x7e]+$/),
    )
    .min(1)
    .max(2),
);

export function tokens(
  facts: Omit<Facts<readonly string[] | undefined>, "default">,
): Setting<readonly string[] | undefined> {
  const accepts =
    "one token, or two separated by a comma or a line break, the newest first, each of 16 printable ASCII characters at least";
  return { ...facts, default: undefined, accepts, schema: tokenList, secret: true };
}
