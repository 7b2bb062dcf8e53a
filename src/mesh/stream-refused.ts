import { Fault } from "../base/fault.ts";

/**
 * What a stream ends with that the far side did not take, or that never reached it: nothing that was sent on it was begun. An accepting end closes a stream with it where that is so, and
 * the initiating end is told.
 */
export class StreamRefused extends Fault {}
