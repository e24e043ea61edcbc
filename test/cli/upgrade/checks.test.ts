/** What speaks against an upgrade, of what the nodes say and of what is on this machine. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { clusterChecks } from "../../../src/cli/upgrade/ClusterChecks.ts"
import { clusterLevel } from "../../../src/cli/upgrade/ClusterLevel.ts"
import { readBackup } from "../../../src/storage/backup/BackupReader.ts"
import { checkBackup, checkDirectory, checkRoom } from "../../../src/cli/upgrade/LocalChecks.ts"
import type { NodeAnswer } from "../../../src/client/ClusterAdmin.ts"
import type { NodeReport } from "../../../src/protocol/NodeReport.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

const protocols = { clientProtocols: { oldest: 5, newest: 5 }, peerProtocols: { oldest: 8, newest: 8 } }

const report = (nodeId: number): NodeReport => ({
  clusterId: "orders",
  identity: "2f1c9a9e-6f5b-4c0e-9d0a-3b7e0c1d2e4f",
  version: "0.1.0",
  nodeId,
  voters: [1, 2, 3],
  role: nodeId === 1 ? "leader" : "follower",
  membership: "voter",
  term: 7,
  leader: 1,
  commit: 5_000,
  applied: 4_990,
  firstIndex: 1,
  lastIndex: 5_000,
  matches: [],
  sending: [],
  receiving: null,
  peers: [1, 2, 3].filter((id) => id !== nodeId).map((peer) => ({ peer, connected: true, dropped: 0, conflict: null })),
  waiting: null,
  versions: { level: 1, known: 1, ...protocols }
})

type Change = Partial<NodeReport> | "down"

const answersOf = (...changes: ReadonlyArray<Change>): ReadonlyArray<NodeAnswer> =>
  changes.map((change, i) => ({
    endpoint: `127.0.0.1:${7001 + i}`,
    report: change === "down" ? undefined : { ...report(i + 1), ...change },
    problem: change === "down" ? "no process listens there" : undefined,
    wrongCluster: undefined
  }))

describe("a cluster", () => {
  it("that is whole, caught up and of one release is ready", () => {
    const found = clusterChecks(answersOf({}, {}, {}))
    assert.deepStrictEqual(found.filter(({ status }) => status !== "ok"), [])
    assert.deepStrictEqual(found.map(({ name }) => name), ["nodes", "leader", "caught up", "release"])
    assert.match(found.map(({ measured }) => measured).join("; "), /no node is more than 10 entries behind the 5000/)
  })

  const before = { versions: undefined } as unknown as Partial<NodeReport>
  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<Change>, string, RegExp]> = [
    ["with a node down", [{}, "down", {}], "nodes", /127\.0\.0\.1:7002: no process listens there/],
    ["of which one node was not named", [{}, {}], "nodes", /no endpoint leads to node 3/],
    [
      "with a learner",
      [{}, { membership: "learner" }, {}],
      "nodes",
      /node 2: does not vote: its membership is learner/
    ],
    ["with a node that waits", [{}, {}, { waiting: "for a majority" }], "nodes", /node 3: for a majority/],
    ["of two clusters", [{}, {}, { clusterId: "payments" }], "nodes", /of several clusters/],
    [
      "with a lost link",
      [{ peers: [{ peer: 2, connected: false, dropped: 0, conflict: null }] }, {}, {}],
      "nodes",
      /node 1: has no link to node 2/
    ],
    ["without a leader", [{ leader: null }, {}, {}], "leader", /do not agree/],
    ["with a node far behind", [{}, { applied: 1_000 }, {}], "caught up", /node 2 is 4000 entries behind/],
    [
      "with a node that receives the state",
      [{}, {}, { receiving: { peer: 1, bytes: 1, estimatedBytes: 2 } }],
      "caught up",
      /node 3 .*receives the whole state/
    ],
    ["of two releases", [{}, { version: "0.2.0" }, {}], "release", /different releases: 0\.1\.0, 0\.2\.0/],
    ["with a node from before feature levels", [{}, before, {}], "release", /0\.1\.0 \(before feature levels\)/],
    [
      "whose level is not raised yet",
      [1, 2, 3].map(() => ({ versions: { level: 1, known: 2, ...protocols } })),
      "release",
      /level is 1, and the nodes know 2/
    ]
  ]
  for (const [name, changes, check, says] of wrong) {
    it(`${name} is not`, () => {
      const problems = clusterChecks(answersOf(...changes)).filter(({ status }) => status !== "ok")
      assert.deepStrictEqual(problems.map((one) => one.name), [check])
      assert.match(problems[0]?.measured ?? "", says)
      assert.isNotEmpty(problems[0]?.advice)
    })
  }
})

it("the level is held back by nodes that do not know the next one, and by those that are down", () => {
  const next = { version: "0.2.0", versions: { level: 1, known: 2, ...protocols } }
  assert.deepStrictEqual(clusterLevel(answersOf(next, "down", {})), {
    level: 1,
    highest: 2,
    heldBack: [
      { endpoint: "127.0.0.1:7002", node: undefined, reason: "which is unreachable: no process listens there" },
      { endpoint: "127.0.0.1:7003", node: 3, reason: "which is flaredb 0.1.0 and knows level 1" }
    ]
  })
  const raised = { ...next, versions: { ...next.versions, level: 2 } }
  assert.deepStrictEqual(clusterLevel(answersOf(raised, raised, raised)), { level: 2, highest: 2, heldBack: [] })
})

describe("this machine", () => {
  const kept = "test/data/0.1.0/backup"

  it.live("a backup is ready when it is whole, of the cluster, and recent", () =>
    Effect.gen(function*() {
      const { identity } = JSON.parse(readFileSync("test/data/0.1.0/kept.json", "utf8")) as {
        readonly identity: string
      }
      const age = (nowMs: number) => ({ nowMs, withinMs: 1_000 })
      const { createdMs } = (yield* readBackup(kept, {})).header
      const recent = yield* checkBackup(kept, new Set([identity]), age(createdMs))
      assert.strictEqual(recent.status, "ok", recent.measured)
      assert.match(
        (yield* checkBackup(kept, new Set([identity]), age(Date.now() + 10 ** 10))).measured,
        /old, and more/
      )
      assert.match((yield* checkBackup(kept, new Set([identity]), age(0))).measured, /which is yet to come/)
      const other = yield* checkBackup(kept, new Set(["another"]), age(0))
      assert.match(other.measured, /is of another cluster/)
      assert.strictEqual(other.advice, "take one now: flaredb backup FILE")
      const cut = join(yield* temporaryFolder, "cut")
      writeFileSync(cut, "FLAREDBB")
      assert.match((yield* checkBackup(cut, new Set(), age(0))).measured, /cannot be used as a backup/)
    }))

  it.live("a data directory is read to its end, and what is none is a problem", () =>
    Effect.gen(function*() {
      const folder = join(yield* temporaryFolder, "empty")
      mkdirSync(folder)
      assert.deepInclude(yield* checkDirectory(folder), { status: "failure", name: "data directory" })
      assert.deepInclude(yield* checkRoom(folder), { status: "ok", name: "free room" })
      assert.deepInclude(yield* checkRoom(join(folder, "missing")), { status: "failure", name: "free room" })
    }))
})
