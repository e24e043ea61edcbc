/** Loaded before a node: its RocksDB begins a new log file after 64 KiB instead of 8 MiB, so that this happens all the time. */
import { readdirSync, readFileSync } from "node:fs"
import { registerHooks } from "node:module"

/** The command line as `npm run build` leaves it, in a few files; one of them has the default, computed. */
const built = new URL("../../dist/cli/", import.meta.url)
const find = "writeBufferBytes = 8388608"

const [target, ...more] = readdirSync(built)
  .map((name) => ({ url: new URL(name, built).href, source: readFileSync(new URL(name, built), "utf8") }))
  .filter(({ source }) => source.includes(find))
if (target === undefined || more.length > 0 || target.source.split(find).length !== 2) {
  throw new Error("the size of a write buffer is not set where it was: change this with the code")
}

registerHooks({
  load: (url, context, next) =>
    url === target.url
      ? { format: "module", shortCircuit: true, source: target.source.replace(find, "writeBufferBytes = 64 * 1024") }
      : next(url, context)
})
