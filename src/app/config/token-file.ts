import { SCOPES, type Scope, type ScopedToken } from "../../grpc/token-check.ts";

/** Each is compared with what every caller sends. */
const MAX_TOKENS = 256;

/** Lines of scopes and a token; what is empty or begins with # is none. Throws an Error that names the line, and never what it holds. */
export function parseTokenFile(text: string): readonly ScopedToken[] {
  const tokens: ScopedToken[] = [];
  for (const [index, whole] of text.split("\n").entries()) {
    const line = whole.trim();
    if (line === "" || line.startsWith("#")) continue;
    const fail = (problem: string): never => {
      throw new Error(`line ${index + 1} ${problem}`);
    };
    const [names = "", token = "", ...more] = line.split(/\s+/);
    const scopes = names.split(",").filter(isScope);
    if (more.length > 0 || scopes.length === 0 || scopes.length < names.split(",").length) {
      fail(`must be scopes (${SCOPES.join(", ")}) separated by commas, then a token`);
    }
    if (!/^[\x21-\x7e]{16,}$/.test(token)) fail("must end with a token of 16 printable ASCII characters at least");
    if (tokens.some((known) => known.token === token)) fail("repeats a token");
    tokens.push({ token, scopes });
  }
  if (tokens.length > MAX_TOKENS) throw new Error(`there are more than ${MAX_TOKENS} tokens`);
  return tokens;
}

function isScope(name: string): name is Scope {
  return (SCOPES as readonly string[]).includes(name);
}
