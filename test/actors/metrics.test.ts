/** The metrics of a process of actors, and that rules and documentation name those that there are. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Metric, Schedule, Schema } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { PersistedQueue } from "effect/persistence"
import { readFileSync } from "node:fs"
import { countFenced, sampled } from "../../src/actors/ActorMetrics.ts"
import { Actors, addToTransaction, layerPersistedQueue, ShardLockLost } from "../../src/actors/index.ts"
import { MessageStorage } from "effect/cluster"
import { Compare, Op } from "../../src/client/Txn.ts"
import { eventually } from "../Eventually.ts"
import { Add, Counter, CounterLive, Later } from "./Counter.ts"

const names = [
  ...readFileSync("src/actors/ActorMetrics.ts", "utf8").matchAll(/(?:counter|gauge)\(\s*"(\w+)"/g)
].map(([, name]) => `flaredb_actors_${name}`)

const valuesOf = (text: string) =>
  Object.fromEntries(
    [...text.matchAll(/^(flaredb_actors_\w+(?:\{[^}]*\})?) (\S+)$/gm)].map((
      [, series, value]
    ) => [series, Number(value)])
  )

it.live("a process counts what it stores, holds, claims and settles", () =>
  Effect.gen(function*() {
    const values = Effect.map(PrometheusMetrics.format(), valuesOf)
    // What an alert compares with has to be there before the first event.
    assert.include(yield* values, {
      flaredb_actors_messages_saved_total: 0,
      flaredb_actors_messages_processed_total: 0,
      flaredb_actors_replies_fenced_total: 0,
      flaredb_actors_shard_locks_lost_total: 0,
      flaredb_actors_transaction_conflicts_total: 0
    })
    const counter = (yield* Counter.client)("one")
    yield* counter.Add(new Add({ id: "a" }))
    yield* counter.Later(new Later({ id: "b", atMs: Date.now() + 3_600_000 }), { discard: true })

    const storage = yield* MessageStorage.MessageStorage
    const conflict = addToTransaction({ if: [Compare.exists("nothing")], do: [Op.put("k", "v")] })
    yield* Effect.exit(storage.withTransaction(conflict))

    const factory = yield* Effect.map(
      Layer.build(layerPersistedQueue()),
      (context) => Context.get(context, PersistedQueue.PersistedQueueFactory)
    )
    const queue = yield* factory.make({
      name: "mails",
      schema: Schema.Number,
      maxAttempts: 2,
      retrySchedule: Schedule.spaced(1)
    })
    for (const n of [1, 2]) {
      yield* queue.offer(n)
      for (let attempt = 1; attempt <= n; attempt++) {
        yield* Effect.exit(queue.take(() => n === 1 ? Effect.void : Effect.fail("no")))
      }
    }
    yield* Effect.exit(countFenced(Effect.fail({ cause: new ShardLockLost({ shard: "default:1" }) })))
    yield* Effect.exit(countFenced(Effect.fail({ cause: new Error("the store is away") })))
    // Samples of the queues are taken every few seconds.
    yield* eventually("a sample is taken", Effect.map(values, (now) => now["flaredb_actors_messages_delayed"] === 1))
    const now = yield* values
    assert.include(now, {
      flaredb_actors_messages_saved_total: 2,
      flaredb_actors_messages_processed_total: 1,
      flaredb_actors_messages_waiting: 0,
      flaredb_actors_oldest_message_age_seconds: 0,
      flaredb_actors_shard_locks_held: 4,
      flaredb_actors_shard_locks_acquired_total: 4,
      flaredb_actors_shards: 4,
      flaredb_actors_replies_fenced_total: 1,
      flaredb_actors_transaction_conflicts_total: 1,
      "flaredb_actors_queue_claims_total{queue=\"mails\"}": 3,
      "flaredb_actors_queue_settled_total{queue=\"mails\",outcome=\"completed\"}": 1,
      "flaredb_actors_queue_settled_total{queue=\"mails\",outcome=\"retried\"}": 1,
      "flaredb_actors_queue_settled_total{queue=\"mails\",outcome=\"failed\"}": 1,
      "flaredb_actors_queue_settled_total{queue=\"mails\",outcome=\"released\"}": 0
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(CounterLive.pipe(Layer.provideMerge(Actors.layerMemory({
      sharding: {
        shardsPerGroup: 4,
        refreshAssignmentsInterval: "100 millis",
        entityReplyPollInterval: "100 millis",
        shardLockExpiration: "1 minute"
      }
    })))),
    Effect.provideService(Metric.MetricRegistry, new Map())
  ))

describe("a sample of the queues", () => {
  const nowMs = Date.UTC(2026, 0, 1)
  const idAt = (ms: number) => String(BigInt(ms - Date.UTC(2025, 0, 1)) << 22n)
  const request = (id: string, deliverAt = -Infinity) => [id, { id, items: new Map([["r", { deliverAt }]]) }] as const

  it("tells what is due from what is not, and takes the oldest of all shards", () => {
    const found = sampled([
      new Map([request(idAt(nowMs - 5_000)), request(idAt(nowMs - 90_000), nowMs + 1)]),
      new Map([request(idAt(nowMs - 60_000)), request(idAt(nowMs - 600_000), nowMs - 2_000)])
    ], nowMs)
    assert.deepStrictEqual(found, { waiting: 3, delayed: 1, ageMs: 60_000 })
  })

  it("counts a message that became due from then on", () => {
    const found = sampled([new Map([request(idAt(nowMs - 600_000), nowMs - 2_000)])], nowMs)
    assert.deepStrictEqual(found, { waiting: 1, delayed: 0, ageMs: 2_000 })
  })

  it("is of age 0 when nothing waits, also where clocks differ", () => {
    assert.deepStrictEqual(sampled([], nowMs), { waiting: 0, delayed: 0, ageMs: 0 })
    assert.strictEqual(sampled([new Map([request(idAt(nowMs + 7_000))])], nowMs).ageMs, 0)
  })
})

describe("the names of metrics", () => {
  it("are all documented", () => {
    const documented = readFileSync("docs/actors.md", "utf8")
    assert.isAbove(names.length, 10)
    assert.deepStrictEqual(names.filter((name) => !documented.includes(`\`${name}`)), [])
  })

  it("in the alert rules are names of metrics, and each alert says what to do", () => {
    const rules = readFileSync("deploy/prometheus/actors.rules.yml", "utf8")
    const used = [...rules.matchAll(/flaredb_actors_\w+/g)].map(([name]) => name).filter((name) => !name.endsWith("_"))
    assert.isAbove(used.length, 5)
    assert.deepStrictEqual(used.filter((name) => !names.includes(name)), [])
    const alerts = rules.split("- alert: ").slice(1)
    assert.isAtLeast(alerts.length, 5)
    for (const alert of alerts) {
      for (const part of ["expr: ", "severity: ", "summary: ", "description: >-"]) assert.include(alert, part)
    }
    for (const [, command] of rules.matchAll(/flaredb (actors [a-z-]+)/g)) {
      assert.include(readFileSync("docs/actors.md", "utf8"), `flaredb ${command}`)
    }
  })
})
