import test from "ava";
import { TokenCheck } from "../../../src/grpc/token-check.ts";

const ALL = { token: "a-token-for-everything", scopes: ["call", "admin", "peer", "metrics"] } as const;
const CALLS = { token: "a-token-for-calls-only", scopes: ["call"] } as const;

test("a token brings its scopes, whatever is before and after it in the list", (t) => {
  const check = new TokenCheck([ALL, CALLS]);
  t.deepEqual([...(check.shown(`Bearer ${CALLS.token}`)?.scopes ?? [])], ["call"]);
  t.true(check.shown(`bearer ${ALL.token}`)?.scopes.has("admin"));
});

test("anything but exactly a token is none", (t) => {
  const check = new TokenCheck([ALL, CALLS]);
  for (const header of [
    undefined,
    "",
    "Bearer ",
    ALL.token,
    `Basic ${ALL.token}`,
    `Bearer ${ALL.token} `,
    `Bearer  ${ALL.token}`,
    `Bearer ${ALL.token.slice(0, -1)}`,
    `Bearer ${ALL.token}x`,
    `Bearer ${ALL.token.toUpperCase()}`,
    `Bearer ${ALL.token},${CALLS.token}`,
    Buffer.from(`Bearer ${ALL.token}`),
  ]) {
    t.is(check.shown(header), undefined, String(header));
  }
});

test("what was shown before counts as long as its token may do as much", (t) => {
  const check = new TokenCheck([ALL, CALLS]);
  const shown = check.shown(`Bearer ${CALLS.token}`);
  if (!shown) return t.fail();
  check.replace([ALL, { ...CALLS, scopes: ["call", "metrics"] }]);
  t.true(check.stillHas(shown));
  check.replace([ALL, { ...CALLS, scopes: ["admin", "metrics"] }]);
  t.false(check.stillHas(shown));
  check.replace([ALL]);
  t.false(check.stillHas(shown));
  t.is(check.shown(`Bearer ${CALLS.token}`), undefined);
});
