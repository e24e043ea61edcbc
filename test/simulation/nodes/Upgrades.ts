/**
 * A rolling upgrade, as operators do it: one node after the other is started with the next release, and some are
 * started once more with the one before. A node whose release is too old gets a newer one, once that was noticed.
 */
import type { FaultWorld } from "./Faults.ts"
import { newestLevel, releaseOf } from "./Releases.ts"
import type { SimNode } from "./SimNode.ts"

/** What an operator needs to notice a node that has no peers. */
const noticeMs = 600

/** Words of the errors that tell of a release which does not know the level of its cluster. */
const tooOld = /feature[- ]level/

export class Upgrades {
  private readonly world: FaultWorld
  private readonly restart: (node: SimNode) => void
  private over = false
  /** The newest release that any node ever had. */
  private newest = 1

  /** `restart` ends the process of a node, in some way, and has it started again. */
  constructor(world: FaultWorld, restart: (node: SimNode) => void) {
    this.world = world
    this.restart = restart
  }

  begin(): void {
    const { random, rates, timeline } = this.world
    if (rates.upgrades) timeline.after(random.below(900), () => this.roll(0))
  }

  /** The node at a place gets the next release, and then those behind it. */
  private roll(at: number): void {
    const { inject, nodes, random, timeline } = this.world
    const node = nodes[at % nodes.length] as SimNode
    if (this.over) return
    if (node.installed < newestLevel) inject(() => this.run(node, node.installed + 1))
    if (random.chance(0.3)) timeline.after(random.below(500), () => inject(() => this.rollBack(random.pick(nodes))))
    timeline.after(60 + random.below(700), () => this.roll(at + 1))
  }

  /** The operator did not like what he saw. */
  private rollBack(node: SimNode): void {
    const { probes, random, timeline } = this.world
    if (this.over || node.installed === 1) return
    probes.hit("a node was rolled back")
    const { installed } = node
    this.run(node, installed - 1)
    timeline.after(random.below(noticeMs), () => {
      if (!this.over && node.installed < installed) this.run(node, installed)
    })
  }

  private run(node: SimNode, release: number): void {
    this.world.trace?.(`n${node.id} gets release ${releaseOf(release)} after ${releaseOf(node.installed)}`)
    node.installed = release
    this.newest = Math.max(this.newest, release)
    this.restart(node)
  }

  /** A node does not start, or takes nothing of what its leader sends, because its release is too old. */
  refused(node: SimNode): void {
    const { probes, random, timeline } = this.world
    probes.hit("a release was too old for what the cluster uses")
    const { installed } = node
    timeline.after(random.below(noticeMs), () => {
      if (!this.over && node.installed === installed && installed < newestLevel) this.run(node, installed + 1)
    })
  }

  /** Whether a node refuses something because its release is older than what the cluster uses. */
  explains(node: SimNode, reason: string): boolean {
    return node.known < this.newest && tooOld.test(reason)
  }

  /** The upgrade comes to its end: every node has the newest release that one had. */
  end(): void {
    this.over = true
    for (const node of this.world.nodes) if (node.installed < this.newest) this.run(node, this.newest)
  }
}
