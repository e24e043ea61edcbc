/**
 * A leader that sleeps through an election and wakes up beside a node that has forgotten it. It takes several things in a
 * row, which would hardly come about by chance:
 *
 * 1. A leader is suspended, mostly with commands that no other node has.
 * 2. The others elect a leader of a later term, and it commits.
 * 3. The third node loses its disk; the new leader is cut off, suspended or down.
 * 4. The old leader wakes up, and only the node without its disk hears it.
 * 5. The new leader comes back.
 *
 * Everything else that the weather brings goes on meanwhile.
 */
import type { Probes } from "../engine/Probes.ts"
import type { Timeline } from "../engine/Timeline.ts"
import type { Random } from "../Random.ts"
import type { Probe } from "./Probes.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimNode } from "./SimNode.ts"

/** Draws that each part may take. */
const electionDraws = 700
const meetingDraws = 400

export interface Stage {
  readonly random: Random
  readonly timeline: Timeline
  readonly network: SimNetwork
  readonly probes: Probes<Probe>
  readonly nodes: ReadonlyArray<SimNode>
  readonly propose: (node: SimNode) => void
  /** Takes the disk of a node, unless another one is lost already. */
  readonly wipe: (node: SimNode) => void
}

export class StaleLeader {
  private readonly stage: Stage
  private stale: SimNode | undefined
  /** The leader of the later term, once its part has come. */
  private successor: SimNode | undefined
  private endMs = 0

  constructor(stage: Stage) {
    this.stage = stage
  }

  get isUnderWay(): boolean {
    return this.stale !== undefined
  }

  /** Whether a node that is down has to stay so. */
  holds(node: SimNode): boolean {
    return node === this.successor
  }

  begin(): void {
    const { network, nodes, propose, random } = this.stage
    const leader = nodes.find(({ isAwake, raft }) =>
      isAwake && raft?.leadership !== undefined && raft.commit >= raft.leadership.termStart
    )
    if (leader === undefined || nodes.length === 1 || this.isUnderWay || !nodes.every(({ disk }) => disk.votes)) return
    network.heal()
    network.isolate(leader.id, nodes.map(({ id }) => id))
    for (let left = random.below(4); left > 0; left--) propose(leader)
    leader.sync(100)
    leader.report()
    network.heal()
    if (leader.raft?.role !== "leader") return
    leader.suspend(Number.MAX_SAFE_INTEGER)
    this.stale = leader
    this.endMs = this.stage.timeline.nowMs + electionDraws
    this.look(leader)
  }

  private look(stale: SimNode): void {
    const { timeline } = this.stage
    timeline.after(1, () => {
      if (this.stale !== stale) return
      if (timeline.nowMs > this.endMs) return this.end()
      if (this.successor === undefined) this.meet(stale)
      if (this.isUnderWay) this.look(stale)
    })
  }

  private meet(stale: SimNode): void {
    const { network, nodes, probes, random, wipe } = this.stage
    const before = stale.raft
    if (before === undefined) return this.end()
    const successor = nodes.find(({ isAwake, raft }) =>
      isAwake && raft?.leadership !== undefined && raft.term > before.term && raft.commit >= raft.leadership.termStart
    )
    const third = nodes.find((node) => node !== stale && node !== successor)
    if (successor === undefined || third === undefined) return
    wipe(third)
    if (third.disk.votes) return this.end()
    network.heal()
    switch (random.weighted([["cut off", 3], ["suspended", 1], ["down", 1]])) {
      case "cut off":
        network.isolate(successor.id, nodes.map(({ id }) => id))
        break
      case "suspended":
        successor.suspend(Number.MAX_SAFE_INTEGER)
        break
      case "down":
        successor.crash()
        break
    }
    this.successor = successor
    this.endMs = this.stage.timeline.nowMs + meetingDraws
    stale.wake()
    if (random.chance(0.7)) third.start()
    probes.hit("an older leader met a node that lost its disk")
  }

  /** Whoever was kept away comes back. */
  end(): void {
    const { network } = this.stage
    this.stale?.wake()
    this.successor?.wake()
    if (this.isUnderWay) network.heal()
    this.stale = undefined
    this.successor = undefined
  }
}
