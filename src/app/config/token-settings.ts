import { integer, optionalText, toggle, tokens } from "./setting.ts";

/** What is set of tokens. */
export const TOKEN_SETTINGS = {
  serverToken: tokens({
    doc: "What clients and other coordinators must know. Required, here or in serverTokenFile. A flag can be seen by others on the machine: prefer serverTokenFile.",
    defaultDoc: "none: it must be set",
  }),
  serverTokenFile: optionalText({
    doc: "File that holds serverToken; the second token, if any, on a line of its own. Read again when it changes.",
  }),
  tokensFile: optionalText({
    doc: "File with further tokens that may do less: on each line scopes (call, admin, peer, metrics), separated by commas, and then a token. Read again when it changes.",
    defaultDoc: "none",
  }),
  maxAuthFailures: integer({
    doc: "How often one address may fail to authenticate in a minute, at each door, and ten times as often all addresses together. Who has is refused for a while without a look at what it shows, but on connections that have shown a valid token.",
    min: 1,
    max: 1_000_000,
    default: 60,
  }),
  metricsNeedToken: toggle({
    doc: "Whether /metrics is shown only to who sends a token with the scope metrics, or the serverToken, as `authorization: Bearer <token>`.",
    default: false,
  }),
} as const;
