import test from "ava";
import { thrownText, withLine } from "../../../src/sandbox/host/thrown-text.ts";

test("the line is that of the library's topmost frame", (t) => {
  const stack = "TypeError: no\n    at call (gearmesh:clients:9:1)\n    at f (lib:2:14)\n    at lib:3:1";
  t.is(withLine("TypeError: no", stack, "lib"), "TypeError: no (lib:2)");
  t.is(withLine("TypeError: no", "TypeError: no\n    at async lib:7:3", "lib"), "TypeError: no (lib:7)");
});

test("no frame of the library, no line; another library's frame is none", (t) => {
  t.is(withLine("oops", "", "lib"), "oops");
  t.is(withLine("oops", "Error: oops\n    at f (mylib:2:14)", "lib"), "oops");
});

test("a syntax error names its line the same way", (t) => {
  const error = new SyntaxError("Unexpected token ';' [lib:2:9]");
  error.stack =
    "SyntaxError: Unexpected token ';' [lib:2:9]\n    at (<isolated-vm boundary>)\n    at file:///host.js:1:1";
  t.is(thrownText(error, "lib"), "SyntaxError: Unexpected token ';' (lib:2)");
});

test("no path of the host is in a load error, and whatever is thrown has a text", (t) => {
  const error = new Error("no");
  error.stack =
    "ReferenceError: foo is not defined\n    at lib:3:1\n    at (<isolated-vm boundary>)\n    at file:///host.js:1:1";
  t.is(thrownText(error, "lib"), "ReferenceError: foo is not defined (lib:3)");
  t.is(thrownText("text", "lib"), "text");
  const noError = new Error(
    "An object was thrown from supplied code within isolated-vm, but that object was not an instance of `Error`.",
  );
  t.is(thrownText(noError, "lib"), "an object was thrown that is no Error");
  t.is(thrownText(undefined, "lib"), "undefined");
});
