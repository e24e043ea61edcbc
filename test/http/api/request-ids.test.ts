/** Ids under faults: answers that are lost, writes that come late, and callers that go on to another node meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Random } from "effect"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import type { RequestPort, WriteFailure } from "../../../src/client/session/Requests.ts"
import { ClientRequests } from "../../../src/client/session/Requests.ts"
import { defaultLimits } from "../../../src/config/Limits.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { Indeterminate, Unavailable } from "../../../src/FlareDbError.ts"
import { RecordLeases } from "../../../src/http/api/RecordLeases.ts"
import { RequestIds } from "../../../src/http/api/RequestIds.ts"
import type { Operation, Transaction } from "../../../src/kv/model/Transaction.ts"
import { eventually } from "../../Eventually.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const put = (key: string): Operation => ({ _tag: "Put", key: bytes(key), value: bytes("x"), lease: 0 })

interface Faults {
  /** Writes that are still to come, although their caller has given up. */
  late: number
  /** Faults of each kind so far. */
  readonly seen: Record<"refused" | "unanswered" | "late", number>
}

/** Requests of a node that loses some of its writes, the answers to others, and has others carried out late. */
const faulty = (requests: RequestPort, faults: Faults): RequestPort => {
  const write: RequestPort["write"] = (command, options) =>
    Effect.gen(function*() {
      const dice = yield* Random.nextIntBetween(0, 10)
      const lost = new Indeterminate({ reason: "the answer was lost" })
      if (dice === 0) {
        faults.seen.refused += 1
        return yield* new Unavailable({ reason: "no node was reached" })
      }
      if (dice <= 2) {
        faults.seen.unanswered += 1
        yield* requests.write(command, options)
        return yield* lost
      }
      if (dice <= 4) {
        faults.seen.late += 1
        faults.late += 1
        const turns = Effect.forEach(Array.from({ length: dice * 20 }), () => Effect.yieldNow, { discard: true })
        const later = Effect.ensuring(
          Effect.exit(Effect.andThen(turns, requests.write(command, options))),
          Effect.sync(() => {
            faults.late -= 1
          })
        )
        yield* Effect.forkDetach(later)
        return yield* lost
      }
      return yield* requests.write(command, options)
    })
  return {
    requestTimeoutMs: requests.requestTimeoutMs,
    read: (query, options) => requests.read(query, options),
    write,
    writeRepeatable: write
  }
}

const requests = 80

describe("ids", () => {
  it.live(
    `have each of ${requests} writes carried out once, whatever is lost on the way and however late it comes`,
    () =>
      Effect.gen(function*() {
        const services = yield* Layer.build(FlareDb.layerMemory)
        const own = Context.get(services, ClientRequests)
        const kv = Context.get(services, KeyValue)
        const faults: Faults = { late: 0, seen: { refused: 0, unanswered: 0, late: 0 } }
        const nodes = yield* Effect.forEach([1, 2, 3], () => {
          const lossy = faulty(own, faults)
          return Effect.map(RecordLeases.make(lossy, defaultLimits), (leases) => new RequestIds(lossy, leases))
        })
        /** Sends a request again, each time to another node, until it is answered. */
        const send = (id: string, transaction: Transaction) => {
          const command = { _tag: "Transact", transaction } as const
          const attempt = (n: number): Effect.Effect<number, WriteFailure> => {
            const sent = (nodes[n % nodes.length] as RequestIds).transact(
              { id, caller: undefined, command, timeoutMs: 5_000, stillAllowed: Effect.void },
              transaction
            )
            return Effect.catch(Effect.map(sent, ({ revision }) => revision), (error) => {
              assert.include(["Indeterminate", "Unavailable", "Conflict"], error._tag, error.message)
              return attempt(n + 1)
            })
          }
          return attempt(0)
        }
        const flag = bytes("flag")
        const revisions = yield* Effect.forEach(Array.from({ length: requests }, (_, i) => i), (i) =>
          send(
            `request-${i}`,
            // Every other one writes whether its condition holds or not, and turns around what the condition is about.
            i % 2 === 0
              ? {
                compares: [{ _tag: "CompareExists", key: flag, exists: true }],
                success: [{ _tag: "Delete", key: flag }, put(`done/${i}`)],
                failure: [put("flag"), put(`else/${i}`)]
              }
              : { compares: [], success: [put(`done/${i}`)], failure: [] }
          ), { concurrency: 8 })
        yield* eventually("the last late write", () => faults.late === 0)
        for (const [kind, count] of Object.entries(faults.seen)) assert.isAbove(count, 0, kind)
        const turns: Array<readonly [revision: number, isElse: boolean]> = []
        for (let i = 0; i < requests; i++) {
          const found = yield* Effect.forEach(["done", "else"], (list) => kv.get(`${list}/${i}`))
          const [entry, ...others] = found.flatMap((one) => Option.isSome(one) ? [one.value] : [])
          assert.isEmpty(others, `request ${i}`)
          assert.deepInclude(entry, { version: 1, modRevision: revisions[i] as number }, `request ${i}`)
          if (i % 2 === 0) turns.push([revisions[i] as number, entry?.keyText === `else/${i}`])
        }
        // Each saw what the one before it left.
        turns.sort(([a], [b]) => a - b)
        assert.deepStrictEqual(turns.map(([, isElse]) => isElse), turns.map((_, i) => i % 2 === 0))
      }).pipe(Effect.scoped),
    30_000
  )
})
