/**
 * Clients that ask for much and take nothing, and clients that ask and go away: nodes keep their memory and their
 * leader, others are served, and the work ends.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { Op } from "../../src/client/Txn.ts"
import { encodeBatch } from "../../src/protocol/Batch.ts"
import type { Query } from "../../src/kv/model/Query.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import { eventually } from "../Eventually.ts"
import { open } from "../server/RawConnection.ts"
import { call } from "../wire/Frames.ts"
import * as Cluster from "./Cluster.ts"
import { figure, report } from "./Figures.ts"
import { untilEntries } from "./Metrics.ts"
import { rest } from "./Rest.ts"

const mebibyte = 1024 * 1024
const budgetBytes = 32 * mebibyte
const frameMs = 1_500

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const rssBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

const read = (id: number, query: Query, count: number): Uint8Array =>
  call(ClientRpcs, id, "client.Read", {
    consistency: "stale",
    from: "any",
    queries: encodeBatch(Array.from({ length: count }, () => encodeQuery(query)))
  })

/** A connection that was let in, and reads what comes or does not. */
const admitted = Effect.fnUntraced(function*(node: Cluster.ClusterNode, reads: boolean) {
  const connection = yield* open(node.address.clientPort, reads)
  connection.send(call(ClientRpcs, "hello", "client.Hello", { protocolVersion: clientProtocolVersion }))
  return connection
})

const terms = Effect.flatMap(
  ClusterAdmin,
  ({ status }) => Effect.map(status, (all) => all.map((answer) => answer.report?.term))
)

it.live("clients that do not read, or go away, cost a bounded amount", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, undefined, {
      FLAREDB_MAX_PENDING_ANSWER_BYTES: String(budgetBytes),
      FLAREDB_MAX_FRAME_MS: String(frameMs),
      // A machine that is busy with other tests is no reason for an election; seconds of silence are.
      FLAREDB_ELECTION_TIMEOUT_MIN_MS: "2000",
      FLAREDB_ELECTION_TIMEOUT_MAX_MS: "4000"
    })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const leader = yield* cluster.leader
      const value = "x".repeat(mebibyte)
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => kv.put(`large/${key}`, value), { discard: true })
      const before = yield* terms
      const quietBytes = rssBytes(leader.pid)
      let highest = quietBytes
      const took: Array<number> = []
      const others = yield* Effect.forkChild(Effect.all([
        Effect.forever(Effect.andThen(
          Effect.sync(() => {
            highest = Math.max(highest, rssBytes(leader.pid))
          }),
          Effect.sleep(10)
        )),
        Effect.forever(Effect.gen(function*() {
          const began = yield* Clock.currentTimeMillis
          yield* kv.put("other", "v")
          yield* kv.get("other")
          took.push((yield* Clock.currentTimeMillis) - began)
          yield* rest
        }))
      ], { concurrency: "unbounded" }))

      // 22 KiB of gets, ten times on each of four connections, whose answers nobody takes.
      const deaf = yield* Effect.forEach(
        Array.from({ length: 4 }),
        () => admitted(leader, false)
      )
      for (const connection of deaf) {
        for (let id = 0; id < 10; id++) {
          connection.send(read(id, { _tag: "Get", key: bytes("large/a") }, 1_500))
        }
      }
      // They are closed, and what they held is free.
      const closed = () => leader.log.filter((line) => line.includes("unread-answers")).length
      yield* eventually("their connections are closed", () => closed() >= deaf.length)
      const grown = Math.round((highest - quietBytes) / mebibyte)
      figure(`memory of the leader with answers that nobody takes: ${grown} MiB more`)
      report("a put and a get beside clients that take nothing", took)
      assert.isBelow(grown, 384)
      yield* untilEntries(leader, "client_answer_bytes", (held) => held < mebibyte)

      // Counts that would take minutes, of a client that goes away.
      yield* Effect.forEach(
        Array.from({ length: 40 }, (_, i) => i),
        (i) => kv.transact({ do: Array.from({ length: 500 }, (_, j) => Op.put(`many/${i}/${j}`, "")) }),
        { concurrency: 4, discard: true }
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const gone = yield* admitted(leader, true)
        gone.send(read(1, { _tag: "Count", range: { gte: bytes("many/"), lt: bytes("many0") } }, 4_000))
        yield* untilEntries(leader, "client_operations", (operations) => operations >= 4_000)
      }))
      yield* untilEntries(leader, "client_operations", (operations) => operations < 100)

      yield* Fiber.interrupt(others)
      report("a put and a get beside counts of a client that goes away", took)
      assert.isAbove(took.length, 0)
      assert.deepStrictEqual(yield* terms, before, "an election took place")
      const status = yield* Effect.flatMap(ClusterAdmin, (admin) => admin.status)
      assert.isTrue(status.every((answer) => answer.report !== undefined))
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer), Effect.scoped), 300_000)
