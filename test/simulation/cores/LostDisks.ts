/** Disks of cores that are lost, and directories that are put back to an older state. */
import { demand } from "../engine/Oracle.ts"
import type { SimNode, World } from "./SimNode.ts"

interface DiskWorld extends World {
  readonly nodes: ReadonlyArray<SimNode>
}

export class LostDisks {
  private readonly world: DiskWorld

  constructor(world: DiskWorld) {
    this.world = world
  }

  /** Whether every node but this one has its disk: at most one is lost at a time. */
  private othersAreWhole(node: SimNode): boolean {
    return this.world.nodes.length > 1 && this.world.nodes.every((other) => other === node || other.disk.votes)
  }

  /**
   * An older state of a directory comes back. Only a leader that remembers what the node acknowledged can tell, so
   * that is when it is done: it leads the node's present term, has an acknowledgement of the node in this term, and the
   * two can reach each other. Its next heartbeat is the first thing that the node hears, and what the node learns from
   * it is durable before anything else happens. What the node had sent and was not received is lost with its
   * connections.
   */
  putBack(node: SimNode): void {
    const { network, nodes } = this.world
    if (!node.canPutBack || !node.disk.votes || !this.othersAreWhole(node)) return
    const leader = nodes.find(({ id, isAwake, raft }) =>
      isAwake && raft?.role === "leader" && raft.term === node.disk.hardState.term && id !== node.id &&
      !network.isCut(id, node.id) && !network.isCut(node.id, id)
    )
    const told = leader?.step({ _tag: "Tick" }) ?? []
    const heartbeat = told.flatMap((output) => output._tag === "Send" ? output.messages : [])
      .find(({ _tag, to }) => _tag === "Heartbeat" && to === node.id)
    const { raft } = leader ?? {}
    const match = raft?.leadership?.progress.get(node.id)?.match
    if (raft?.leadership === undefined || heartbeat === undefined || match === undefined) return
    if (match < raft.leadership.termStart) return
    const term = raft.log.termAt(match)
    node.putBack()
    const { base } = node.disk
    const lacks = term !== undefined && base.index < match && node.disk.termAt(match) !== term
    node.step({ _tag: "Receive", message: heartbeat })
    demand(
      !lacks || node.raft?.membership === "learner",
      "a directory that went back is noticed",
      () => `n${node.id} has lost ${match}@${term}, which its leader n${leader?.id} knows that it acknowledged`
    )
    node.sync(1_000)
    node.report()
  }

  /** With two of three disks gone no node could tell what was promised. */
  wipe(node: SimNode): void {
    if (!this.othersAreWhole(node)) return
    if (this.world.nodes.some(({ isSuspended }) => isSuspended)) {
      this.world.probes.hit("a disk was lost while another node was suspended")
    }
    node.wipe()
    node.disk.forgetTruncation = this.world.mutant === "forgets to truncate"
  }
}
