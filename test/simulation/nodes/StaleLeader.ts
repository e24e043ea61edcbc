/** The history of a stale leader among whole nodes. No other fault comes in between. */
import { StaleLeader } from "../engine/StaleLeader.ts"
import type { Stage } from "../engine/StaleLeader.ts"
import type { FaultWorld } from "./Faults.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimNode } from "./SimNode.ts"

/** What a history may do to nodes. */
export interface NodeStage extends FaultWorld, Stage<SimNode> {
  readonly network: SimNetwork
  readonly nodes: ReadonlyArray<SimNode>
}

/** How long a leader has for taking commands of its own: less than what makes it step down. */
const ownMs = 100

export class StaleNode extends StaleLeader<SimNode, NodeStage> {
  protected override readonly lookMs = 5
  protected override readonly electionMs = 1_500

  protected override isWell({ isAwake, isClosing, isWhole, running }: SimNode): boolean {
    return isAwake && !isClosing && running !== undefined && isWhole
  }

  protected override writeAlone(old: SimNode): void {
    this.stage.trace?.(`n${old.id} is to become a leader of the past`)
    const { process } = old
    this.when(() => hasOwnEntries(old), ownMs, () => old.process === process ? this.sleep(old) : this.end())
  }

  protected override lost(third: SimNode): void {
    third.start()
  }

  protected override meet(old: SimNode, third: SimNode): void {
    const { probes, random, trace, wake, wipe } = this.stage
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

  protected override release(): void {
    const { nodes, wake } = this.stage
    for (const node of nodes) {
      wake(node)
      if (node.process === undefined) node.start()
    }
  }
}

const hasOwnEntries = ({ raft }: SimNode): boolean => raft !== undefined && raft.stable > raft.commit
