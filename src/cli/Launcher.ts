/**
 * The program that starts every process of FlareDB. This file is as deep in the tree as the bundle `dist/cli` is, so
 * the same path leads from both to it.
 */
import { fileURLToPath } from "node:url"

export const launcher = fileURLToPath(new URL("../../bin/flaredb.js", import.meta.url))
