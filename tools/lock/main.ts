/** `npm run lock`, and part of `npm run fix`: says in the lock where packages come from, after npm has written it. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { withSources } from "./Sources.ts"

const file = join(import.meta.dirname, "../../package-lock.json")
const before = readFileSync(file, "utf8")
const after = withSources(before)
if (after !== before) writeFileSync(file, after)
