/** The history of a stale leader among cores. Other faults go on meanwhile. */
import type { Probes } from "../engine/Probes.ts"
import { StaleLeader } from "../engine/StaleLeader.ts"
import type { Stage } from "../engine/StaleLeader.ts"
import type { Probe } from "./Probes.ts"
import type { SimNode } from "./SimNode.ts"

interface CoreStage extends Stage<SimNode> {
  readonly probes: Probes<Probe>
  readonly propose: (node: SimNode) => void
}

/** Draws that a meeting may take. */
const meetingDraws = 401

export class StaleCore extends StaleLeader<SimNode, CoreStage> {
  protected override readonly lookMs = 1
  protected override readonly electionMs = 701

  protected override isWell({ disk }: SimNode): boolean {
    return disk.votes
  }

  protected override writeAlone(old: SimNode): void {
    const { network, propose, random } = this.stage
    for (let left = random.below(4); left > 0; left--) propose(old)
    old.sync(100)
    old.report()
    network.heal()
    if (old.raft?.role === "leader") this.sleep(old)
    else this.end()
  }

  protected override lost(): void {}

  protected override meet(old: SimNode, third: SimNode): void {
    old.wake()
    if (this.stage.random.chance(0.7)) third.start()
    this.stage.probes.hit("an older leader met a node that lost its disk")
    this.when(() => false, meetingDraws, () => this.end())
  }

  protected override release(old: SimNode, next: SimNode | undefined): void {
    old.wake()
    next?.wake()
  }
}
