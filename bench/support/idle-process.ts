/** Does nothing: what Node itself costs. */
import { announce } from "./child-process.ts";

announce({});
