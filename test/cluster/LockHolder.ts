/** A process that takes a lock, says with which revision, and holds it until it is ended. */
import { Effect } from "effect"
import { layer, Locks, parseEndpoints } from "../../src/client/index.ts"

const [endpoints = "", name = "", ttlMs = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const lock = yield* (yield* Locks).acquire(name, { ttlMs: Number(ttlMs) })
  process.stdout.write(`HELD ${lock.revision}\n`)
  yield* lock.lost
}).pipe(Effect.scoped)

await Effect.runPromise(
  Effect.flatMap(parseEndpoints(endpoints), (parsed) => Effect.provide(program, layer({ endpoints: parsed })))
)
