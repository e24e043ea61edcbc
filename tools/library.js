// Makes the modules of the library, `dist/**` without `dist/cli`: each file of `src/` without its types and comments.
// A clean clone waits for this, and the compiler takes four times as long (`build.sh`). There are no source maps: names,
// expressions and their order are those of `src/`. What an earlier build left of files that are gone is removed.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { minifySync, transformSync } from "rolldown/utils"

const root = fileURLToPath(new URL("..", import.meta.url))

const isBelow = (...folders) => (file) => folders.some((folder) => file.startsWith(`${folder}${sep}`))

/** The command line is a bundle of its own; what only declares has nothing to run. */
const sources = readdirSync(join(root, "src"), { recursive: true })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts") && !isBelow("cli")(file))

/** What a step made of a file; one that cannot be parsed ends the build. */
const codeOf = (file, { code, errors }) => {
  if (errors.length > 0) throw new Error(`src/${file}: ${errors.map(({ message }) => message).join("; ")}`)
  return code
}

const withoutTypes = { typescript: { onlyRemoveTypeImports: true, rewriteImportExtensions: "rewrite" } }

/** Changes no name and no expression. Editors show comments from the declarations. */
const withoutComments = { compress: false, mangle: false, codegen: { removeWhitespace: false } }

const made = new Set()
for (const file of sources) {
  const stem = file.slice(0, -".ts".length)
  const target = join(root, "dist", `${stem}.js`)
  const plain = codeOf(file, transformSync(file, readFileSync(join(root, "src", file), "utf8"), withoutTypes))
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, codeOf(file, minifySync(target, plain, withoutComments)))
  for (const ending of [".js", ".d.ts", ".d.ts.map"]) made.add(`${stem}${ending}`)
}

for (const entry of readdirSync(join(root, "dist"), { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name)
  const file = path.slice(join(root, "dist", sep).length)
  if (entry.isFile() && !made.has(file) && !isBelow("cli", "console")(file)) rmSync(path)
}
