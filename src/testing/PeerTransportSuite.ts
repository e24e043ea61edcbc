/** What every {@link PeerTransport} promises, as cases to run against any implementation. Wants real time. */
import { Deferred, Effect, Exit, Fiber, Queue, Schedule, Scope } from "effect"
import assert from "node:assert/strict"
import type { Message } from "../raft/Message.ts"
import { LogIndex, NodeId, origin, Term } from "../raft/Types.ts"
import type { PeerTransport, Received, SnapshotRequest } from "../transport/PeerTransport.ts"
import { SnapshotRefused } from "../protocol/SnapshotRefused.ts"
import type { ConformanceCase } from "./Conformance.ts"
import { sampleEntries, sampleEntry } from "./LogStoreSuite.ts"

/** Nodes 1 to 3 of one cluster, none of them started. */
export interface TransportCluster {
  /** Starts a node until the scope closes; it may be started again afterwards, at the same address. */
  readonly start: (node: NodeId) => Effect.Effect<PeerTransport["Service"], unknown, Scope.Scope>
}

interface ListeningCluster {
  readonly start: (node: NodeId) => Effect.Effect<Listening, unknown, Scope.Scope>
}

/** The transport to hold against the cases. */
export interface PeerTransportSuiteOptions {
  readonly fresh: Effect.Effect<TransportCluster, unknown, Scope.Scope>
}

type Transport = PeerTransport["Service"]

/** A transport whose messages gather until the test takes them. */
export interface Listening extends Transport {
  readonly inbox: Queue.Queue<Received>
}

/** Has what reaches a transport gather from now on. */
export const listening = Effect.fnUntraced(function*(transport: Transport) {
  const inbox = yield* Queue.unbounded<Received>()
  yield* transport.receive((received) => {
    Queue.offerUnsafe(inbox, received)
  })
  const listens: Listening = { ...transport, inbox }
  return listens
})

const one = NodeId(1)
const two = NodeId(2)
const three = NodeId(3)

/** Asks again every few milliseconds until it holds. */
const eventually = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
  holds.pipe(
    Effect.repeat({ schedule: Schedule.spaced(5), until: (value: boolean) => value }),
    Effect.timeoutOrElse({ duration: "50 seconds", orElse: () => Effect.fail(new Error(`never happened: ${what}`)) })
  )

/** Waits until `transport` says that its link to `peer` is up, or that it is down. */
export const untilConnected = (transport: Transport, peer: NodeId, connected = true) =>
  eventually(
    `node ${peer} ${connected ? "connected" : "disconnected"}`,
    Effect.map(transport.health, (links) => links.some((link) => link.peer === peer && link.connected === connected))
  )

/** The next `count` messages, in the order of their arrival. */
export const receive = Effect.fnUntraced(function*(transport: Listening, count: number) {
  const messages: Array<Message> = []
  while (messages.length < count) messages.push(...(yield* Queue.take(transport.inbox)).messages)
  return messages
}, Effect.timeout("50 seconds"))

export const heartbeat = (from: NodeId, to: NodeId, readRound: number): Message => ({
  _tag: "Heartbeat",
  from,
  to,
  term: Term(3),
  match: origin,
  commit: LogIndex(0),
  readRound
})

export const appendOf = (
  from: NodeId,
  to: NodeId,
  first: number,
  entries: ReturnType<typeof sampleEntries>
): Message => ({
  _tag: "AppendRequest",
  from,
  to,
  term: Term(3),
  prev: { index: LogIndex(first - 1), term: Term(1) },
  entries,
  commit: LogIndex(1)
})

