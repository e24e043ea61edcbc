/** From PostgreSQL to FlareDB: one program runs on Effect's SQL storages, is moved, and goes on. */
import { PgClient } from "@effect/sql-pg"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Redacted, Scope, Stream } from "effect"
import { SqlMessageStorage } from "effect/cluster"
import { Digest } from "effect/crypto"
import { KeyValueStore, Persistence } from "effect/persistence"
import { ChildProcess } from "effect/process"
import { SqlClient } from "effect/sql"
import * as FlareDbBackEnd from "../../examples/actors/FlareDb.ts"
import * as PostgresBackEnd from "../../examples/actors/Postgres.ts"
import { HeldShards, layerBackingPersistence, makeEncodedMessageStorage } from "../../src/actors/index.ts"
import type { MigrationOptions } from "../../src/actors/migration/index.ts"
import { layerServices, Migration } from "../../src/actors/migration/index.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Account, add, jobs, Journal, layer as program, letters, Sleeper } from "../actors/Moving.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { cleanEnv, launcher, run } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"
import * as Postgres from "./Postgres.ts"

const json = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** Longer than what SQL keeps of a primary key. */
const longEntity = "long ".repeat(50)

/** An entity that nobody runs: its messages wait as they are. */
const address = { shardId: { group: "idle", id: 1 }, entityType: "Idle", entityId: "one" }
const idle = { request: "9007199254740993", acknowledged: "9007199254740994", chunk: "9007199254740996" }

/** Stores what a stream's request leaves when its reader goes away: chunks, one of them not acknowledged; an interrupt. */
const leaveStream = Effect.gen(function*() {
  const storage = yield* SqlMessageStorage.makeEncoded()
  const save = (envelope: Parameters<typeof storage.saveEnvelope>[0]["envelope"]) =>
    storage.saveEnvelope({ envelope, primaryKey: null, deliverAt: null })
  const { acknowledged, chunk, request: requestId } = idle
  yield* save({ _tag: "Request", requestId, address, tag: "List", payload: { a: 1 }, headers: { h: "x" } } as never)
  yield* storage.saveReply({ _tag: "Chunk", id: acknowledged, requestId, sequence: 0, values: [1] } as never)
  yield* save({ _tag: "AckChunk", id: "9007199254740995", requestId, replyId: acknowledged, address })
  yield* storage.saveReply({ _tag: "Chunk", id: chunk, requestId, sequence: 1, values: [2] } as never)
  yield* save({ _tag: "Interrupt", id: "9007199254740997", requestId, address })
})

/** Rows in plenty, so that a copy can be killed on its way: processed messages, elements, keys. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO cluster_messages
    (id, message_id, shard_id, entity_type, entity_id, kind, tag, payload, headers, processed, request_id, last_reply_id)
    SELECT i, 'Filler/' || i % 50 || '/Do/' || i, 'default:' || 1 + i % 16, 'Filler', (i % 50)::text, 0, 'Do',
      '{"i":' || i || '}', '{}', TRUE, i, 100000 + i FROM generate_series(1, 700) AS i`
  yield* sql`INSERT INTO cluster_replies (id, kind, request_id, payload)
    SELECT 100000 + i, 0, i, '{"_tag":"Success","value":' || i || '}' FROM generate_series(1, 700) AS i`
  yield* sql`INSERT INTO effect_queue
    (id, queue_name, element, state, attempts, visible_at, created_at, updated_at)
    SELECT 'filler ' || i, 'filler', '"x"', 'completed', 1, NOW(), NOW(), NOW() FROM generate_series(1, 600) AS i`
  yield* sql`INSERT INTO effect_key_value_store (id, value, value_type)
    SELECT 'filler ' || i, convert_to('value ' || i, 'UTF8'), 0 FROM generate_series(1, 600) AS i`
})

/** Longer than it takes until the runner on SQL has ended, which must not read what is due then. */
const laterMs = 300_000

