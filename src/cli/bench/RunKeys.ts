/**
 * The keys of a run on a cluster that is somebody's. They lie under a prefix that names the run and that no other run
 * has, so that taking them away at the end cannot take anybody else's.
 */
import { Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { parseEndpoints } from "../../client/connection/Endpoint.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import * as RemoteClient from "../../client/RemoteClient.ts"
import { Op } from "../../client/Txn.ts"
import { identityOptions } from "../input/IdentityFlags.ts"
import { refusedTimeoutMs } from "../input/ClientFlags.ts"
import * as Output from "../output/Output.ts"
import type { Target } from "./Target.ts"

/** The prefix of a new run. */
export const newPrefix = (): string => `flaredb-bench/${randomBytes(8).toString("hex")}/`

const digits = 10

/** The key of a number. */
export const keyOf = (number: number, prefix = "bench/"): string => `${prefix}${String(number).padStart(digits, "0")}`

/** A client of the cluster under measurement, for what is done around the measurement. */
export const clientOf = (target: Target) =>
  Layer.unwrap(
    Effect.map(identityOptions(target.identity), (identity) =>
      RemoteClient.layer({
        endpoints: Effect.runSync(parseEndpoints(target.endpoints)),
        requestTimeoutMs: 30_000,
        refusedTimeoutMs,
        name: "flaredb-bench",
        ...identity
      }))
  )

/** Bytes and keys that one transaction removes at most: half of what the store allows. */
const maxRemovedBytes = 16 * 1024 * 1024
const maxRemovedKeys = 10_000

/** Bytes of a key and what the store keeps beside a value, at most. */
const keyBytes = 128

/** How often the keys are looked for: writes that were under way when the load ended may come behind the first time. */
const passes = 3

const removeOnce = Effect.fnUntraced(function*(prefix: string, keys: number, valueBytes: number) {
  const kv = yield* KeyValue
  const most = Math.max(1, Math.min(maxRemovedKeys, Math.floor(maxRemovedBytes / (valueBytes + keyBytes))))
  // Keys that share all digits but the last ones make one removal.
  const shared = Math.floor(Math.log10(most))
  const removals = Math.ceil(keys / 10 ** shared)
  yield* Effect.forEach(
    Array.from({ length: removals }, (_, i) => `${prefix}${String(i).padStart(digits - shared, "0")}`),
    (part) => kv.transact({ do: [Op.deletePrefix(part)] }),
    { concurrency: 2, discard: true }
  )
  return yield* kv.count(prefix)
})

/** Removes what a run wrote, and says so when it cannot. */
export const removeKeys = (target: Target, keys: number, valueBytes: number): Effect.Effect<void> => {
  const { keyPrefix } = target
  const remain = (why: string) =>
    Output.problem(`flaredb: keys of this run remain under ${JSON.stringify(keyPrefix)}: ${why}; they can be deleted`)
  return Effect.gen(function*() {
    for (let pass = 0; pass < passes; pass++) {
      if ((yield* removeOnce(keyPrefix, keys, valueBytes)) === 0) return
    }
    yield* remain("something still writes them")
  }).pipe(
    Effect.provide(clientOf(target)),
    Effect.catch((error) => remain(error.message))
  )
}