/** One message of each kind. */
const everyKind = (from: NodeId, to: NodeId): ReadonlyArray<Message> => {
  const envelope = { from, to, term: Term(2 ** 40) }
  const point = { index: LogIndex(2 ** 33), term: Term(7) }
  return [
    { _tag: "PreVoteRequest", ...envelope, last: point },
    { _tag: "PreVoteResponse", ...envelope, granted: true },
    { _tag: "VoteRequest", ...envelope, last: point, transfer: true },
    { _tag: "VoteResponse", ...envelope, granted: false },
    { _tag: "AppendRequest", ...envelope, prev: point, entries: [], commit: LogIndex(5) },
    { _tag: "AppendAccepted", ...envelope, match: LogIndex(9), voter: true },
    { _tag: "AppendRejected", ...envelope, rejected: LogIndex(8), hint: point, lastIndex: LogIndex(0), voter: false },
    { _tag: "Heartbeat", ...envelope, match: point, commit: LogIndex(4), readRound: 11 },
    { _tag: "HeartbeatResponse", ...envelope, readRound: 12, voter: false },
    { _tag: "ReadIndexRequest", ...envelope, readId: 13 },
    { _tag: "ReadIndexResponse", ...envelope, readId: 13, index: LogIndex(6) },
    { _tag: "ReadIndexResponse", ...envelope, readId: 14, index: undefined },
    { _tag: "TimeoutNow", ...envelope }
  ]
}

/** A message without what a codec may add to it (the remembered record) or change (the class of its bytes). */
const plain = (message: Message) =>
  message._tag !== "AppendRequest" ? message : {
    ...message,
    entries: message.entries.map(({ index, kind, payload, timestampMs, term }) => ({
      index,
      term,
      kind,
      timestampMs,
      payload: Buffer.from(payload).toString("hex")
    }))
  }

/** Kinds travel on their own ways, so they are compared without regard to order. */
const sorted = (messages: ReadonlyArray<Message>) =>
  messages.map(plain).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

const requestOf = (from: NodeId, to: NodeId): SnapshotRequest => ({
  from,
  to,
  term: Term(2 ** 40),
  point: { index: LogIndex(2 ** 33), term: Term(7) },
  estimatedBytes: 12_345
})

/** A acceptor that keeps what it gets and notes what happens. */
const keeping = () => {
  const chunks: Array<Uint8Array> = []
  const seen: Array<string> = []
  const take = (request: SnapshotRequest) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          seen.push(
            `request ${request.from}>${request.to} ${request.term} ${request.point.index}@${request.point.term}`
          )
        }),
        () => Effect.sync(() => void seen.push("closed"))
      ),
      () => ({
        write: (chunk: Uint8Array) =>
          Effect.sync(() => {
            chunks.push(chunk)
          })
      })
    )
  return { chunks, seen, take }
}

