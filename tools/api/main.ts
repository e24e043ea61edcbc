/** `npm run docs`: writes the API reference, `docs/api/`, from the comments in the sources. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pagesOf } from "./Pages.ts"

const root = join(import.meta.dirname, "../..")
const folder = join(root, "docs/api")
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const pages = pagesOf(root, exports)
mkdirSync(folder, { recursive: true })
for (const name of readdirSync(folder)) if (!pages.some(({ file }) => file === name)) rmSync(join(folder, name))
for (const { file, text } of pages) writeFileSync(join(folder, file), text)
process.stdout.write(`docs/api: ${pages.map(({ file, text }) => `${file} ${text.length}`).join(", ")}\n`)
