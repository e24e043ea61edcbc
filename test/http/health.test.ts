/** When a node calls itself ready, and the page that tells people. */
import { assert, describe, it } from "@effect/vitest"
import type { NodeStatus } from "../../src/node/NodeStatus.ts"
import { waitingOf } from "../../src/node/Waiting.ts"
import { readiness as readinessOf } from "../../src/http/Health.ts"
import * as StatusPage from "../../src/http/StatusPage.ts"
import { LogIndex, NodeId, Term } from "../../src/raft/Types.ts"

const follower: NodeStatus = {
  fresh: [],
  waiting: undefined,
  wallMs: undefined,
  identity: undefined,
  nodeId: NodeId(2),
  voters: [NodeId(1), NodeId(2), NodeId(3)],
  role: "follower",
  membership: "voter",
  term: Term(7),
  leader: NodeId(1),
  commit: LogIndex(120),
  applied: LogIndex(120),
  firstIndex: LogIndex(1),
  lastIndex: LogIndex(125),
  matches: [],
  snapshots: { sending: [], receiving: undefined, sentBytes: 0, receivedBytes: 0 },
  peers: [],
  levels: { current: 1, known: 1 },
  processes: new Map()
}

const readiness = (status: NodeStatus) => readinessOf({ ...status, waiting: waitingOf(status) })

describe("readiness", () => {
  it("a follower that knows its leader and has caught up is ready, and says whom it follows", () => {
    assert.deepStrictEqual(readiness(follower), { ready: true, reason: "follows node 1 in term 7" })
  })

  it("a node that is sent the state, or has lost its disk, is not ready, whatever it knows to be committed", () => {
    const receiving = { peer: NodeId(1), point: { index: LogIndex(9), term: Term(1) }, bytes: 1, estimatedBytes: 2 }
    assert.deepStrictEqual(readiness({ ...follower, snapshots: { ...follower.snapshots, receiving } }), {
      ready: false,
      reason: "waiting for the whole state from node 1, which is being received: 1 of about 2 bytes"
    })
    assert.isFalse(readiness({ ...follower, membership: "learner" }).ready)
    assert.isFalse(readiness({ ...follower, membership: "unknown" }).ready)
  })

  it("a leader is ready, and says so", () => {
    assert.deepStrictEqual(readiness({ ...follower, role: "leader", leader: NodeId(2) }), {
      ready: true,
      reason: "leads term 7"
    })
  })

  it("a node without a leader is not ready, however far it has applied", () => {
    for (const role of ["follower", "candidate"] as const) {
      const { ready, reason } = readiness({ ...follower, role, leader: undefined })
      assert.isFalse(ready)
      assert.match(reason, /^waiting for .*2 of 3 nodes elect a leader$/)
    }
  })

  it("a node far behind what it knows to be committed is not ready, and says how far", () => {
    const { ready, reason } = readiness({ ...follower, commit: LogIndex(1_000_000) })
    assert.isFalse(ready)
    assert.match(reason, /committed entries to be applied: 999880$/)
  })

  it("a few entries of lag, as every node under load has, are no reason to take it out of service", () => {
    assert.isTrue(readiness({ ...follower, commit: LogIndex(150) }).ready)
  })
})

describe("the status page", () => {
  const page = StatusPage.render(
    {
      ...follower,
      role: "leader",
      leader: NodeId(2),
      matches: [{ peer: NodeId(1), match: LogIndex(115), state: "replicate" }],
      peers: [
        { peer: NodeId(1), connected: true, sinceMs: 0, queued: 0, dropped: 0, lastError: undefined },
        { peer: NodeId(3), connected: false, sinceMs: 0, queued: 0, dropped: 4, lastError: "<refused> & \"gone\"" },
        {
          peer: NodeId(4),
          connected: true,
          sinceMs: 0,
          queued: 0,
          dropped: 0,
          lastError: undefined,
          conflict: "two processes run as node 4"
        }
      ]
    },
    "test"
  )

  it("says who the node is, whether it is ready, and how far behind its peers are", () => {
    assert.match(page, /<h1>FlareDB node 2: leader<\/h1>/)
    assert.match(page, /Ready: leads term 7/)
    assert.match(page, /node 1<\/th><td>connected, 10 entries behind/)
    assert.match(page, /not connected/)
    assert.match(page, /connected; two processes run as node 4</)
  })

  it("escapes what comes from elsewhere", () => {
    assert.notInclude(page, "<refused>")
    assert.include(page, "&#60;refused&#62; &#38; &#34;gone&#34;")
  })

  it("loads nothing from anywhere", () => {
    assert.notMatch(page, /<script|src=|https?:|@import|url\(/)
  })
})