/** What a transport between nodes has to do. */
export const peerTransportCases = (options: PeerTransportSuiteOptions): ReadonlyArray<ConformanceCase> => {
  const test = (
    name: string,
    run: (cluster: ListeningCluster) => Effect.Effect<void, unknown, Scope.Scope>
  ): ConformanceCase => ({
    name,
    effect: Effect.scoped(
      Effect.flatMap(options.fresh, ({ start }) => run({ start: (node) => Effect.flatMap(start(node), listening) }))
    )
  })

  /** Nodes 1 and 2, connected in both directions. */
  const pair = Effect.fnUntraced(function*(cluster: ListeningCluster) {
    const first = yield* cluster.start(one)
    const second = yield* cluster.start(two)
    yield* untilConnected(first, two)
    yield* untilConnected(second, one)
    return { first, second }
  })

  return [
    test("a message of every kind arrives as it was sent, in both directions", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        first.sendUnsafe(everyKind(one, two))
        assert.deepEqual(sorted(yield* receive(second, 13)), sorted(everyKind(one, two)))
        second.sendUnsafe(everyKind(two, one))
        assert.deepEqual(sorted(yield* receive(first, 13)), sorted(everyKind(two, one)))
      })),

    test("entries arrive whole", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const noop = { ...sampleEntry(4, 2), kind: "noop" as const, payload: new Uint8Array(0) }
        const request = appendOf(one, two, 4, [
          noop,
          ...sampleEntries(5, 200, 3),
          sampleEntry(201, 3, "x".repeat(300_000))
        ])
        first.sendUnsafe([request])
        const [received] = yield* receive(second, 1)
        assert.ok(received !== undefined)
        assert.deepEqual(plain(received), plain(request))
      })),

    test("messages of one kind keep their order", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        for (let i = 0; i < 50; i++) {
          first.sendUnsafe(Array.from({ length: 10 }, (_, k) => heartbeat(one, two, i * 10 + k)))
        }
        const messages = yield* receive(second, 500)
        const rounds = messages.map((message) => message._tag === "Heartbeat" ? message.readRound : -1)
        assert.deepEqual(rounds, Array.from({ length: 500 }, (_, i) => i))
      })),

    test("megabytes of entries arrive, and heartbeats with them", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const payload = "y".repeat(256 * 1024)
        for (let i = 1; i <= 40; i++) {
          first.sendUnsafe([appendOf(one, two, i, [sampleEntry(i, 3, payload)]), heartbeat(one, two, i)])
        }
        const messages = yield* receive(second, 80)
        const indices = messages.flatMap((message) =>
          message._tag === "AppendRequest" ? message.entries.map((entry) => Number(entry.index)) : []
        )
        assert.deepEqual(indices, Array.from({ length: 40 }, (_, i) => i + 1))
      })),

    test("a message goes to its receiver only", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const third = yield* cluster.start(three)
        yield* untilConnected(first, three)
        first.sendUnsafe([heartbeat(one, three, 1), heartbeat(one, two, 2), heartbeat(one, three, 3)])
        const toThird = yield* receive(third, 2)
        const toSecond = yield* receive(second, 1)
        assert.deepEqual([...toThird, ...toSecond].map(({ to }) => Number(to)), [3, 3, 2])
      })),

    test("a message to a peer that is not there costs nothing, and health says so", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        first.sendUnsafe([heartbeat(one, three, 1), heartbeat(one, NodeId(9), 1), heartbeat(one, two, 7)])
        assert.equal((yield* receive(second, 1)).length, 1)
        const links = yield* first.health
        assert.deepEqual(links.map(({ peer, connected }) => [peer, connected]), [[2, true], [3, false]])
      })),

    test("a peer that stops is reported as lost, and found again when it is back", (cluster) =>
      Effect.gen(function*() {
        const first = yield* cluster.start(one)
        for (let life = 1; life <= 3; life++) {
          const scope = yield* Scope.make()
          const second = yield* Scope.provide(cluster.start(two), scope)
          yield* untilConnected(first, two)
          first.sendUnsafe([heartbeat(one, two, life)])
          const [message] = yield* receive(second, 1)
          assert.equal(message?._tag === "Heartbeat" ? message.readRound : undefined, life)
          yield* Scope.close(scope, Exit.void)
          const lost = yield* Effect.timeout(Queue.take(first.lost), "50 seconds")
          assert.equal(lost, 2)
          yield* untilConnected(first, two, false)
        }
      })),

    test("a connection that is closed for a claim is lost at its sender, and opened again", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        first.sendUnsafe([heartbeat(one, two, 1)])
        const { connection } = yield* Effect.timeout(Queue.take(second.inbox), "50 seconds")
        second.closeForUnsafe(connection, one, "an example of a claim")
        assert.equal(yield* Effect.timeout(Queue.take(first.lost), "50 seconds"), 2)
        yield* untilConnected(first, two)
        first.sendUnsafe([heartbeat(one, two, 2)])
        const [message] = yield* receive(second, 1)
        assert.equal(message?._tag === "Heartbeat" ? message.readRound : undefined, 2)
        // Who asks for a connection that is gone already asks for nothing.
        second.closeForUnsafe(connection, one, "an example of a claim")
      })),

    test("the chunks of a snapshot arrive whole and in order, and its end is seen at the other side", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const { chunks, seen, take } = keeping()
        yield* second.takeSnapshots(take)
        const sent = Array.from({ length: 40 }, (_, i) => Buffer.alloc(i % 4 === 0 ? 256 * 1024 : 100 + i, i))
        yield* Effect.scoped(Effect.gen(function*() {
          const stream = yield* first.sendSnapshot(requestOf(one, two))
          yield* Effect.forEach(sent, (chunk) => stream.write(chunk), { concurrency: 4, discard: true })
        }))
        assert.equal(chunks.length, sent.length)
        for (let i = 0; i < sent.length; i++) {
          assert.ok(Buffer.compare(chunks[i] as Uint8Array, sent[i] as Buffer) === 0)
        }
        yield* eventually("the stream is closed", Effect.sync(() => seen.length === 2))
        assert.deepEqual(seen, [`request 1>2 ${2 ** 40} ${2 ** 33}@7`, "closed"])
      })),

    test("a snapshot is refused where no node takes any, and by a node that does not want it", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const send = Effect.scoped(
          Effect.flatMap(first.sendSnapshot(requestOf(one, two)), ({ write }) => write(Buffer.alloc(10)))
        )
        const unwanted = yield* Effect.flip(send)
        assert.ok(unwanted instanceof SnapshotRefused && !unwanted.upToDate)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* second.takeSnapshots(() => Effect.fail(new SnapshotRefused({ reason: "has it", upToDate: true })))
          const refused = yield* Effect.flip(send)
          assert.ok(refused instanceof SnapshotRefused && refused.upToDate && refused.reason === "has it")
        }))
        yield* second.takeSnapshots(() =>
          Effect.succeed({ write: () => Effect.fail(new SnapshotRefused({ reason: "broken chunk", upToDate: false })) })
        )
        const broken = yield* Effect.flip(send)
        assert.ok(broken instanceof SnapshotRefused && broken.reason === "broken chunk")
      })),

    test("a snapshot waits for its receiver, and messages do not wait for it", (cluster) =>
      Effect.gen(function*() {
        const { first, second } = yield* pair(cluster)
        const gate = yield* Deferred.make<void>()
        let stored = 0
        yield* second.takeSnapshots(() =>
          Effect.succeed({ write: () => Effect.andThen(Deferred.await(gate), Effect.sync(() => void (stored += 1))) })
        )
        yield* Effect.scoped(Effect.gen(function*() {
          const stream = yield* first.sendSnapshot(requestOf(one, two))
          const writing = yield* Effect.forkScoped(
            Effect.forEach([1, 2, 3], () => stream.write(Buffer.alloc(200_000)), { concurrency: 2, discard: true })
          )
          for (let round = 1; round <= 20; round++) first.sendUnsafe([heartbeat(one, two, round)])
          assert.equal((yield* receive(second, 20)).length, 20)
          assert.equal(stored, 0)
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.join(writing)
          assert.equal(stored, 3)
        }))
      })),

    test("a snapshot that is given up, or whose receiver goes, ends at both sides", (cluster) =>
      Effect.gen(function*() {
        const first = yield* cluster.start(one)
        const scope = yield* Scope.make()
        const second = yield* Scope.provide(cluster.start(two), scope)
        yield* untilConnected(first, two)
        const { chunks, seen, take } = keeping()
        yield* Scope.provide(second.takeSnapshots(take), scope)
        yield* Effect.scoped(
          Effect.flatMap(first.sendSnapshot(requestOf(one, two)), ({ write }) => write(Buffer.alloc(10)))
        )
        yield* eventually("the stream is closed", Effect.sync(() => seen[1] === "closed"))
        yield* Effect.scoped(Effect.gen(function*() {
          const stream = yield* first.sendSnapshot(requestOf(one, two))
          yield* stream.write(Buffer.alloc(10))
          yield* Scope.close(scope, Exit.void)
          const lost = yield* Effect.flip(stream.write(Buffer.alloc(10)))
          assert.ok(lost._tag === "SnapshotLost" || lost._tag === "SnapshotRefused")
        }))
        assert.equal(chunks.length, 2)
        assert.equal(seen[3], "closed")
      })),

    test("a snapshot to a peer that is not there is lost", (cluster) =>
      Effect.gen(function*() {
        const first = yield* cluster.start(one)
        for (const to of [three, NodeId(9)]) {
          const lost = yield* Effect.flip(Effect.scoped(first.sendSnapshot(requestOf(one, to))))
          assert.equal(lost._tag, "SnapshotLost")
        }
      }))
  ]
}
