/** What a node says that it waits for, and how often it says so. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { LogLimiter } from "../../src/LogLimiter.ts"
import type { WaitingNode } from "../../src/node/Waiting.ts"
import { waitingOf } from "../../src/node/Waiting.ts"
import { WaitReport } from "../../src/node/WaitReport.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"

const peer = (id: number, lastError?: string) => ({
  peer: NodeId(id),
  address: `10.0.0.${id}:7101`,
  connected: lastError === undefined,
  sinceMs: 0,
  queued: 0,
  dropped: 0,
  lastError
})

const follower: WaitingNode = {
  voters: [NodeId(1), NodeId(2), NodeId(3)],
  role: "follower",
  membership: "voter",
  fresh: [],
  term: Term(7),
  leader: NodeId(2),
  commit: LogIndex(10),
  applied: LogIndex(10),
  snapshots: { receiving: undefined },
  peers: [peer(2), peer(3)]
}

const unknown: WaitingNode = { ...follower, membership: "unknown", leader: undefined, term: Term(0) }

const refused = "no process listens there (ECONNREFUSED)"

describe("a node waits", () => {
  const cases: ReadonlyArray<readonly [what: string, node: WaitingNode, kind: string | undefined, text: string]> = [
    ["for nothing when it follows", follower, undefined, ""],
    [
      "for the nodes of a new cluster that have not answered, with the reason of each",
      { ...unknown, fresh: [NodeId(2)], peers: [peer(2), peer(3, refused)] },
      "nodes",
      `waiting for node 3 (10.0.0.3:7101: ${refused}): a new cluster begins when all 3 nodes have answered`
    ],
    [
      "for a node that is connected and has not answered",
      { ...unknown, peers: [peer(3, refused), peer(2)] },
      "nodes",
      `waiting for node 2 (10.0.0.2:7101: connected, no answer yet) and node 3 (10.0.0.3:7101: ${refused}): ` +
      "a new cluster begins when all 3 nodes have answered"
    ],
    [
      "for both others after its disk was lost",
      { ...follower, membership: "learner", peers: [peer(2), peer(3, refused)] },
      "catch-up",
      `waiting for node 3 (10.0.0.3:7101: ${refused}): its disk was lost or went back, so it does not vote until it has ` +
      "caught up, and needs all other nodes for that"
    ],
    [
      "for the leader's log after its disk was lost",
      { ...follower, membership: "learner" },
      "catch-up",
      "waiting for the log of node 2, which leads: its disk was lost or went back, so it does not vote until it has caught up"
    ],
    [
      "for the state",
      {
        ...follower,
        snapshots: {
          receiving: {
            peer: NodeId(2),
            point: { index: LogIndex(9), term: Term(1) },
            bytes: 1,
            estimatedBytes: 2
          }
        }
      },
      "state",
      "waiting for the whole state from node 2, which is being received"
    ],
    [
      "for a majority",
      { ...follower, leader: undefined, peers: [peer(2, refused), peer(3, "no answer within 2000 ms")] },
      "leader",
      `waiting for node 2 (10.0.0.2:7101: ${refused}) and node 3 (10.0.0.3:7101: no answer within 2000 ms): 2 of 3 nodes ` +
      "elect a leader"
    ],
    [
      "for an election",
      { ...follower, leader: undefined, role: "candidate", peers: [peer(2), peer(3, refused)] },
      "leader",
      "waiting for a leader: candidate in term 7"
    ],
    [
      "for its own applying",
      { ...follower, commit: LogIndex(20_000) },
      "apply",
      "waiting for committed entries to be applied"
    ]
  ]
  for (const [what, node, kind, text] of cases) {
    it(what, () => {
      const waiting = waitingOf(node)
      assert.strictEqual(waiting?.kind, kind)
      assert.strictEqual(waiting?.text ?? "", text)
    })
  }

  it("and bounds what it repeats of an error", () => {
    const { text = "" } = waitingOf({ ...unknown, peers: [peer(2, "x".repeat(10_000)), peer(3, refused)] }) ?? {}
    assert.isBelow(text.length, 500)
  })
})

/** A report under a clock of its own, and what it wrote. */
const report = () => {
  let nowMs = 0
  const lines: Array<string> = []
  const logger = Logger.layer([Logger.make(({ logLevel, message }) => {
    lines.push(`${nowMs} ${logLevel} ${message}`)
  })])
  const waits = new WaitReport(() => nowMs, new LogLimiter(() => nowMs))
  const look = (node: WaitingNode, untilMs: number) =>
    Effect.gen(function*() {
      for (; nowMs < untilMs; nowMs += 100) {
        if (waits.isDue()) yield* waits.look(waitingOf(node))
      }
    }).pipe(Effect.provide(logger))
  return { lines, look }
}

const alone = { ...unknown, peers: [peer(2, refused), peer(3, refused)] }
const pair = { ...unknown, fresh: [NodeId(2)], peers: [peer(2), peer(3, refused)] }

describe("a node that waits says so", () => {
  it.effect("soon, after five seconds, then every thirty, and when it is over", () =>
    Effect.gen(function*() {
      const { lines, look } = report()
      yield* look(pair, 70_000)
      yield* look(follower, 80_000)
      assert.deepStrictEqual(lines.map((line) => line.split(" ").slice(0, 5).join(" ")), [
        "1000 Info waiting for node",
        "5000 Warn waiting for node",
        "35000 Warn waiting for node",
        "65000 Warn waiting for node",
        "70000 Info waits no longer,"
      ])
    }))

  it.effect("at once when another node is missing", () =>
    Effect.gen(function*() {
      const { lines, look } = report()
      yield* look(alone, 2_000)
      yield* look(pair, 3_000)
      assert.lengthOf(lines, 2)
      assert.match(lines[0] ?? "", /^1000 Info waiting for node 2 .* and node 3 /)
      assert.match(lines[1] ?? "", /^2000 Info waiting for node 3 /)
    }))

  it.effect("not when it waits for a moment", () =>
    Effect.gen(function*() {
      const { lines, look } = report()
      yield* look(pair, 800)
      yield* look(follower, 10_000)
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("in few lines, however its peers come and go", () =>
    Effect.gen(function*() {
      const { lines, look } = report()
      for (let ms = 0; ms < 100_000; ms += 500) yield* look(ms % 1_000 === 0 ? alone : pair, ms)
      assert.isBelow(lines.length, 20)
    }))
})
