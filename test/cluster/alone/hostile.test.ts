/**
 * Strangers attack every port of a live cluster while a client writes to it. Whatever they send, no node ends, the client sees
 * no error, memory and descriptors stay within bounds and come back, and the log tells of each kind of violation, briefly.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { clientProtocolVersion } from "../../../src/protocol/ClientRpcs.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { encodeBatch } from "../../../src/protocol/Batch.ts"
import { encodeMessages } from "../../../src/protocol/MessageBatch.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { LogIndex, NodeId } from "../../../src/raft/Types.ts"
import { Term } from "../../../src/raft/Types.ts"
import { linesPerWindow } from "../../../src/net/ProtocolViolations.ts"
import { protocolVersion } from "../../../src/protocol/PeerRpcs.ts"
import { eventually } from "../../Eventually.ts"
import { clientCall, frame, peerCall, request } from "../../wire/Frames.ts"
import * as Cluster from "../Cluster.ts"
import { figure } from "../Figures.ts"

/** Bytes of memory that a node under attack may have more than before. */
const maxGrowthBytes = 256 * 1024 * 1024
const idleConnections = 2_000
const handshakeMs = 1_500

/** The same bytes in every run. */
const randomBytes = (seed: number, size: number): Uint8Array => {
  let state = seed
  return Uint8Array.from({ length: size }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

const huge = Number.MAX_SAFE_INTEGER
const garbage = randomBytes(3, 200)

/** What is said to a client port. */
const toClientPort = (): ReadonlyArray<Uint8Array> => [
  ...[-1, huge, Number.NaN, 1e308, "x".repeat(100_000), "__proto__", ""].map((id) =>
    clientCall(id, "client.Hello", { protocolVersion: clientProtocolVersion })
  ),
  clientCall(1, "client.Hello", { protocolVersion: huge }),
  clientCall(1, "client.TransferLeader", { target: huge }),
  clientCall(1, "client.Changes", { watch: huge, from: huge, waitMs: huge }),
  clientCall(1, "client.EndWatch", { watch: huge }),
  clientCall(1, "client.Watch", { ranges: garbage, from: huge, previous: true, only: null }),
  clientCall(1, "client.Write", { commands: garbage }),
  clientCall(1, "client.Write", { commands: encodeBatch([garbage, new Uint8Array(0), randomBytes(5, 1_000)]) }),
  clientCall(1, "client.Read", {
    consistency: "linearizable",
    from: "any",
    queries: encodeBatch(Array.from({ length: 4_000 }, () => garbage))
  }),
  request(1, "client.Read", garbage),
  request(1, "client.Nothing", garbage),
  request(1, "constructor", garbage),
  Buffer.concat(Array.from({ length: 50 }, () => clientCall(7, "client.Status", undefined))),
  request(1, "client.Status", new Uint8Array(0), {
    headers: Array.from({ length: 5_000 }, (_, i) => [`h${i}`, "v".repeat(100)])
  }),
  frame({ _tag: "Interrupt", requestId: "nobody" }),
  frame({ _tag: "Ack", requestId: huge }),
  frame({ _tag: "Chunk", requestId: 1, values: garbage }),
  frame({ _tag: "Defect", defect: garbage }),
  frame({ _tag: "Eof" })
]

/** What is said to the peer port of node `to` by somebody who says that it is node `from`. */
const toPeerPort = (from: number, to: number): ReadonlyArray<Uint8Array> => {
  const hello = { clusterId: "test", identity: null, instance: "0".repeat(32), from, to, protocolVersion }
  const index = huge as LogIndex
  const point = { index, term: huge as Term }
  const envelope = { from: from as NodeId, to: to as NodeId, term: huge as Term }
  const bytes = (messages: Uint8Array) => peerCall(2, "peer.Deliver", { messages })
  const deliver = (message: Message) => bytes(encodeMessages([message]))
  const introduced = (said: Uint8Array) => Buffer.concat([peerCall(1, "peer.Hello", hello), said])
  const probe: Message = { _tag: "AppendRequest", ...envelope, term: Term(1), prev: point, entries: [], commit: index }
  const absurd: ReadonlyArray<Message> = [
    { _tag: "VoteRequest", ...envelope, last: point, transfer: true },
    { _tag: "VoteResponse", ...envelope, granted: true },
    { _tag: "PreVoteRequest", ...envelope, last: point },
    { ...probe, term: envelope.term },
    { _tag: "AppendAccepted", ...envelope, match: index, voter: true },
    { _tag: "AppendRejected", ...envelope, rejected: index, hint: point, lastIndex: index, voter: true },
    { _tag: "Heartbeat", ...envelope, match: point, commit: index, readRound: huge },
    { _tag: "HeartbeatResponse", ...envelope, readRound: huge, voter: true },
    { _tag: "ReadIndexResponse", ...envelope, readId: huge, index },
    { _tag: "TimeoutNow", ...envelope },
    { _tag: "JoinResponse", ...envelope, joinId: huge, fresh: true, learnThrough: index }
  ]
  // A probe ends in the length of its entries, which is 0: here some follow, and are none.
  const strayEntries = Buffer.concat([encodeMessages([probe]).subarray(0, -4), Buffer.alloc(4, 1), garbage])
  return [
    peerCall(1, "peer.Hello", { ...hello, clusterId: "another" }),
    peerCall(1, "peer.Hello", { ...hello, to: 77 }),
    peerCall(1, "peer.Hello", { ...hello, from: 77 }),
    peerCall(1, "peer.Hello", { ...hello, from: huge }),
    peerCall(1, "peer.Hello", { ...hello, protocolVersion: protocolVersion + 1 }),
    deliver({ _tag: "TimeoutNow", ...envelope, term: Term(1) }),
    peerCall(1, "peer.SnapshotChunk", { chunk: garbage }),
    peerCall(1, "peer.OfferSnapshot", { term: huge, point, estimatedBytes: huge }),
    request(1, "peer.Nothing", garbage),
    request(1, "peer.Deliver", garbage),
    introduced(peerCall(2, "peer.SnapshotChunk", { chunk: garbage })),
    introduced(request(2, "peer.Deliver", garbage)),
    introduced(deliver({ _tag: "TimeoutNow", ...envelope, from: envelope.to, to: envelope.from })),
    introduced(bytes(garbage)),
    introduced(bytes(strayEntries)),
    ...absurd.map((message) => introduced(deliver(message)))
  ]
}

const text = (value: string): Uint8Array => Buffer.from(value, "latin1")

const toHttpPort = (): ReadonlyArray<Uint8Array> => [
  text("GET / HTTP/9.9\r\n\r\n"),
  text("NONSENSE\r\n\r\n"),
  text(`GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
  text(`GET /status HTTP/1.1\r\n${"X-Filler: y\r\n".repeat(20_000)}\r\n`),
  text("POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 9007199254740993000\r\n\r\nx"),
  text("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n"),
  text("GET /%00/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
  text("GET /status HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
]

/** What no port understands. */
const toAnyPort = (): ReadonlyArray<Uint8Array> => [
  ...Array.from({ length: 30 }, (_, seed) => randomBytes(seed, 1 + seed * 97)),
  new Uint8Array(64).fill(0xff),
  new Uint8Array(64),
  // A length of 8 GiB, and as little of it as does.
  Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x20, 1, 2, 3),
  ...[1, 5, 20].map((cut) => clientCall(1, "client.Hello", { protocolVersion: 1 }).subarray(0, cut))
]

const open = (port: number): Effect.Effect<Socket> =>
  Effect.callback((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.on("error", () => undefined)
    // Whoever is refused at once has been connected, too.
    socket.once("close", () => resume(Effect.succeed(socket)))
    socket.once("connect", () => resume(Effect.succeed(socket)))
    socket.resume()
  })

/** Says it all, waits for what comes back or for a moment, and goes away, in good order or not. */
const say = (port: number, bytes: Uint8Array, abruptly: boolean) =>
  Effect.flatMap(open(port), (socket) =>
    Effect.callback<void>((resume) => {
      const timer = setTimeout(() => resume(Effect.void), 100)
      socket.once("data", () => resume(Effect.void))
      socket.once("close", () => resume(Effect.void))
      socket.write(bytes)
      return Effect.sync(() => clearTimeout(timer))
    }).pipe(
      Effect.ensuring(Effect.sync(() => abruptly ? socket.resetAndDestroy() : socket.destroySoon()))
    ))

const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations?: Readonly<Record<string, unknown>>
}

const linesOf = (node: Cluster.ClusterNode): ReadonlyArray<Line> =>
  node.log.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line)

it.live("every port withstands what strangers send, while a client writes", () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3, undefined, {
      FLAREDB_MAX_HANDSHAKE_MS: String(handshakeMs),
      FLAREDB_MAX_FRAME_MS: "2000"
    })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* kv.put("begun", "yes")
      const leader = yield* cluster.leader
      const [{ term = 0 } = {}] = yield* cluster.until((all) => all.length === 3)
      const pids = cluster.nodes.map(({ pid }) => pid)
      const before = pids.map((pid) => ({ bytes: residentBytes(pid), files: descriptors(pid) }))
      let writes = 0
      const highest = before.map(({ bytes }) => bytes)
      const watchMemory = Effect.sync(() => {
        for (const [i, pid] of pids.entries()) highest[i] = Math.max(highest[i] ?? 0, residentBytes(pid))
      }).pipe(Effect.repeat(Schedule.spaced(50)))
      const write = Effect.flatMap(Effect.suspend(() => kv.put(`key ${writes % 100}`, String(writes))), () =>
        Effect.sync(() => {
          writes++
        })).pipe(Effect.forever)
      const attack = Effect.gen(function*() {
        for (const node of cluster.nodes) {
          const { clientPort, httpPort, peerPort } = node.address
          const from = node.id === 1 ? 2 : 1
          const said = [
            ...toClientPort().map((bytes) =>
              [clientPort, bytes] as const
            ),
            ...toPeerPort(from, node.id).map((bytes) => [peerPort, bytes] as const),
            ...toHttpPort().map((bytes) => [httpPort, bytes] as const),
            ...[clientPort, peerPort, httpPort].flatMap((port) => toAnyPort().map((bytes) => [port, bytes] as const))
          ]
          // What is reset may never be read. Of two that say one kind, next to each other or with one between, one is not.
          yield* Effect.forEach(said.entries(), ([i, [port, bytes]]) => say(port, bytes, i % 3 === 0), {
            concurrency: 16,
            discard: true
          })
        }
      })
      const idle = Effect.gen(function*() {
        for (const port of [leader.address.clientPort, leader.address.peerPort, leader.address.httpPort]) {
          const sockets = yield* Effect.forEach(Array.from({ length: idleConnections }), () => open(port), {
            concurrency: 100
          })
          // A few of them send a byte now and then, of a call or a request that never ends.
          const slow = sockets.filter((socket) => !socket.destroyed).slice(-20)
          for (const socket of slow) socket.write(Uint8Array.of(0xff, 0x10))
          const drip = setInterval(() => slow.forEach((socket) => socket.write(Uint8Array.of(0x41))), 100)
          yield* Effect.ensuring(
            eventually("all idle connections are closed", () => sockets.every((socket) => socket.destroyed)),
            Effect.sync(() => {
              clearInterval(drip)
              for (const socket of sockets) socket.destroy()
            })
          )
        }
      })

      const work = yield* Effect.forkChild(Effect.raceFirst(write, watchMemory))
      yield* Effect.raceFirst(Effect.andThen(attack, idle), Fiber.join(work))
      const written = writes
      // What was attacked goes on as before.
      yield* Effect.raceFirst(eventually("twenty writes more", () => writes > written + 20), Fiber.join(work))
      yield* Fiber.interrupt(work)

      const after = yield* cluster.until((all) => all.length === 3)
      assert.deepStrictEqual(after.map((one) => one.term), [term, term, term], "an election took place")
      for (const [i, node] of cluster.nodes.entries()) {
        const { bytes = 0, files = 0 } = before[i] ?? {}
        assert.strictEqual(node.pid, pids[i])
        assert.isBelow((highest[i] ?? 0) - bytes, maxGrowthBytes, `memory of node ${node.id}`)
        yield* eventually("the descriptors are given back", () => descriptors(node.pid) <= files + 10)
        const lines = linesOf(node)
        // A stranger that stays under a node's id looks as a second process of that node does.
        const errors = lines.filter(({ level, message }) =>
          (level === "ERROR" || level === "FATAL") && !String(message).startsWith("two processes run as node")
        )
        assert.deepStrictEqual(errors, [])
        const violations = lines.filter(({ annotations }) => annotations?.["violation"] !== undefined)
        for (const port of ["client", "peer", "http"]) {
          assert.isTrue(
            violations.some(({ annotations }) => annotations?.["port"] === port),
            `none told of the ${port} port`
          )
        }
        const told = new Map<string, number>()
        for (const { annotations = {} } of violations) {
          const kind = `${annotations["port"]} ${annotations["violation"]}`
          if (annotations["suppressed"] === undefined) told.set(kind, (told.get(kind) ?? 0) + 1)
          if (annotations["suppressed"] === undefined) assert.match(String(annotations["remote"]), /:\d+$/)
        }
        // The attacks last for at most four windows.
        for (const [kind, count] of told) assert.isAtMost(count, 4 * linesPerWindow, kind)
        for (
          const kind of [
            "peer refused-hello",
            "peer malformed-messages",
            "client oversized-frame",
            "http malformed-request"
          ]
        ) {
          assert.isAbove(told.get(kind) ?? 0, 0, kind)
        }
      }
      const growth = highest.map((most, i) => Math.round((most - (before[i]?.bytes ?? 0)) / 2 ** 20))
      figure(`memory under attack, beyond that before: ${growth.join(", ")} MiB; writes: ${writes}`)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
