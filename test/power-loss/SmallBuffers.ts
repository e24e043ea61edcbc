/** Loaded before a node: its RocksDB begins a new log file after 64 KiB instead of 8 MiB, so that this happens all the time. */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

const target = new URL("../../dist/storage/RocksDb.js", import.meta.url).href
const find = "options.writeBufferBytes ?? 8 * 1024 * 1024"

registerHooks({
  load: (url, context, next) => {
    if (url !== target) return next(url, context)
    const source = readFileSync(fileURLToPath(url), "utf8")
    if (source.split(find).length !== 2) {
      throw new Error("the size of a write buffer is not set where it was: change this with the code")
    }
    return { format: "module", shortCircuit: true, source: source.replace(find, "64 * 1024") }
  }
})
