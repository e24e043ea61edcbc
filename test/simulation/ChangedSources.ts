/** Changes source files as a thread loads them: a bug for the mutants, small sizes for the world of small parts. */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

const source = fileURLToPath(new URL("../../src/", import.meta.url))

/**
 * Has the `files`, named below `src/`, changed as they are loaded in this thread, and gives those that were. One that
 * was loaded before stays as it is.
 */
export const changeSources = (
  files: ReadonlySet<string>,
  change: (file: string, text: string) => string
): ReadonlySet<string> => {
  const changed = new Set<string>()
  registerHooks({
    load: (url, context, next) => {
      const path = url.startsWith("file:") ? fileURLToPath(url) : ""
      const file = path.startsWith(source) ? path.slice(source.length) : ""
      if (!files.has(file)) return next(url, context)
      changed.add(file)
      return { format: "module-typescript", shortCircuit: true, source: change(file, readFileSync(path, "utf8")) }
    }
  })
  return changed
}
