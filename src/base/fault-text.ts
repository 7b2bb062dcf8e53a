/** Longest text of a fault that goes from one process to another: what a function or a client's method threw can be of any length. Unit: UTF-16 code units. */
const MAX_FAULT_TEXT = 8192;

const CUT = "...";

/** The text as it is sent, and as it is taken from others, who may not have cut it. */
export function boundedFaultText(text: string): string {
  return text.length > MAX_FAULT_TEXT ? `${text.slice(0, MAX_FAULT_TEXT - CUT.length)}${CUT}` : text;
}
