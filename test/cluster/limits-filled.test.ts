/**
 * Each thing that a client or a stranger can fill, filled to its limit, one after the other. Meanwhile the cluster
 * keeps its leader, a put is acknowledged and administration is answered; afterwards the room is there again. Where
 * others share a limit, three connections take all that three may have: the last quarter is what the others live from.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import type { Scope } from "effect"
import { connect } from "node:net"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"
import { defaultLimits } from "../../src/config/Limits.ts"
import { encodeBatch } from "../../src/protocol/Batch.ts"
import { encodeRanges, KeyRanges } from "../../src/kv/model/KeyRanges.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import { eventually } from "../Eventually.ts"
import type { RawConnection } from "../server/RawConnection.ts"
import { exitOf, open } from "../server/RawConnection.ts"
import { call } from "../wire/Frames.ts"
import * as Cluster from "./Cluster.ts"
import { untilEntries } from "./Metrics.ts"

const mebibyte = 1024 * 1024
const limits = {
  clients: 12,
  peers: 16,
  http: 8,
  calls: 40,
  callBytes: 4 * mebibyte,
  answerBytes: 16 * mebibyte,
  unfinishedBytes: mebibyte
}

const Rpcs = ClientRpcs.merge(StateRpcs)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const watched = encodeRanges(KeyRanges.of({ gte: bytes("w"), lt: bytes("x") }))

const say = (connection: RawConnection, id: string | number, tag: string, payload: unknown) =>
  connection.send(call(Rpcs, id, tag, payload))

const hello = (connection: RawConnection) =>
  say(connection, "hello", "client.Hello", { protocolVersion: clientProtocolVersion })

/** How the call of `tag` ended that is answered next. */
const answered = (connection: RawConnection, tag: string) =>
  Effect.map(connection.next, (answer) => {
    const exit = exitOf(Rpcs, tag, answer)
    return Exit.isFailure(exit) ? Cause.squash(exit.cause) : exit.value
  })

const admitted = Effect.fnUntraced(function*(port: number, reads = true) {
  const connection = yield* open(port, reads)
  hello(connection)
  if (reads) yield* answered(connection, "client.Hello")
  return connection
})

const silent = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => connect(port, "127.0.0.1").on("error", () => undefined)),
    (socket) => Effect.sync(() => socket.destroy())
  )

