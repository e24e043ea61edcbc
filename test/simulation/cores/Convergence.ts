/**
 * How cores come to agree once nothing goes wrong any more: everything is delivered, and one command is applied by all.
 */
import { describeState } from "../../../src/raft/Describe.ts"
import type { LogPoint } from "../../../src/raft/Types.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimNode } from "./SimNode.ts"

interface Stage {
  readonly nodes: ReadonlyArray<SimNode>
  readonly network: SimNetwork
  /** Takes one message from the network to its node. */
  readonly deliver: () => void
  readonly propose: (node: SimNode) => void
  /** Sends the snapshot that a node has for a peer, if it has one. */
  readonly sendSnapshot: (node: SimNode) => void
}

export class Convergence {
  private readonly stage: Stage
  /** What every node has to apply in the end. */
  private goal: LogPoint | undefined

  constructor(stage: Stage) {
    this.stage = stage
  }

  /** Time passes, and the leader gets a command that all have to apply. */
  step(): void {
    for (const node of this.stage.nodes) node.step({ _tag: "Tick" })
    this.settle()
    const leader = this.stage.nodes.find(({ raft }) => raft?.role === "leader")
    // A deposed leader may have taken the command; then the next one is asked.
    if (leader?.raft === undefined || this.goal?.term === leader.raft.term) return
    const before = leader.raft.log.lastIndex
    this.stage.propose(leader)
    this.goal = leader.raft.log.lastIndex > before ? leader.raft.log.last : undefined
    this.settle()
  }

  get isReached(): boolean {
    const index = this.goal?.index
    return index !== undefined && this.stage.nodes.every(({ appliedIndex }) => appliedIndex >= index)
  }

  get states(): string {
    return this.stage.nodes.map(({ raft }) => raft === undefined ? "down" : describeState(raft)).join("\n")
  }

  private settle(): void {
    for (let at = 0; at < 40; at++) {
      for (let left = this.stage.network.size; left > 0; left--) this.stage.deliver()
      for (const node of this.stage.nodes) {
        node.sync(10)
        node.report()
        node.apply()
        node.answerLogRead()
        this.stage.sendSnapshot(node)
        node.reportSnapshot()
      }
      if (this.stage.network.size === 0) return
    }
  }
}