if (!Postgres.isInstalled()) {
  it.skip(`moving from PostgreSQL: ${Postgres.howToInstall}`, () => {})
} else {
  it.live(
    "what Effect keeps in PostgreSQL is moved, and the program goes on where it was",
    () =>
      Effect.gen(function*() {
        const cluster = yield* Cluster.make(1)
        const [postgres] = yield* Effect.all([Postgres.start, Cluster.start(cluster)], { concurrency: 2 })
        const database = { ...postgres, database: yield* postgres.database("moved") }
        const { host, port, username } = postgres
        const url = `postgres://${username}@${host}:${port}/moved`
        const [sqlPort = 0, flareDbPort = 0] = yield* freePorts(2)
        const sharding = { shardsPerGroup: 16 }
        const pool = PgClient.layer({ url: Redacted.make(url) })
        const migrate = (...args: ReadonlyArray<string>) =>
          run(["actors", "migrate", "--json", "--endpoints", cluster.endpointList, ...args], {
            env: { DATABASE_URL: url }
          })

        // On SQL. Nothing that is due later is read there: it polls once an hour.
        const before: Array<string> = []
        const runner = yield* Scope.make()
        const onSql = yield* Layer.buildWithScope(
          program.pipe(
            Layer.provideMerge(PostgresBackEnd.layer({
              database: { host, port, username, database: "moved" },
              runner: { host, port: sqlPort },
              sharding: { ...sharding, entityMessagePollInterval: "1 hour" }
            })),
            Layer.provide(Layer.succeed(Journal, before)),
            Layer.provideMerge(pool),
            Layer.provideMerge(Persistence.layerBackingSql.pipe(Layer.provide(pool)))
          ),
          runner
        )
        const replies = yield* Effect.gen(function*() {
          const account = yield* Account.client
          const kvs = yield* KeyValueStore.KeyValueStore
          const queue = yield* jobs
          const { make } = yield* Persistence.BackingPersistence
          const cache = yield* make("cache")
          yield* cache.set("kept", { _tag: "Success", value: 1 }, undefined)
          yield* cache.set("hour", { _tag: "Success", value: 2 }, "1 hour" as never)
          yield* kvs.set("text", "grüß")
          yield* kvs.set("bytes", new Uint8Array([0, 255, 1]))
          for (const id of ["done", "tried", "a", "b", "c"]) yield* queue.offer(`job ${id}`, { id })
          yield* queue.offer("job later", { id: "later", delay: "1 hour" })
          yield* queue.take(() => Effect.void)
          yield* Effect.ignore(queue.take(() => Effect.fail("not yet")))
          yield* (yield* letters).offer("letter", { id: "letter" })
          yield* Effect.ignore((yield* letters).take(() => Effect.fail("unreadable")))
          const first = yield* account("alice").Add(add("first"))
          const long = yield* account(longEntity).Add(add("first"))
          const listed = yield* Stream.runCollect(account("alice").List(add("list")))
          assert.deepStrictEqual([...listed], [1, 2, 3, 4, 5])
          yield* account("alice").Add(add("tomorrow", Date.now() + 86_400_000), { discard: true })
          yield* Sleeper.execute({ id: "s", sleepMs: laterMs }, { discard: true })
          const sql = yield* SqlClient.SqlClient
          const scheduled = sql<{ rows: number }>`
          SELECT COUNT(*)::int AS rows FROM cluster_messages WHERE deliver_at IS NOT NULL AND entity_type <> 'Account'`
          yield* eventually("the workflow's alarm", Effect.map(scheduled, ([row]) => row?.rows === 1))
          // Last: what reads the queue for another reason would take it along once it is due.
          yield* account("alice").Add(add("due", Date.now() + laterMs), { discard: true })
          const refused = yield* migrate()
          assert.strictEqual(refused.code, 1)
          assert.include(refused.err, `"runners":["${host}:${sqlPort}"]`)
          return { first, long }
        }).pipe(Effect.provide(onSql))
        yield* Scope.close(runner, Exit.void)

        // Messages that no runner has read.
        yield* Effect.gen(function*() {
          const account = yield* Account.client
          for (const i of [1, 2, 3, 4, 5]) {
            for (const name of ["alice", "bob"]) yield* account(name).Add(add(`waiting ${i}`), { discard: true })
          }
          yield* leaveStream
          yield* fill
          // The workflow's alarm and the message for later are due by now.
          const sql = yield* SqlClient.SqlClient
          const nowMs = Date.now()
          const due = yield* sql`UPDATE cluster_messages SET deliver_at = ${nowMs}
            WHERE deliver_at > ${nowMs} AND deliver_at < ${nowMs + 2 * laterMs} RETURNING id`
          assert.lengthOf(due, 2)
        }).pipe(
          Effect.provide(PostgresBackEnd.layerClientOnly({ database, sharding }).pipe(Layer.provideMerge(pool))),
          Effect.provide(Digest.layerWebCrypto)
        )
        assert.deepStrictEqual(before, ["add alice first", `add ${longEntity.slice(0, 20)} first`, "first s"])

        const counted = yield* migrate("--dry-run")
        assert.strictEqual(counted.code, 0, counted.err)
        // Of what is delayed, some may be due.
        const names: Readonly<Record<string, string>> = { scheduled: "pending", "jobs: delayed": "jobs: pending" }
        const rows = json(counted.out).map(({ counts, table }) => {
          const sums = new Map<string, number>()
          for (const [what, count] of Object.entries(counts as Record<string, number>)) {
            const name = names[what] ?? what
            sums.set(name, (sums.get(name) ?? 0) + count)
          }
          return [table, Object.fromEntries(sums)]
        })
        assert.deepStrictEqual(rows, [
          ["cluster_messages", { acknowledgements: 2, chunks: 3, interrupts: 1, pending: 14, processed: 705 }],
          ["effect_queue", {
            "filler: completed": 600,
            "jobs: completed": 1,
            "jobs: pending": 5,
            "letters: failed": 1
          }],
          ["effect_persistence", { cache: 2 }],
          ["effect_key_value_store", { bytes: 1, text: 601 }]
        ])

        // Killed on its way, and started again.
        yield* Effect.gen(function*() {
          const kv = yield* KeyValue
          const killed = yield* ChildProcess.make(
            process.execPath,
            [launcher, "actors", "migrate", "--endpoints", cluster.endpointList],
            { env: cleanEnv({ DATABASE_URL: url }), extendEnv: true, stdin: "ignore", stderr: "inherit" }
          )
          const position = "fx/migration/default/cluster_messages"
          yield* eventually(
            "a first page",
            Effect.map(kv.get(position), (row) => Option.isSome(row) && !row.value.text.includes(`"rows":0`))
          )
          yield* killed.kill({ killSignal: "SIGKILL" })
        }).pipe(Effect.scoped, Effect.provide(Cluster.client(cluster)))
        const copied = yield* migrate()
        assert.strictEqual(copied.code, 0, copied.err)

        yield* Effect.gen(function*() {
          const kv = yield* KeyValue
          // All rows are equal but the one that is changed here.
          yield* kv.put("fx/kv/default/filler 7", "tother")
          const differs = yield* migrate("--verify")
          assert.strictEqual(differs.code, 1)
          assert.deepStrictEqual(
            json(differs.out).map(({ differences, rows, table }) => [table, differences, rows]),
            json(copied.out).map(({ rows, table }) => [table, table === "effect_key_value_store" ? 1 : 0, rows])
          )
          assert.match(differs.err, /effect_key_value_store: row filler 7: its value differs/)

          // What is not copied, and why.
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE big_values (id TEXT PRIMARY KEY, value BYTEA NOT NULL, value_type SMALLINT NOT NULL)`
          yield* sql`INSERT INTO big_values SELECT 'a', 'small', 0
            UNION ALL SELECT 'big', convert_to(repeat('x', 1100000), 'UTF8'), 0`
          yield* sql`CREATE TABLE later_messages AS SELECT *, 1 AS priority FROM cluster_messages LIMIT 1`
          const refusal = (prefix: string, options: Partial<MigrationOptions> = {}) =>
            Effect.flatMap(
              Migration.make({
                cluster: "default",
                keyValueStore: "default",
                tablePrefix: "none",
                queueTable: "none",
                keyValueTable: "big_values",
                required: [],
                keepProcessed: false,
                runnersStopped: false,
                prefix,
                ...options
              }),
              ({ copy }) => copy(() => Effect.void)
            ).pipe(Effect.flip, Effect.scoped, Effect.provide(Layer.fresh(layerServices(prefix))))
          assert.match(String(yield* refusal("t/", { required: ["none"] })), /there is no table none/)
          assert.match(
            String(yield* refusal("t/", { queueTable: "big_values" })),
            /lacks the columns sequence, queue_name/
          )
          assert.match(String(yield* refusal("t/", { tablePrefix: "later" })), /has the columns priority besides/)
          assert.match(String(yield* refusal("t/")), /row big of big_values cannot be copied: it has 1100000 bytes/)
          assert.strictEqual(yield* kv.count("t/kv/default/a"), 1)
          yield* kv.put("t/migration/default/big_values", `{"v":1,"source":"other@1","after":"","rows":0}`)
          assert.match(String(yield* refusal("t/")), /was begun from other@1, not from moved@/)
          yield* kv.put("u/kv/default/x", "tx")
          assert.match(String(yield* refusal("u/")), /copied to u\/kv\/default\/ in FlareDB, which holds other rows/)

          // A request with chunks is as it was left.
          const { encoded } = yield* makeEncodedMessageStorage({})
          const { acknowledged, chunk, request } = idle
          const stored = yield* encoded.repliesForUnfiltered([request])
          assert.deepStrictEqual(stored.map(({ id }) => id), [acknowledged, chunk])
          const left = yield* encoded.repliesFor([request])
          assert.deepStrictEqual(left.map(({ id }) => id), [chunk])
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Layer.mergeAll(HeldShards.layer, Cluster.client(cluster), pool)
          )
        )

        // On FlareDB, with nothing else changed.
        const after: Array<string> = []
        yield* Effect.gen(function*() {
          const account = yield* Account.client
          const kvs = yield* KeyValueStore.KeyValueStore
          const cache = yield* (yield* Persistence.BackingPersistence).make("cache")
          // Who sends it again gets its first reply.
          assert.strictEqual(yield* account("alice").Add(add("first")), replies.first)
          assert.strictEqual(yield* account(longEntity).Add(add("first")), replies.long)
          assert.strictEqual(yield* Sleeper.execute({ id: "s", sleepMs: laterMs }), "first, second")
          yield* eventually("all messages", Effect.sync(() => after.length >= 12))
          const of = (name: string) => after.filter((line) => line.startsWith(`add ${name} waiting`))
          for (const name of ["alice", "bob"]) {
            assert.deepStrictEqual(of(name), [1, 2, 3, 4, 5].map((i) => `add ${name} waiting ${i}`))
          }
          assert.deepStrictEqual(after.filter((line) => !line.includes("waiting")).sort(), [
            "add alice due",
            "second s"
          ])

          assert.strictEqual(yield* kvs.get("text"), "grüß")
          assert.deepStrictEqual(yield* kvs.getUint8Array("bytes"), new Uint8Array([0, 255, 1]))
          assert.deepStrictEqual(yield* cache.get("kept"), { _tag: "Success", value: 1 })
          assert.deepStrictEqual(yield* cache.get("hour"), { _tag: "Success", value: 2 })

          const queue = yield* jobs
          // Finished ids are known.
          yield* queue.offer("job done", { id: "done" })
          const take = queue.take((job, { attempts }) => Effect.succeed([job, attempts] as const))
          const taken = [yield* take, yield* take, yield* take, yield* take]
          assert.deepStrictEqual(taken.filter(([job]) => job !== "job tried"), [["job a", 1], ["job b", 1], [
            "job c",
            1
          ]])
          assert.deepStrictEqual(taken.find(([job]) => job === "job tried"), ["job tried", 2])
        }).pipe(
          Effect.provide(
            program.pipe(
              Layer.provideMerge(FlareDbBackEnd.layer({
                endpoints: cluster.endpoints,
                runner: { host, port: flareDbPort },
                sharding
              })),
              Layer.provide(Layer.succeed(Journal, after)),
              Layer.provideMerge(layerBackingPersistence().pipe(Layer.provide(Cluster.client(cluster))))
            )
          )
        )
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    240_000
  )
}