it.live("what is full is full for whoever fills it", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, undefined, {
      FLAREDB_MAX_CLIENT_CONNECTIONS: String(limits.clients),
      FLAREDB_MAX_PEER_CONNECTIONS: String(limits.peers),
      FLAREDB_MAX_HTTP_CONNECTIONS: String(limits.http),
      FLAREDB_MAX_PENDING_CALLS: String(limits.calls),
      FLAREDB_MAX_PENDING_CALL_BYTES: String(limits.callBytes),
      FLAREDB_MAX_PENDING_ANSWER_BYTES: String(limits.answerBytes),
      FLAREDB_MAX_UNFINISHED_BYTES: String(limits.unfinishedBytes),
      FLAREDB_MAX_HANDSHAKE_MS: "1000",
      FLAREDB_MAX_FRAME_MS: "1500",
      FLAREDB_ELECTION_TIMEOUT_MIN_MS: "2000",
      FLAREDB_ELECTION_TIMEOUT_MAX_MS: "4000"
    })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const admin = yield* ClusterAdmin
      const node = yield* cluster.leader
      const { clientPort, httpPort, peerPort } = node.address
      yield* kv.put("large", "x".repeat(mebibyte))
      const [{ term = 0 } = {}] = yield* cluster.until((all) => all.length === 3)
      const logged = (violation: string) => node.log.some((line) => line.includes(`"violation":"${violation}"`))

      /** Fills, has the cluster serve, and lets go. */
      const filled = <E>(what: string, fill: Effect.Effect<unknown, E, Scope.Scope>) =>
        Effect.gen(function*() {
          yield* fill
          yield* kv.put("meanwhile", what)
          const reports = (yield* admin.status).map(({ report }) => report)
          assert.deepStrictEqual(reports.map((report) => report?.term), [term, term, term], `an election: ${what}`)
        }).pipe(Effect.scoped)

      yield* filled(
        "calls under way",
        Effect.gen(function*() {
          for (let i = 0; i < 3; i++) {
            const connection = yield* admitted(clientPort)
            for (let id = 0; id < limits.calls / 4; id++) {
              say(connection, id, "client.Watch", {
                ranges: watched,
                from: null,
                previous: false,
                only: null
              })
              const { watch } = (yield* answered(connection, "client.Watch")) as { readonly watch: number }
              say(connection, id, "client.Changes", { watch, from: 1_000_000, waitMs: 30_000 })
            }
            say(connection, "more", "client.Status", undefined)
            const refused = yield* answered(connection, "client.Status")
            assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxPendingCalls of one connection" })
          }
        })
      )
      yield* untilEntries(node, "client_calls", (calls) => calls < 10)

      yield* filled(
        "answers that are not taken",
        Effect.gen(function*() {
          const queries = encodeBatch(
            Array.from({ length: 64 }, () => encodeQuery({ _tag: "Get", key: bytes("large") }))
          )
          for (let i = 0; i < 3; i++) {
            const connection = yield* admitted(clientPort, false)
            for (let id = 0; id < 9; id++) {
              say(connection, id, "client.Read", { consistency: "stale", from: "any", queries })
            }
          }
          yield* eventually("closed for unread answers", () => logged("unread-answers"))
        })
      )
      yield* untilEntries(node, "client_answer_bytes", (held) => held < mebibyte)

      yield* filled(
        "calls that are not whole",
        Effect.gen(function*() {
          const half = call(Rpcs, 1, "client.Write", { commands: new Uint8Array(mebibyte) }).subarray(0, 600_000)
          for (let i = 0; i < 3; i++) (yield* admitted(clientPort)).send(half)
          yield* eventually("closed for unfinished calls", () => logged("unfinished-frames"))
        })
      )
      yield* untilEntries(node, "client_unfinished_bytes", (held) => held === 0)

      yield* filled(
        "backups",
        Effect.gen(function*() {
          const first = yield* admitted(clientPort)
          say(first, 1, "state.Backup", undefined)
          yield* untilEntries(node, "backups", (taken) => taken === 1)
          const second = yield* admitted(clientPort)
          say(second, 1, "state.Backup", undefined)
          assert.deepInclude(yield* answered(second, "state.Backup"), { _tag: "Overloaded", limit: "maxBackups" })
        })
      )
      yield* untilEntries(node, "backups", (taken) => taken === 0)

      yield* filled(
        "hashes of the state",
        Effect.gen(function*() {
          const first = yield* admitted(clientPort)
          say(first, 1, "state.HashState", { marker: bytes("a command that never comes") })
          yield* untilEntries(node, "state_hashes", (taken) => taken === 1)
          const second = yield* admitted(clientPort)
          say(second, 1, "state.HashState", { marker: bytes("another one") })
          assert.deepInclude(yield* answered(second, "state.HashState"), {
            _tag: "Overloaded",
            limit: "maxStateHashes"
          })
        })
      )
      yield* untilEntries(node, "state_hashes", (taken) => taken === 0)

      yield* filled(
        "watches",
        Effect.gen(function*() {
          const connection = yield* admitted(clientPort)
          const watch = { ranges: watched, from: null, previous: false, only: null }
          const atATime = limits.calls / 8
          for (let refused: unknown; refused === undefined;) {
            for (let id = 0; id < atATime; id++) say(connection, id, "client.Watch", watch)
            for (let id = 0; id < atATime; id++) {
              const answer = yield* answered(connection, "client.Watch")
              if (typeof answer === "object" && answer !== null && "_tag" in answer) refused = answer
            }
            if (refused !== undefined) assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxWatches" })
          }
          yield* untilEntries(node, "watches", (watches) => watches === defaultLimits.maxWatches)
        })
      )
      yield* untilEntries(node, "watches", (watches) => watches === 0)

      yield* filled(
        "connections of clients",
        Effect.gen(function*() {
          for (let refused: unknown; refused === undefined;) {
            const connection = yield* open(clientPort)
            hello(connection)
            const answer = yield* answered(connection, "client.Hello")
            if (typeof answer === "object" && answer !== null && "_tag" in answer) refused = answer
            if (refused !== undefined) {
              assert.deepInclude(refused, { _tag: "Overloaded", limit: "maxClientConnections" })
            }
          }
          yield* untilEntries(node, "client_connections", (clients) => clients === limits.clients)
        })
      )
      yield* untilEntries(node, "client_connections", (clients) => clients < 6)

      yield* filled(
        "connections to the peer port",
        Effect.gen(function*() {
          for (let i = 0; i < 2 * limits.peers; i++) yield* silent(peerPort)
          yield* eventually("refused on the peer port", () => logged("too-many-connections"))
        })
      )
      yield* untilEntries(node, "peer_connections", (peers) => peers < limits.peers / 2)

      yield* filled(
        "connections to HTTP",
        Effect.gen(function*() {
          for (let i = 0; i < 2 * limits.http; i++) yield* silent(httpPort)
        })
      )
      yield* untilEntries(node, "http_connections", (http) => http < limits.http)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer), Effect.scoped), 300_000)
