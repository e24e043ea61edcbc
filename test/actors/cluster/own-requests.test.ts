/** What a runner's watch of its queues takes for the runner's own changes, and which of these it is asked for at once. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Snowflake } from "effect/cluster"
import { ClusterKeys } from "../../../src/actors/cluster/ClusterKeys.ts"
import { Freshness } from "../../../src/actors/cluster/Freshness.ts"
import { HeldShards, makeEncodedMessageStorage } from "../../../src/actors/index.ts"
import { Watch } from "../../../src/client/Watch.ts"
import type { WatchEvent } from "../../../src/client/WatchNotice.ts"
import { eventually } from "../../Eventually.ts"
import { memory } from "../Stores.ts"

const address = { shardId: { group: "default", id: 1 }, entityType: "T", entityId: "1" }

const request = (requestId: string) => ({
  envelope: { _tag: "Request" as const, requestId, address, tag: "Do", payload: null, headers: {} },
  primaryKey: null,
  deliverAt: null
})

const chunk = (requestId: string, id: string) => ({
  _tag: "Chunk" as const,
  requestId,
  id,
  sequence: 0,
  values: [null] as [null]
})

const exit = (requestId: string, id: string) => ({
  _tag: "WithExit" as const,
  requestId,
  id,
  exit: { _tag: "Success" as const, value: null }
})

it.live("own requests and replies are no news; acknowledgements, interrupts and what others save are", () =>
  Effect.scoped(Effect.gen(function*() {
    const services = yield* memory
    const told: Array<string> = []
    const expected: Array<number> = []
    const keys = new ClusterKeys({ cluster: "own" })
    const nameOf = ({ _tag, keyText }: WatchEvent) => `${_tag} ${keys.queuedOf(keyText).slice(1).join("/")}`
    const recorded = Watch.pipe(Effect.map((watch) =>
      Watch.of({
        ...watch,
        open: (target, options = {}) => {
          const { isOwn } = options
          const noted = isOwn === undefined ? undefined : (event: WatchEvent) => {
            const own = isOwn(event)
            told.push(`${nameOf(event)} ${own ? "own" : "news"}`)
            return own
          }
          return Effect.map(watch.open(target, { ...options, isOwn: noted }), (handle) => ({
            ...handle,
            expects: (revision) => {
              expected.push(revision)
              handle.expects(revision)
            }
          }))
        }
      })
    ))
    const storage = (rests: boolean) =>
      makeEncodedMessageStorage({ cluster: "own" }, { freshness: new Freshness(true), rests }).pipe(
        Effect.map(({ encoded }) => encoded),
        Effect.provide(Layer.merge(Layer.effect(Watch, recorded), Layer.fresh(HeldShards.layer))),
        Effect.provide(services)
      )
    const runner = yield* storage(true)
    const other = yield* storage(false)
    const read = Effect.map(
      Effect.suspend(() => runner.unprocessedMessages(["default:1"], 1_000, { limit: 10 })),
      (found) => found.map(({ envelope }) => `${envelope._tag} ${envelope.requestId}`)
    )
    const expects = (...names: ReadonlyArray<string>) =>
      eventually(
        names.join(", "),
        Effect.sync(() => told.length === names.length && names.every((name) => told.includes(name)))
      )

    assert.deepStrictEqual(yield* read, [])
    yield* runner.saveEnvelope(request("1"))
    yield* other.saveEnvelope(request("2"))
    yield* expects("Put 1/r own", "Put 2/r news")
    assert.deepStrictEqual(expected, [])
    yield* eventually("both are read", Effect.map(read, (found) => found.length > 0))

    told.length = 0
    yield* runner.saveReply(chunk("1", "11"))
    yield* runner.saveReply(exit("2", "12"))
    yield* expects("Put 1/u own", "Delete 2/r own")
    assert.deepStrictEqual(expected, [])

    told.length = 0
    yield* runner.saveEnvelope({
      envelope: { _tag: "AckChunk", id: "13", address, requestId: "1", replyId: "11" },
      primaryKey: null,
      deliverAt: null
    })
    yield* expects("Put 1/a news", "Delete 1/u news", "Put 1/k news")
    assert.strictEqual(expected.length, 1)
    yield* eventually("the acknowledgement is read", Effect.map(read, (found) => found.includes("AckChunk 1")))

    told.length = 0
    yield* runner.saveEnvelope({
      envelope: { _tag: "Interrupt", id: "14", address, requestId: "1" },
      primaryKey: null,
      deliverAt: null
    })
    yield* expects("Put 1/i news")
    assert.strictEqual(expected.length, 2)

    // A request whose exit is taken back waits again.
    told.length = 0
    yield* runner.clearReplies(Snowflake.Snowflake("2"))
    yield* expects("Put 2/r news")
    assert.strictEqual(expected.length, 3)
    yield* eventually("it is read again", Effect.map(read, (found) => found.includes("Request 2")))
  })))
