/**
 * Messages that no correct node can send, said by hand to real nodes in the name of their peers while a client writes:
 * no election, no process ends, writes go on, and every node starts again afterwards.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { connect } from "node:net"
import { windowMs } from "../../src/LogLimiter.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { encodeMessages } from "../../src/protocol/MessageBatch.ts"
import type { Message } from "../../src/raft/Message.ts"
import type { Entry, LogPoint } from "../../src/raft/Types.ts"
import { LogIndex, NodeId, origin, Term } from "../../src/raft/Types.ts"
import { linesPerWindow } from "../../src/net/ProtocolViolations.ts"
import { protocolVersion } from "../../src/protocol/PeerRpcs.ts"
import { peerCall } from "../wire/Frames.ts"
import * as Cluster from "./Cluster.ts"
import { figure } from "./Figures.ts"
import { rest } from "./Rest.ts"

/** How often everything is said to each node: lines about it are bounded all the same. */
const rounds = 12

/** Says `messages` to a node in the name of another, and waits until it is answered or disconnected. */
const say = (to: Cluster.ClusterNode, from: number, messages: ReadonlyArray<Message>) =>
  Effect.callback<void>((resume) => {
    const { host, peerPort } = to.address
    const socket = connect(peerPort, host, () => {
      socket.write(
        peerCall(1, "peer.Hello", {
          clusterId: "test",
          identity: null,
          instance: "0".repeat(32),
          from,
          to: to.id,
          protocolVersion
        })
      )
    })
    socket.once("data", () => {
      socket.write(peerCall(2, "peer.Deliver", { messages: encodeMessages(messages) }))
      socket.once("data", () => resume(Effect.void))
    })
    socket.on("error", () => undefined)
    socket.once("close", () => resume(Effect.void))
    return Effect.sync(() => void socket.destroy())
  }).pipe(Effect.timeout("60 seconds"))

const entryOf = (index: number, term: number, payload: Uint8Array): Entry => ({
  index: LogIndex(index),
  term: Term(term),
  kind: "command",
  timestampMs: 1,
  payload
})

interface Scene {
  readonly to: number
  readonly leader: number
  /** A follower that is not `to`. */
  readonly other: number
  readonly term: number
  readonly last: LogPoint
}

/** What is said to a node, by whom. `appends` are those that a leader may say to a follower. */
const claims = ({ last, leader, other, term, to }: Scene): ReadonlyArray<readonly [from: number, Message]> => {
  const envelope = (from: number, at = term) => ({ from: NodeId(from), to: NodeId(to), term: Term(at) })
  const far: ReadonlyArray<readonly [number, Message]> = [2 ** 48, 2 ** 48 - 2 ** 21, term + 2 ** 21].map((at) => [
    other,
    { _tag: "HeartbeatResponse", ...envelope(other, at), readRound: 0, voter: true }
  ])
  const secondLeader: Message = {
    _tag: "Heartbeat",
    ...envelope(other),
    match: origin,
    commit: LogIndex(0),
    readRound: 0
  }
  const acknowledged: Message = {
    _tag: "AppendAccepted",
    ...envelope(other),
    match: LogIndex(last.index + 1_000_000),
    voter: true
  }
  const all = [...far, [other, secondLeader], [other, acknowledged]] as const
  if (to === leader) return all
  const garbage = Buffer.from("no command at all")
  const append = (prev: LogPoint, entries: ReadonlyArray<Entry>): Message => ({
    _tag: "AppendRequest",
    ...envelope(leader),
    prev,
    entries,
    commit: LogIndex(prev.index + entries.length)
  })
  // The log may have grown meanwhile.
  const garbageAt = Array.from({ length: 200 }, (_, ahead): readonly [number, Message] => [
    leader,
    append({ index: LogIndex(last.index + ahead), term: last.term }, [entryOf(last.index + ahead + 1, term, garbage)])
  ])
  const rewritten = append(origin, [entryOf(1, 0, garbage)])
  return [...all, [leader, rewritten], ...garbageAt]
}

