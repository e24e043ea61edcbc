/**
 * Strangers and careless clients against what sessions and leases keep on every node: one connection takes neither all
 * places nor all memory, nobody writes in a session of somebody else, and operators can always act.
 */
import { assert } from "@effect/vitest"
import { Effect, Option } from "effect"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { write } from "../../src/client/connection/Connection.ts"
import * as TcpConnection from "../../src/client/connection/TcpConnection.ts"
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { prefixRange } from "../../src/bytes/KeyRange.ts"
import { maxKeptReplyBytes, maxSessions } from "../../src/kv/model/Limits.ts"
import type { Reply } from "../../src/kv/model/Reply.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import type { Ran } from "./Flaredb.ts"
import { run } from "./Flaredb.ts"
import { onShared, SharedCluster, withClient } from "./SharedCluster.ts"

const mebibyte = 1024 * 1024
const monthMs = 30 * 24 * 3_600_000
const secret = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i)
const bytes = (text: string): Uint8Array => Buffer.from(text)
const openFor = (ttlMs: number): Command => ({ _tag: "OpenSession", ttlMs, secret, owner: "" })
const put = (key: string, value: string): Command => ({ _tag: "Put", key: bytes(key), value: bytes(value), lease: 0 })

/** A connection as anybody can open one, which sends what it likes. */
const stranger = (node: Cluster.ClusterNode) =>
  Effect.map(TcpConnection.make({ connectTimeoutMs: 5_000 })(node.endpoint), (connection) => ({
    send: (commands: ReadonlyArray<{ readonly command: Command; readonly commandId?: CommandId }>) =>
      Effect.map(
        write(connection, commands.map(({ command, commandId }) => encodeCommand(command, commandId))),
        (results) => results.map((result) => result instanceof Uint8Array ? decodeReply(result) as Reply : result)
      )
  }))

const sessionsOf = (replies: ReadonlyArray<{ readonly _tag: string }>): ReadonlyArray<number> =>
  replies.flatMap((reply) => reply._tag === "SessionReply" && "session" in reply ? [reply.session as number] : [])

const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

/** Of a directory in use: a file that is gone by now counts nothing. */
const diskBytes = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0)

