/** The middle value; the mean of the two middle ones where there are two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which the share `q` of all lies, interpolated. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new Error("no values");
  const sorted = Float64Array.from(values).sort();
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? 0;
  const high = sorted[Math.ceil(position)] ?? 0;
  return low + (high - low) * (position - Math.floor(position));
}