it.live("claims that cannot be cause no election and end no process, and all nodes start again", () =>
  Effect.gen(function*() {
    // A claim that is believed causes an election at once, and a machine that is busy none that soon.
    const cluster = yield* Cluster.make(3, undefined, {
      FLAREDB_ELECTION_TIMEOUT_MIN_MS: "2000",
      FLAREDB_ELECTION_TIMEOUT_MAX_MS: "4000"
    })
    yield* Cluster.start(cluster)
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      yield* kv.put("begun", "yes")
      const leading = yield* cluster.leader
      const pids = cluster.nodes.map(({ pid }) => pid)
      const [{ term = 0 } = {}] = yield* cluster.until((all) =>
        all.length === 3 && all.every((one) => one.membership === "voter" && one.term === all[0]?.term)
      )
      let writes = 0
      const write = Effect.forever(
        Effect.flatMap(Effect.suspend(() => kv.put(`key ${writes % 50}`, `${writes}`)), () => {
          writes += 1
          return rest
        })
      )
      const attack = Effect.gen(function*() {
        for (let round = 0; round < rounds; round++) {
          for (const node of cluster.nodes) {
            const reports = yield* cluster.until((all) => all.length === 3)
            const lastIndex = reports.find(({ nodeId }) => nodeId === node.id)?.lastIndex ?? 0
            const other = cluster.nodes.find(({ id }) => id !== node.id && id !== leading.id)?.id ?? 0
            const last = { index: LogIndex(lastIndex), term: Term(term) }
            const said = claims({ to: node.id, leader: leading.id, other, term, last })
            const alone = said.slice(0, said.length - (node === leading ? 0 : 200))
            yield* Effect.forEach(alone, ([from, message]) => say(node, from, [message]), { discard: true })
            const together = said.slice(alone.length).map(([, message]) => message)
            if (together.length > 0) yield* say(node, leading.id, together)
          }
        }
      })
      const began = performance.now()
      const working = yield* Effect.forkChild(write)
      yield* Effect.raceFirst(attack, Fiber.join(working))
      const during = writes
      yield* Effect.raceFirst(
        cluster.until(() => writes > during + 20),
        Fiber.join(working)
      )
      yield* Fiber.interrupt(working)
      assert.isAbove(during, rounds, "writes went on meanwhile")

      // Each window ends with a line that counts the rest.
      const windows = 1 + Math.ceil((performance.now() - began) / windowMs)
      const after = yield* cluster.until((all) => all.length === 3)
      assert.deepStrictEqual(after.map((one) => one.term), [term, term, term], "an election took place")
      assert.deepStrictEqual(cluster.nodes.map(({ pid }) => pid), pids)
      for (const node of cluster.nodes) {
        process.kill(node.pid, 0)
        const lines = node.log.filter((line) => line.startsWith("{")).map((line) =>
          JSON.parse(line) as { readonly level: string; readonly message: unknown; readonly annotations?: object }
        )
        // A stranger that stays under a node's id looks as a second process of that node does.
        const errors = lines.filter(({ level, message }) =>
          (level === "ERROR" || level === "FATAL") && !String(message).startsWith("two processes run as node")
        )
        assert.deepStrictEqual(errors, [])
        const violations = lines.filter(({ annotations = {} }) =>
          "violation" in annotations && annotations.violation === "peer-violation"
        )
        assert.isAbove(violations.length, 0, `node ${node.id} names nobody`)
        assert.match(String(violations[0]?.message), /closed a connection of node \d, which is wrong: .*term/)
        assert.isAtMost(violations.length, windows * (linesPerWindow + 1))
        // Kinds: the violation, the dropped answer, links that come and go.
        const warnings = lines.filter(({ level }) => level === "WARN").length
        assert.isAtMost(warnings, 6 * windows * (linesPerWindow + 1), `lines of node ${node.id}`)
      }

      figure(`writes while ${rounds * 16} claims were made: ${during}`)
      // Nothing of it is on any disk.
      yield* Effect.forEach(cluster.nodes, (node) => node.stop("SIGTERM"), { concurrency: 3, discard: true })
      yield* Cluster.start(cluster)
      const begun = yield* kv.get("begun")
      assert.strictEqual(Option.isSome(begun) ? Buffer.from(begun.value.value).toString() : undefined, "yes")
      yield* kv.put("afterwards", "too")
      const last = yield* cluster.until((all) => all.length === 3 && all.some(({ role }) => role === "leader"))
      assert.isBelow(Math.max(...last.map((one) => one.term)), term + 100)
    }).pipe(Effect.provide(Cluster.client(cluster)))
  }).pipe(Effect.provide(NodeServices.layer)))
