/** Preloaded into a command: it finds another copy of the binding, the one at `FLAREDB_TEST_NATIVE`. */
import { registerHooks } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const copy = process.env["FLAREDB_TEST_NATIVE"]
if (copy !== undefined) {
  const url = pathToFileURL(join(copy, "index.js")).href
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "rocksdb-native" ? { url, format: "commonjs", shortCircuit: true } : next(specifier, context)
  })
}
