/** Watches over HTTP: every change once, over nodes and lost connections, with an end that says why. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { ClusterAdmin } from "../../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { ChangesData } from "../../../src/http/api/Answers.ts"
import { eventually } from "../../Eventually.ts"
import { port, quietly } from "./ApiPort.ts"
import type { Source } from "./EventSource.ts"
import { open } from "./EventSource.ts"

const twoPorts = Effect.gen(function*() {
  const services = yield* Layer.build(FlareDb.layerMemory)
  const cluster = Layer.succeedContext(services)
  return {
    first: yield* port({}, cluster),
    second: yield* port({}, cluster),
    kv: Context.get(services, KeyValue),
    admin: Context.get(services, ClusterAdmin)
  }
})

/** The next changes, which are as the definition has them. */
const changes = (source: Source) =>
  Effect.map(source.next, ({ data, event, id }) => {
    assert.strictEqual(event, "changes", JSON.stringify(data))
    assert.match(id ?? "", new RegExp(`@${data.revision}$`))
    return Schema.decodeUnknownSync(ChangesData, { onExcessProperty: "error" })(data)
  })

describe("a watch over HTTP", () => {
  it.live("tells every change, and goes on at another node behind the last event", () =>
    Effect.gen(function*() {
      const { first, kv, second } = yield* twoPorts
      const source = yield* open(first.port, "/v1/watch?prefix=a%2F&previous=true")
      assert.deepStrictEqual([source.status, source.type], [200, "text/event-stream"])
      assert.deepInclude(yield* source.next, { event: "began", data: { revision: 1 } })
      yield* kv.put("a/1", "one")
      yield* kv.put("b", "not watched")
      yield* kv.put("a/1", "two")
      const { events: [created] } = yield* changes(source)
      assert.deepStrictEqual(created, {
        type: "put",
        key: "a/1",
        entry: { key: "a/1", value: "one", createRevision: 1, modRevision: 1, version: 1 }
      })
      const { events: [replaced] } = yield* changes(source)
      assert.deepInclude(replaced?.previous, { value: "one" })
      const seen = source.lastId() as string
      yield* kv.delete("a/1")
      yield* kv.put("a/2", "three")
      // What the first node told meanwhile is of no matter.
      const further = yield* open(second.port, "/v1/watch?prefix=a%2F", { "last-event-id": seen })
      assert.strictEqual((yield* further.next).event, "began")
      assert.deepStrictEqual((yield* changes(further)).events, [{ type: "delete", key: "a/1" }])
      assert.strictEqual((yield* changes(further)).revision, 5)
      // A number alone does as well, and `from` names the first revision.
      const byNumber = yield* open(second.port, "/v1/watch?prefix=a%2F", { "last-event-id": "4" })
      assert.strictEqual((yield* byNumber.next).event, "began")
      assert.strictEqual((yield* changes(byNumber)).revision, 5)
      const from = yield* open(second.port, "/v1/watch?key=a%2F1&from=3&only=deletes")
      yield* from.next
      assert.strictEqual((yield* changes(from)).revision, 4)
    }).pipe(Effect.scoped, quietly))

  it.live("says that it is alive, and up to where, while nothing changes", () =>
    Effect.gen(function*() {
      const { first, kv } = yield* twoPorts
      const source = yield* open(first.port, "/v1/watch?key=a&heartbeatMs=100")
      yield* source.next
      yield* kv.put("b", "elsewhere")
      yield* eventually("a comment that goes on to revision 1", () => source.lastId()?.endsWith("@1") === true)
      assert.isAtLeast(source.comments(), 1)
    }).pipe(Effect.scoped, quietly))

  it.live("is refused with a status when its history is gone, or has yet to come", () =>
    Effect.gen(function*() {
      const { admin, first, kv } = yield* twoPorts
      for (let i = 0; i < 3; i++) yield* kv.put("a", String(i))
      yield* admin.compact(3)
      const { json: gone, status } = yield* first.ask("/v1/watch?from=1")
      assert.deepInclude(gone, { tag: "Compacted", requested: 1, oldest: 3, retry: "read-again" })
      assert.strictEqual(status, 410)
      assert.deepInclude((yield* first.ask("/v1/watch?from=9")).json, { tag: "FutureRevision", revision: 3 })
      // A revision of another cluster means nothing here, as after a restore.
      const other = { headers: { "last-event-id": "2f1c9a9e-6f5b-4c0e-9d0a-3b7e0c1d2e4f@1" } }
      assert.strictEqual((yield* first.ask("/v1/watch", other)).json.tag, "WrongCluster")
    }).pipe(Effect.scoped, quietly))

  it.live("has a place of so many, and gives it back when its caller goes", () =>
    Effect.gen(function*() {
      const { ask, port: at } = yield* port({ limits: { maxHttpWatches: 1 } })
      yield* Effect.scoped(Effect.gen(function*() {
        const source = yield* open(at, "/v1/watch")
        yield* source.next
        assert.deepInclude((yield* ask("/v1/watch")).json, { tag: "Overloaded", limit: "maxHttpWatches" })
      }))
      // One that was refused has none either, nor has one that takes no body, or that is gone before it begins.
      const head = Effect.map(ask("/v1/watch", { method: "HEAD" }), ({ status }) => status === 200)
      yield* eventually("a place for an answer without a body", head)
      for (let i = 0; i < 10; i++) yield* Effect.raceFirst(Effect.asVoid(ask("/v1/watch")), Effect.yieldNow)
      const wrong = Effect.map(ask("/v1/watch?from=9"), ({ json }) => json.tag === "FutureRevision")
      yield* eventually("a place for a watch that is refused", wrong)
      yield* eventually("a place", Effect.scoped(Effect.map(open(at, "/v1/watch"), ({ status }) => status === 200)))
    }).pipe(Effect.scoped, quietly))

  it.live("is closed when its caller takes nothing for too long, and others go on", () =>
    Effect.gen(function*() {
      const { context, port: at } = yield* port({ limits: { maxFrameMs: 1_000, maxHttpWatches: 2 } })
      const kv = Context.get(context, KeyValue)
      const slow = yield* open(at, "/v1/watch")
      const reader = yield* open(at, "/v1/watch?key=last")
      yield* slow.next
      yield* reader.next
      const another = Effect.scoped(Effect.map(open(at, "/v1/watch"), ({ status }) => status))
      assert.strictEqual(yield* another, 429)
      slow.stall()
      // More than a connection takes by itself.
      const value = new Uint8Array(1024 * 1024)
      for (let i = 0; i < 24; i++) yield* kv.put(`large/${i}`, value)
      // A caller that reads nothing does not read of the end either; its place is free.
      yield* eventually("the end of the slow one", Effect.map(another, (status) => status === 200))
      yield* kv.put("last", "")
      assert.strictEqual((yield* changes(reader)).events[0]?.key, "last")
    }).pipe(Effect.scoped, quietly), 20_000)
})
