import { spawn } from "node:child_process";
import { constants } from "node:os";

/**
 * @typedef {object} Step
 * @property {string} command
 * @property {string[]} args
 * @property {Record<string, string>} [env] Added to ours.
 * @property {boolean} [ownSession] Whether a Ctrl-C in the terminal reaches it through us alone.
 * @property {boolean} [quiet] Whether its stdout goes to our stderr.
 *
 * @typedef {{ code: number | null, signal: NodeJS.Signals | null }} End
 */

/**
 * A Ctrl-C reaches us twice: from the terminal, and from npm, which passes on what it gets; `kill` of npm's process
 * reaches us once. A signal again within this time is the same one. Unit: ms.
 */
const SAME_SIGNAL_MS = 500;

/** Runs one command to its end, passing signals on, each exactly once.
 * @param {Step} step
 * @returns {Promise<End>}
 */
export async function run({ command, args, env, ownSession = false, quiet = false }) {
  const child = spawn(command, args, {
    stdio: ["inherit", quiet ? 2 : "inherit", "inherit"],
    env: { ...process.env, ...env },
    detached: ownSession,
  });
  /** @type {Map<string, number>} */
  const lastSeen = new Map();
  /** @param {NodeJS.Signals} signal */
  const passOn = (signal) => {
    const now = performance.now();
    if (now - (lastSeen.get(signal) ?? Number.NEGATIVE_INFINITY) > SAME_SIGNAL_MS) child.kill(signal);
    lastSeen.set(signal, now);
  };
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, passOn);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", (error) => reject(new Error(`cannot run ${command}: ${error.message}`)));
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
  } finally {
    for (const signal of signals) process.off(signal, passOn);
  }
}

/** As a shell counts it.
 * @param {End} end
 */
export function exitCodeOf({ code, signal }) {
  return signal ? 128 + constants.signals[signal] : (code ?? 1);
}
