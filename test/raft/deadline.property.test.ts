/**
 * Ticks that are handed over together do what single ones do: two clusters live the same life, one of them tick by tick, the
 * other in jumps as long as the core allows.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { describeOutput, describeState } from "../../src/raft/Describe.ts"
import type { Config } from "../../src/raft/Config.ts"
import { ticksUntilDue } from "../../src/raft/Raft.ts"
import { NodeId } from "../../src/raft/Types.ts"
import { Cluster } from "./Cluster.ts"

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const node = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))

const Operation = Schema.Union([
  Schema.Struct({ op: Schema.Literal("pass"), node, ticks: upTo(70) }),
  Schema.Struct({ op: Schema.Literal("passAll"), ticks: upTo(30) }),
  Schema.Struct({ op: Schema.Literal("settle") }),
  Schema.Struct({ op: Schema.Literal("deliver"), most: upTo(4) }),
  Schema.Struct({ op: Schema.Literal("lose") }),
  Schema.Struct({ op: Schema.Literal("propose"), node }),
  Schema.Struct({ op: Schema.Literal("read"), node }),
  Schema.Struct({ op: Schema.Literal("transfer"), node }),
  Schema.Struct({ op: Schema.Literal("slow"), node }),
  Schema.Struct({ op: Schema.Literal("sync"), node }),
  Schema.Struct({ op: Schema.Literal("isolate"), node }),
  Schema.Struct({ op: Schema.Literal("heal") }),
  Schema.Struct({ op: Schema.Literal("lost link"), node }),
  Schema.Struct({ op: Schema.Literal("lose disk"), node })
])
const Operations = Schema.Array(Operation).check(Schema.isMinLength(20), Schema.isMaxLength(80))

const config: Partial<Config> = { heartbeatTicks: 5, electionTicksMin: 20, electionTicksMax: 40, maxPersistTicks: 60 }

/** A cluster and what it did, and how it lets time pass. */
interface Life {
  readonly cluster: Cluster
  readonly seen: Array<string>
  readonly pass: (id: number, ticks: number) => void
  events: number
}

const begin = (jumps: boolean): Life => {
  const cluster = new Cluster({ config })
  const seen: Array<string> = []
  cluster.watch = (id, event, outputs) => {
    // What has no outputs changes nothing that anybody could see.
    if (outputs.length > 0) seen.push(`n${id} ${event._tag}: ${outputs.map(describeOutput).join(" | ")}`)
  }
  const single = (id: number, ticks: number): void => {
    for (let left = ticks; left > 0; left--) cluster.step(id, { _tag: "Tick" })
    life.events += ticks
  }
  const jumping = (id: number, ticks: number): void => {
    for (let left = ticks; left > 0;) {
      const count = Math.min(left, ticksUntilDue(cluster.member(id).raft))
      cluster.step(id, { _tag: "Tick", count })
      left -= count
      life.events += 1
    }
  }
  const life: Life = { cluster, seen, pass: jumps ? jumping : single, events: 0 }
  return life
}

const carryOut = ({ cluster, pass }: Life, operation: typeof Operation.Type, id: number): void => {
  switch (operation.op) {
    case "pass":
      return pass(operation.node, operation.ticks)
    case "passAll":
      return [1, 2, 3].forEach((each) => pass(each, operation.ticks))
    case "settle":
      return cluster.settle()
    case "deliver":
      for (let left = operation.most; left > 0; left--) cluster.deliver()
      return
    case "lose":
      return void cluster.inFlight.shift()
    case "propose":
      cluster.step(operation.node, {
        _tag: "Propose",
        proposals: [{ id, payload: new TextEncoder().encode(`p${id}`) }],
        nowMs: 0
      })
      return
    case "read":
      return void cluster.step(operation.node, { _tag: "ReadIndex", readId: id })
    case "transfer":
      return void cluster.step(operation.node, { _tag: "TransferLeader", target: undefined })
    case "slow":
      return void cluster.slowDisks.add(operation.node)
    case "sync":
      cluster.slowDisks.delete(operation.node)
      return cluster.sync(operation.node)
    case "isolate":
      return cluster.isolate(operation.node)
    case "heal":
      return cluster.heal()
    case "lost link":
      return [1, 2, 3].filter((each) => each !== operation.node).forEach((each) =>
        cluster.step(each, { _tag: "PeerUnreachable", peer: NodeId(operation.node) })
      )
    case "lose disk": {
      const whole = [...cluster.members.values()].every(({ raft }) => raft.membership === "voter")
      if (whole) cluster.replaceDisk(operation.node)
    }
  }
}

const states = ({ cluster }: Life): ReadonlyArray<unknown> =>
  [...cluster.members.values()].map(({ raft }) => [
    describeState(raft),
    raft.electionElapsed,
    raft.electionTimeout,
    raft.persistElapsed,
    raft.claims.allowance,
    raft.leadership?.heartbeatElapsed,
    raft.leadership?.quorumElapsed,
    raft.leadership?.diskLagTicks,
    raft.leadership?.transferPause
  ])

describe("ticks until the core is due", () => {
  let events = 0
  let ticks = 0

  it.prop("a jump does what single ticks do", [Operations], ([operations]) => {
    const single = begin(false)
    const jumping = begin(true)
    operations.forEach((operation, at) => {
      carryOut(single, operation, at + 1)
      carryOut(jumping, operation, at + 1)
      assert.deepStrictEqual(jumping.seen, single.seen)
      assert.deepStrictEqual(states(jumping), states(single))
      assert.deepStrictEqual(jumping.cluster.inFlight, single.cluster.inFlight)
    })
    events += jumping.events
    ticks += single.events
  }, { arbitrary: { runs: 400 } })

  it("took far fewer events", () => {
    assert.isAbove(ticks, 10_000)
    assert.isBelow(events, ticks / 4)
  })

  it("a leader is due at its heartbeat, a follower at its election timeout", () => {
    const cluster = new Cluster({ config })
    cluster.elect(1)
    cluster.run(5)
    const [leader, follower] = [cluster.member(1).raft, cluster.member(2).raft]
    assert.strictEqual(ticksUntilDue(leader), 5 - (leader.leadership?.heartbeatElapsed ?? 0))
    assert.strictEqual(ticksUntilDue(follower), follower.electionTimeout - follower.electionElapsed)
  })

  it("a node alone is never due once it leads", () => {
    const cluster = new Cluster({ size: 1 })
    cluster.run(2)
    assert.strictEqual(cluster.status(1).role, "leader")
    assert.strictEqual(ticksUntilDue(cluster.member(1).raft), Number.POSITIVE_INFINITY)
  })
})
