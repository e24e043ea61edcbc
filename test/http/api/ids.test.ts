/** Writes with an id, sent again, to two ports of one cluster: each is carried out once. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Leases } from "../../../src/client/Lease.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import type { Asked } from "./ApiPort.ts"
import { json, port, quietly } from "./ApiPort.ts"

const put = (body: string, id: string, headers: Readonly<Record<string, string>> = {}): Asked => ({
  method: "PUT",
  body,
  headers: { "idempotency-key": id, ...headers }
})

/** Two nodes as far as HTTP goes: neither knows what the other was asked. */
const twoPorts = Effect.gen(function*() {
  const services = yield* Layer.build(FlareDb.layerMemory)
  const cluster = Layer.succeedContext(services)
  return { first: yield* port({}, cluster), second: yield* port({}, cluster), services }
})

describe("a write with an id", () => {
  it.live("is carried out once, whichever node it is sent to, and as often as it is", () =>
    Effect.gen(function*() {
      const { first, second } = yield* twoPorts
      const increment = json({
        if: [{ key: "n", exists: false }],
        do: [{ op: "put", key: "n", value: "1" }],
        else: [{ op: "put", key: "n", value: "2" }]
      }, { "idempotency-key": "increment" })
      const answers = yield* Effect.forEach(
        [first, second, first, second, first, second],
        ({ ask }) => ask("/v1/txn", increment),
        { concurrency: "unbounded" }
      )
      const [original, ...others] = answers.filter(({ json: answer }) => answer.replayed !== true)
      assert.deepStrictEqual(others, [])
      for (const { json: answer } of answers) {
        assert.deepInclude(answer, { succeeded: true, revision: original?.json.revision })
      }
      const { json: entry } = yield* first.ask("/v1/keys/n?as=json")
      assert.deepInclude(entry, { value: "1", version: 1 })
      // Between the attempts somebody else may write.
      yield* first.ask("/v1/keys/n", { method: "PUT", body: "3" })
      assert.deepStrictEqual((yield* second.ask("/v1/txn", increment)).json, {
        succeeded: true,
        revision: original?.json.revision,
        replayed: true
      })
      assert.strictEqual((yield* second.ask("/v1/keys/n")).text, "3")
    }).pipe(Effect.scoped, quietly))

  it.live("is answered with its revision when it is a put or a delete", () =>
    Effect.gen(function*() {
      const { first, second } = yield* twoPorts
      const { json: created } = yield* first.ask("/v1/keys/a", put("1", "one"))
      assert.deepInclude(created, { created: true, version: 1 })
      const again = yield* second.ask("/v1/keys/a", put("1", "one"))
      assert.deepStrictEqual(again.json, { revision: created.revision, replayed: true })
      assert.strictEqual(again.headers.etag, `"${created.revision}"`)
      const remove: Asked = { method: "DELETE", headers: { "idempotency-key": "two" } }
      const { json: deleted } = yield* second.ask("/v1/keys/a", remove)
      assert.isTrue(deleted.deleted)
      yield* first.ask("/v1/keys/a", { method: "PUT", body: "new" })
      assert.deepStrictEqual((yield* first.ask("/v1/keys/a", remove)).json, {
        revision: deleted.revision,
        replayed: true
      })
      assert.strictEqual((yield* first.ask("/v1/keys/a")).text, "new")
    }).pipe(Effect.scoped, quietly))

  it.live("is refused when its id was another write's", () =>
    Effect.gen(function*() {
      const { first, second } = yield* twoPorts
      const { json: { revision } } = yield* first.ask("/v1/keys/a", put("1", "one"))
      for (const asked of [put("2", "one"), { method: "DELETE", headers: { "idempotency-key": "one" } }]) {
        const refused = yield* second.ask("/v1/keys/a", asked)
        assert.deepInclude(refused.json, { tag: "RequestIdReused", revision, wasWritten: "no" })
      }
      assert.strictEqual((yield* second.ask("/v1/keys/b", put("1", "one"))).json.tag, "RequestIdReused")
      assert.strictEqual(
        (yield* second.ask("/v1/leases", json({ ttlMs: 5_000 }, { "idempotency-key": "one" }))).status,
        422
      )
      for (const id of ["", "a b", "x".repeat(129), "ü"]) {
        const { json: answer } = yield* first.ask("/v1/keys/a", put("1", Buffer.from(id).toString("latin1")))
        assert.deepInclude(answer, { tag: "InvalidArgument", field: "Idempotency-Key" })
      }
      assert.strictEqual((yield* second.ask("/v1/keys/a")).text, "1")
    }).pipe(Effect.scoped, quietly))

  it.live("is not remembered when it changed nothing", () =>
    Effect.gen(function*() {
      const { first } = yield* twoPorts
      const conditional = put("1", "one", { "if-match": "*" })
      assert.strictEqual((yield* first.ask("/v1/keys/a", conditional)).status, 412)
      yield* first.ask("/v1/keys/a", { method: "PUT", body: "0" })
      assert.strictEqual((yield* first.ask("/v1/keys/a", conditional)).json.version, 2)
      assert.isTrue((yield* first.ask("/v1/keys/a", conditional)).json.replayed)
    }).pipe(Effect.scoped, quietly))

  it.live("grants one lease", () =>
    Effect.gen(function*() {
      const { first, second } = yield* twoPorts
      const grant = json({ ttlMs: 60_000 }, { "idempotency-key": "lease" })
      const answers = yield* Effect.forEach([first, second, first, second], ({ ask }) => ask("/v1/leases", grant), {
        concurrency: "unbounded"
      })
      const ids = new Set(answers.map(({ json: { id } }) => id))
      assert.strictEqual(ids.size, 1)
      assert.strictEqual(answers.filter(({ json: answer }) => answer.replayed !== true).length, 1)
      // Those of lost races are revoked; what is left beside it holds records.
      const { json: { leases } } = yield* first.ask("/v1/leases")
      assert.strictEqual(leases.filter(({ ttlMs }: { ttlMs: number }) => ttlMs === 60_000).length, 1)
    }).pipe(Effect.scoped, quietly))

  it.live("leaves no lease behind whose record was refused", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* port({ limits: { maxRequestIds: 1 } })
      yield* ask("/v1/keys/a", put("1", "one"))
      const refused = yield* ask("/v1/leases", json({ ttlMs: 60_000 }, { "idempotency-key": "two" }))
      assert.deepInclude(refused.json, { tag: "Overloaded", limit: "maxRequestIds" })
      const left = (yield* Context.get(context, Leases).list()).filter(({ ttlMs }) => ttlMs === 60_000)
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.scoped, quietly))

  it.live("is forgotten with the lease of its record, of which a node has so many", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* port({ limits: { maxRequestIds: 2, minRequestIdMs: 60_000 } })
      const leases = Context.get(context, Leases)
      for (const id of ["one", "two"]) yield* ask("/v1/keys/a", put("1", id))
      const [records] = yield* leases.list()
      assert.deepInclude(records, { ttlMs: 120_000, keys: 2 })
      const refused = yield* ask("/v1/keys/a", put("1", "three"))
      assert.deepInclude(refused.json, { tag: "Overloaded", limit: "maxRequestIds", current: 2, maximum: 2 })
      // Without an id it goes on.
      assert.strictEqual((yield* ask("/v1/keys/a", { method: "PUT", body: "2" })).status, 200)
      assert.strictEqual((yield* ask("/v1/count?prefix=flaredb/requests/")).json.count, 2)
      yield* leases.revoke(records?.id ?? 0)
      assert.strictEqual((yield* ask("/v1/count?prefix=flaredb/requests/")).json.count, 0)
    }).pipe(Effect.scoped, quietly))

  it.live("gets another lease for its record when that has ended before its time", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* port()
      const leases = Context.get(context, Leases)
      yield* ask("/v1/keys/a", put("1", "one"))
      for (const { id } of yield* leases.list()) yield* leases.revoke(id)
      assert.strictEqual((yield* ask("/v1/keys/a", put("2", "two"))).json.version, 2)
      assert.isTrue((yield* ask("/v1/keys/a", put("2", "two"))).json.replayed)
    }).pipe(Effect.scoped, quietly))
})
