/**
 * A history of whole nodes that takes several faults in a row, as `../cores/StaleLeader.ts` has it for cores: a leader is suspended with
 * entries that nobody else has, the others elect another one, which commits, a disk is lost, the new leader goes out of reach, and
 * the old one goes on beside a node that remembers nothing. In the end the new leader is back.
 */
import type { NodeId } from "../../../src/raft/Types.ts"
import type { FaultWorld } from "./Faults.ts"
import type { SimNode } from "./SimNode.ts"

/** What a history may do to nodes. */
export interface Stage extends FaultWorld {
  /** Suspends a process, and breaks its links. */
  readonly stop: (node: SimNode) => void
  readonly wake: (node: SimNode) => void
  readonly kill: (node: SimNode) => void
  /** Loses a disk, where it may be lost. */
  readonly wipe: (node: SimNode) => boolean
}

/** How often the state is looked at, in milliseconds. */
const lookMs = 5

/** How long a leader has for taking commands of its own: less than what makes it step down. */
const ownMs = 100
const electionMs = 1_500

export class StaleLeader {
  private readonly stage: Stage
  private episode = 0
  private under = false

  constructor(stage: Stage) {
    this.stage = stage
  }

  get goesOn(): boolean {
    return this.under
  }

  begin(): void {
    const { network, nodes, trace } = this.stage
    const old = this.leader(0)
    if (this.under || nodes.length === 1 || old === undefined || !nodes.every(well)) return
    this.under = true
    this.episode += 1
    trace?.(`n${old.id} is to become a leader of the past`)
    network.heal()
    network.isolate(old.id, this.ids)
    const { process } = old
    this.when(() => hasOwnEntries(old), ownMs, () => {
      if (old.process !== process || old.raft === undefined) return this.end()
      const { term } = old.raft
      this.stage.stop(old)
      this.when(() => this.leader(term) !== undefined, electionMs, (elected) => {
        const next = this.leader(term)
        const third = nodes.find((node) => node !== old && node !== next)
        if (!elected || next === undefined || third === undefined || old.process !== process) return this.end()
        this.meet(old, next, third)
      })
    })
  }

  /** The old leader and a node without a disk are alone for a while. */
  private meet(old: SimNode, next: SimNode, third: SimNode): void {
    const { kill, network, probes, random, stop, trace, wake, wipe } = this.stage
    if (!wipe(third)) return this.end()
    third.start()
    network.heal()
    switch (random.weighted([["cut off", 3], ["suspended", 1], ["down", 1]])) {
      case "cut off":
        network.isolate(next.id, this.ids)
        break
      case "suspended":
        stop(next)
        break
      case "down":
        kill(next)
        break
    }
    this.when(() => third.running !== undefined, 300, () => {
      trace?.(`n${old.id}, a leader of the past, goes on beside n${third.id}, whose disk was lost`)
      if (old.raft?.role === "leader") probes.hit("a stale leader met a node that had lost its disk")
      wake(old)
      if (random.chance(0.3)) {
        this.when(() => false, random.below(150), () => {
          if (third.process !== undefined && wipe(third)) third.start()
        })
      }
      this.when(() => false, 50 + random.below(400), () => this.end())
    })
  }

  /** Whoever was kept away comes back. */
  end(): void {
    if (!this.under) return
    const { network, nodes, wake } = this.stage
    this.under = false
    this.episode += 1
    network.heal()
    for (const node of nodes) {
      wake(node)
      if (node.process === undefined) node.start()
    }
  }

  private get ids(): ReadonlyArray<NodeId> {
    return this.stage.nodes.map(({ id }) => id)
  }

  /** A leader of a term above `term` that has committed in its own. */
  private leader(term: number): SimNode | undefined {
    return this.stage.nodes.find(({ process, raft }) =>
      process?.isStopped === false && raft?.role === "leader" && raft.term > term &&
      raft.log.termAt(raft.commit) === raft.term
    )
  }

  /** Goes on once something holds, or when the time is up. */
  private when(holds: () => boolean, ms: number, goOn: (held: boolean) => void): void {
    const { timeline } = this.stage
    const { episode } = this
    const endMs = timeline.nowMs + ms
    const look = () => {
      if (this.episode !== episode) return
      if (holds()) return goOn(true)
      if (timeline.nowMs >= endMs) return goOn(false)
      timeline.after(lookMs, look)
    }
    look()
  }
}

const hasOwnEntries = ({ raft }: SimNode): boolean => raft !== undefined && raft.stable > raft.commit

/** Whether a node runs and is a voter. */
const well = ({ isClosing, isWhole, process, running }: SimNode): boolean =>
  process?.isStopped === false && !isClosing && running !== undefined && isWhole
