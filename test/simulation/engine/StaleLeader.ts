/**
 * A leader that sleeps through an election and wakes up beside a node that has forgotten it. It takes several things
 * in a row, which would hardly come about by chance:
 *
 * 1. A leader is cut off, mostly with commands that no other node has, and suspended.
 * 2. The others elect a leader of a later term, and it commits.
 * 3. The third node loses its disk; the new leader is cut off, suspended or down.
 * 4. The old leader wakes up, and only the node without its disk hears it.
 * 5. The new leader comes back.
 */
import type { NodeId } from "../../../src/raft/Types.ts"
import type { Random } from "../Random.ts"
import type { Links } from "./Links.ts"
import type { ObservedNode } from "./Oracle.ts"
import type { Timeline } from "./Timeline.ts"

export interface Member extends ObservedNode {
  /** Whether its process runs and is not stopped. */
  readonly isAwake: boolean
}

/** What may be done to the members of a world. */
export interface Stage<Node extends Member> {
  readonly random: Random
  readonly timeline: Timeline
  readonly network: Links
  readonly nodes: ReadonlyArray<Node>
  /** Suspends a process until it is woken. */
  readonly stop: (node: Node) => void
  readonly wake: (node: Node) => void
  readonly kill: (node: Node) => void
  /** Loses a disk, where it may be lost. */
  readonly wipe: (node: Node) => boolean
}

export abstract class StaleLeader<Node extends Member, Means extends Stage<Node>> {
  protected readonly stage: Means
  /** How often it looks at how far things are, and how long an election may take, in milliseconds of the timeline. */
  protected abstract readonly lookMs: number
  protected abstract readonly electionMs: number
  private old: Node | undefined
  /** The leader of the later term, once it is kept away. */
  private next: Node | undefined
  private episode = 0

  constructor(stage: Means) {
    this.stage = stage
  }

  /** Whether a node can play a part. */
  protected abstract isWell(node: Node): boolean
  /** A leader is cut off and writes what no other node has; then {@link sleep}. */
  protected abstract writeAlone(old: Node): void
  /** A node has lost its disk. */
  protected abstract lost(third: Node): void
  /** The old leader is to wake up beside the node without its disk, and after a while the history is to {@link end}. */
  protected abstract meet(old: Node, third: Node): void
  /** Those that were kept away come back. */
  protected abstract release(old: Node, next: Node | undefined): void

  get goesOn(): boolean {
    return this.old !== undefined
  }

  /** Whether a node that is down has to stay so. */
  holds(node: Node): boolean {
    return node === this.next
  }

  begin(): void {
    const { network, nodes } = this.stage
    const old = this.leader(0)
    if (this.goesOn || nodes.length === 1 || old === undefined || !nodes.every((node) => this.isWell(node))) return
    this.old = old
    network.heal()
    network.isolate(old.id, this.ids)
    this.writeAlone(old)
  }

  /** The old leader is suspended, and the others elect another one. */
  protected sleep(old: Node): void {
    const { raft, runs } = old
    if (raft === undefined) return this.end()
    this.stage.stop(old)
    const isGone = () => old.raft === undefined || old.runs !== runs
    this.when(() => isGone() || this.leader(raft.term) !== undefined, this.electionMs, () => {
      const next = this.leader(raft.term)
      const third = this.stage.nodes.find((node) => node !== old && node !== next)
      if (isGone() || next === undefined || third === undefined || !this.stage.wipe(third)) return this.end()
      this.lost(third)
      this.stage.network.heal()
      this.next = next
      this.keepAway(next)
      this.meet(old, third)
    })
  }

  private keepAway(next: Node): void {
    const { kill, network, random, stop } = this.stage
    switch (random.weighted([["cut off", 3], ["suspended", 1], ["down", 1]])) {
      case "cut off":
        return network.isolate(next.id, this.ids)
      case "suspended":
        return stop(next)
      case "down":
        return kill(next)
    }
  }

  end(): void {
    const { next, old } = this
    if (old === undefined) return
    this.episode += 1
    this.old = undefined
    this.next = undefined
    this.stage.network.heal()
    this.release(old, next)
  }

  private get ids(): ReadonlyArray<NodeId> {
    return this.stage.nodes.map(({ id }) => id)
  }

  /** A leader of a term above `term` that has committed in its own. */
  private leader(term: number): Node | undefined {
    return this.stage.nodes.find(({ isAwake, raft }) =>
      isAwake && raft?.role === "leader" && raft.term > term && raft.log.termAt(raft.commit) === raft.term
    )
  }

  /** Goes on once something holds, or when the time is up. */
  protected when(holds: () => boolean, ms: number, goOn: () => void): void {
    const { timeline } = this.stage
    const { episode } = this
    const endMs = timeline.nowMs + ms
    const look = () => {
      if (this.episode !== episode) return
      if (holds() || timeline.nowMs >= endMs) return goOn()
      timeline.after(this.lookMs, look)
    }
    look()
  }
}
