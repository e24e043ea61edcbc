/**
 * A directory that is put back to an older state: a copy that was taken from a running node, or a restored disk
 * image. Only the leader that holds the node's acknowledgements can tell. So it is done only where there is one: it
 * leads the node's present term, and has an acknowledgement of this term that the copy does not hold. Until the node
 * knows, it reaches only that leader; a node that was put back and then met others first would vote against its word,
 * and no rule of Raft could prevent it. Where the leader is lost before it has spoken, the directory is given up, as
 * the runbook says.
 */
import type { SimNode } from "./SimNode.ts"
import type { NodeStage } from "./StaleLeader.ts"

const lookMs = 5
const noticeMs = 1_000

export class PutBack {
  private readonly stage: NodeStage
  private node: SimNode | undefined

  constructor(stage: NodeStage) {
    this.stage = stage
  }

  get goesOn(): boolean {
    return this.node !== undefined
  }

  /**
   * The first time it copies the directory; from then on it puts the copy back, once something was acknowledged since.
   */
  begin(node: SimNode): void {
    const { kill, network, nodes, trace } = this.stage
    if (this.node !== undefined || nodes.length === 1 || !nodes.every(({ isWhole }) => isWhole)) return
    const { older } = node
    const leader = nodes.find(({ process, raft }) => process?.isStopped === false && raft?.role === "leader")
    const { term } = node.disk.hardState
    const heartbeat = leader === undefined ? undefined : network.heartbeat(leader.id, node.id)
    if (
      older === undefined || leader?.raft?.term !== term || heartbeat?.term !== term || heartbeat.match.term !== term ||
      older.base.index >= heartbeat.match.index || older.termAt(heartbeat.match.index) === term
    ) return node.copyDirectory()
    trace?.(
      `the directory of n${node.id} is put back: its log ends at ${older.lastIndex} instead of ${node.disk.lastIndex}`
    )
    this.node = node
    if (node.process !== undefined) kill(node)
    // What it has sent is lost with its connections: it would make others believe what the node does not remember.
    network.lose(node.id)
    network.heal()
    for (const other of nodes) {
      if (other === node || other === leader) continue
      network.cut(other.id, node.id)
      network.cut(node.id, other.id)
    }
    node.putBack()
    node.start()
    this.look(node, leader, this.stage.timeline.nowMs + noticeMs)
  }

  private look(node: SimNode, leader: SimNode, endMs: number): void {
    const { timeline } = this.stage
    if (this.node !== node) return
    if (node.disk.hardState.membership !== undefined) return this.finish()
    const leads = leader.raft?.role === "leader" && leader.raft.term >= node.disk.hardState.term
    if (!leads || timeline.nowMs >= endMs || node.process === undefined) return this.giveUp(node)
    timeline.after(lookMs, () => this.look(node, leader, endMs))
  }

  private giveUp(node: SimNode): void {
    this.stage.wipe(node)
    this.finish()
  }

  private finish(): void {
    this.node = undefined
    this.stage.network.heal()
  }

  /** The faults end, and the node may not know yet. */
  end(): void {
    if (this.node !== undefined && this.node.disk.hardState.membership === undefined) this.giveUp(this.node)
    else if (this.node !== undefined) this.finish()
  }
}