// One node with the defaults, but for the last test: a quota is a node's own, and with others an election could come between.
onShared("strangers", 1, (live) => {
  live(
    "nobody writes, or takes a number, in a session of somebody else",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const node = cluster.nodes[0] as Cluster.ClusterNode
      const owner = yield* stranger(node)
      const thief = yield* stranger(node)
      const [session = 0] = sessionsOf(yield* owner.send([{ command: openFor(60_000) }]))
      const guess = { session, sequence: 1, answered: 0, secret: new Uint8Array(16) }
      const [stolen, closed] = yield* thief.send([
        { command: put("stolen", "1"), commandId: guess },
        { command: { _tag: "CloseSession" }, commandId: { ...guess, sequence: 2 } }
      ])
      const [own] = yield* owner.send([
        { command: put("own", "1"), commandId: { session, sequence: 1, answered: 0, secret } }
      ])
      const kv = yield* KeyValue
      // Whoever is told that the write happened can read it.
      assert.isTrue(own?._tag === "PutReply" && Option.isSome(yield* kv.get("own")))
      assert.isTrue(Option.isNone(yield* kv.get("stolen")))
      for (const reply of [stolen, closed]) {
        assert.deepInclude(reply, { _tag: "RefusedReply", reason: "wrong-secret" } as const)
      }
    }).pipe(withClient, Effect.scoped)
  )

  live(
    "a few KiB of commands with large answers leave no more than the bound on every node, and happen once",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const node = cluster.nodes[0] as Cluster.ClusterNode
      const kv = yield* KeyValue
      for (let i = 0; i < 4; i++) yield* kv.put(`large/${i}`, "x".repeat(mebibyte - 64))
      // Some go up and down with the work itself: the first measurement comes after some of it.
      const before = { memory: residentBytes(node.pid), disk: diskBytes(node.dataDir) }
      const readAll = {
        _tag: "Transact",
        transaction: {
          compares: [],
          success: [
            { _tag: "Put", key: bytes("counter"), value: bytes("1"), lease: 0 },
            { _tag: "Range", range: prefixRange(bytes("large/")), limit: 4, keysOnly: false, reverse: false }
          ],
          failure: []
        }
      } satisfies Command
      const readOne: Command = {
        _tag: "Transact",
        transaction: {
          ...readAll.transaction,
          success: [...readAll.transaction.success.slice(0, 1), { _tag: "Get", key: bytes("medium") }]
        }
      }
      yield* kv.put("medium", "y".repeat(60 * 1024))
      let sentBytes = 0
      let highest = 0
      const send = Effect.fnUntraced(function*(
        connection: Effect.Success<ReturnType<typeof stranger>>,
        command: Command,
        commandIds: ReadonlyArray<CommandId>
      ) {
        sentBytes += commandIds.length * encodeCommand(command, commandIds[0]).byteLength
        const replies = yield* connection.send(commandIds.map((commandId) => ({ command, commandId })))
        highest = Math.max(highest, residentBytes(node.pid))
        return replies
      })
      const connection = yield* stranger(node)
      const sessions = sessionsOf(
        yield* connection.send(Array.from({ length: 8 }, () => ({ command: openFor(3_600_000) })))
      )
      const commandIdsOf = (session: number, from: number, through: number): ReadonlyArray<CommandId> =>
        Array.from({ length: through - from + 1 }, (_, i) => ({ session, sequence: from + i, answered: 0, secret }))
      for (const session of sessions.slice(0, 4)) {
        for (const commandId of commandIdsOf(session, 1, 4)) {
          const [reply] = yield* send(connection, readAll, [commandId])
          assert.strictEqual(reply?._tag, "TransactionReply")
        }
      }
      // As much as the bound and half of it again.
      for (const session of sessions) {
        for (let from = 5; from <= 164; from += 20) {
          const replies = yield* send(connection, readOne, commandIdsOf(session, from, from + 19))
          for (const reply of replies) assert.strictEqual(reply._tag, "TransactionReply")
        }
      }
      const memory = Math.round((highest - before.memory) / mebibyte)
      const disk = Math.round((diskBytes(node.dataDir) - before.disk) / mebibyte)
      figure(
        `${Math.round(sentBytes / 1024)} KiB of commands with large answers: memory +${memory} MiB, ` +
          `disk +${disk} MiB`
      )
      const url = `http://127.0.0.1:${node.address.httpPort}/metrics`
      const metrics = yield* Effect.promise(() => fetch(url).then((response) => response.text()))
      const kept = Number(/flaredb_table_entries\{[^}]*table="kept_reply_bytes"[^}]*\} (\d+)/.exec(metrics)?.[1])
      assert.isAbove(kept, 0)
      assert.isAtMost(kept, maxKeptReplyBytes)

      const [first = 0] = sessions
      const final = sessions[sessions.length - 1] as number
      const again = (command: Command, session: number, sequence: number) =>
        Effect.map(send(connection, command, commandIdsOf(session, sequence, sequence)), ([reply]) => reply)
      const digest = { _tag: "DigestReply", succeeded: true, results: 2 } as const
      assert.deepInclude(yield* again(readAll, first, 1), digest, "too large to keep")
      assert.deepInclude(yield* again(readOne, first, 5), digest, "the oldest ones gave way")
      assert.strictEqual((yield* again(readOne, final, 164))?._tag, "TransactionReply", "the latest ones are whole")
      // None of the repetitions was carried out.
      assert.strictEqual(Option.getOrThrow(yield* kv.get("counter")).version, 4 * 4 + 8 * 160)
    }).pipe(withClient, Effect.scoped)
  )

  live(
    "one connection takes neither all sessions nor all leases, for an hour or for a month",
    Effect.gen(function*() {
      const cluster = yield* SharedCluster
      const { send } = yield* stranger(yield* cluster.leader)
      const [month, lease] = yield* send([
        { command: openFor(monthMs) },
        { command: { _tag: "GrantLease", ttlMs: monthMs } }
      ])
      const began = performance.now()
      const opened = yield* Effect.forEach(
        Array.from({ length: 11 }),
        () => send(Array.from({ length: 1_000 }, () => ({ command: openFor(3_600_000) })))
      )
      figure(`11,000 asked for sessions: ${Math.round(performance.now() - began)} ms`)
      const kinds = new Set(opened.flat().map((reply) => reply._tag))
      const alive = sessionsOf(opened.flat()).length
      // Some honest client finds its place at once, and so does the command line.
      yield* Effect.provide(KeyValue.use((kv) => kv.put("honest", "1")), Cluster.client(cluster), {
        local: true
      })
      assert.strictEqual(alive, 16)
      assert.deepStrictEqual([...kinds].sort(), ["Overloaded", "SessionReply"])
      assert.deepInclude(opened[10]?.[999], { limit: "maxConnectionSessions", current: 16, maximum: 16 })
      assert.deepInclude(month, { _tag: "InvalidArgument", field: "ttlMs" } as const)
      assert.deepInclude(lease, { _tag: "InvalidArgument", field: "ttlMs" } as const)

      const leases = yield* Effect.forEach(
        Array.from({ length: 6 }),
        () => send(Array.from({ length: 2_000 }, () => ({ command: { _tag: "GrantLease", ttlMs: 60_000 } as const })))
      )
      const granted = leases.flat().flatMap((reply) => reply._tag === "LeaseReply" ? [reply.lease] : [])
      assert.strictEqual(granted.length, 10_000)
      // Whoever gives some back may have others.
      yield* send(granted.slice(0, 100).map((id) => ({ command: { _tag: "RevokeLease", lease: id } })))
      const [again] = yield* send([{ command: { _tag: "GrantLease", ttlMs: 60_000 } }])
      assert.deepInclude(again, { _tag: "LeaseReply" })
    }).pipe(withClient, Effect.scoped)
  )

  live(
    "operators act while strangers hold every session, and used it",
    Effect.gen(function*() {
      // A few connections do what hundreds could with the default.
      const cluster = yield* Cluster.make(1, undefined, { FLAREDB_MAX_CONNECTION_SESSIONS: "2500" })
      yield* Cluster.start(cluster)
      const flaredb = (...args: ReadonlyArray<string>) => run([...args, "--endpoints", cluster.endpointList])
      yield* Effect.gen(function*() {
        const leader = yield* cluster.leader
        // One after the other: what a connection opened stays when it goes away.
        const take = Effect.scoped(
          Effect.gen(function*() {
            const { send } = yield* stranger(leader)
            const ids = sessionsOf(yield* send(Array.from({ length: 2_500 }, () => ({ command: openFor(3_600_000) }))))
            yield* send(ids.map((session) => ({
              command: put("horde", "1"),
              commandId: { session, sequence: 1, answered: 0, secret }
            })))
            return ids
          })
        )
        const taken = (yield* Effect.forEach(Array.from({ length: maxSessions / 2_500 }), () => take)).flat()
        assert.strictEqual(new Set(taken).size, maxSessions)

        const refused = yield* Effect.flip(Effect.provide(
          KeyValue.use((kv) => kv.put("service", "1")),
          Cluster.client(cluster, 5_000),
          { local: true }
        ))
        assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxSessions" } as const)
        assert.match(refused.message, /flaredb session list/)

        // It tries for all of its time to open a session, and then has as much again for the write.
        const written = yield* flaredb("put", "operator", "1", "--timeout", "5s")
        assert.deepInclude(written, { code: 0, err: "" } as Partial<Ran>)

        const page = yield* flaredb("session", "list", "--limit", "3", "--json")
        const rows = page.out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>)
        assert.strictEqual(rows.length, 4)
        assert.deepStrictEqual(rows[3], { more: true, after: rows[2]?.["session"] })
        const [row] = rows
        assert.deepInclude(row, { owner: "", ttlMs: 3_600_000, lastSequence: 1, replies: 1 })
        assert.notProperty(row, "secret")
        assert.match(page.err, new RegExp(`--after ${rows[2]?.["session"]}`))
        const next = yield* flaredb(
          "session",
          "list",
          "--limit",
          "1",
          "--json",
          "--after",
          String(rows[2]?.["session"])
        )
        assert.isAbove(
          (JSON.parse(next.out.split("\n")[0] ?? "") as { readonly session: number }).session,
          rows[2]?.["session"] as number
        )

        assert.strictEqual((yield* flaredb("session", "end", String(row?.["session"]))).code, 0)
        const gone = yield* flaredb("session", "end", String(row?.["session"]))
        assert.strictEqual(gone.code, 2)
        assert.match(gone.err, /has ended, or never was/)
        yield* Effect.provide(
          KeyValue.use((kv) => kv.put("service", "1")),
          Cluster.client(cluster),
          { local: true }
        )
      }).pipe(Effect.provide(Cluster.client(cluster)))
    })
  )
})
