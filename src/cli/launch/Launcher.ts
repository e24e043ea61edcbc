/** The program that starts every process of FlareDB, wherever this one was started from. */
import { fileURLToPath } from "node:url"

export const launcher = fileURLToPath(new URL("../../../bin/flaredb.js", import.meta.url))
