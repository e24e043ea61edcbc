/**
 * What is wrong with the disks of the nodes: slow ones, full ones, writes and syncs that fail, and power that goes in a
 * write.
 */
import type { NodeId } from "../../../src/raft/Types.ts"
import { demand } from "../engine/Oracle.ts"
import type { FaultWorld } from "./Faults.ts"
import type { DiskHealth } from "./SimEngine.ts"
import type { SimNode } from "./SimNode.ts"

/** The condition of one node's disk. */
interface Condition {
  slowMs: number
  failNext: "write" | "sync" | undefined
  full: boolean
}

export class DiskConditions {
  private readonly world: FaultWorld
  private readonly losePower: (node: SimNode) => void
  private readonly conditions = new Map<NodeId, Condition>()
  private over = false

  constructor(world: FaultWorld, losePower: (node: SimNode) => void) {
    this.world = world
    this.losePower = losePower
  }

  of(id: NodeId): Condition {
    const known = this.conditions.get(id)
    if (known !== undefined) return known
    const condition: Condition = { slowMs: 0, failNext: undefined, full: false }
    this.conditions.set(id, condition)
    return condition
  }

  repair(id: NodeId): void {
    const condition = this.of(id)
    condition.full = false
    condition.slowMs = 0
    condition.failNext = undefined
  }

  /** No power is lost in a write any more. */
  end(): void {
    this.over = true
  }

  healthOf(id: NodeId): DiskHealth {
    const { nodes, probes, random, rates, timeline } = this.world
    const condition = this.of(id)
    const failed = (operation: Parameters<DiskHealth["failure"]>[0], reason: string) => {
      const node = nodes.find((one) => one.id === id)
      if (node === undefined) return reason
      node.expectedFailure = reason
      // What memory took before is found out about by the next write, and a floor that stays low does no harm.
      if (operation === "write" || operation === "sync") this.mustStop(node, reason)
      return reason
    }
    return {
      writeMs: () => 0.05 + random.next() * 0.3,
      syncMs: () => (0.3 + random.next()) * rates.syncMs + condition.slowMs * random.next(),
      tearable: () => {
        if (this.over || !random.chance(0.02)) return
        const node = nodes.find((one) => one.id === id)
        const process = node?.process
        timeline.after(0.1, () => {
          if (node !== undefined && process !== undefined && node.process === process) this.losePower(node)
        })
      },
      readMs: () => rates.readMs === 0 || random.chance(0.5) ? 0 : random.next() * rates.readMs,
      failure: (operation) => {
        if (condition.full && operation !== "sync") {
          probes.hit("a disk was full")
          return failed(operation, "No space left on device")
        }
        if (condition.failNext !== (operation === "commit" ? "write" : operation)) return undefined
        condition.failNext = undefined
        probes.hit(operation === "sync" ? "a sync failed" : "a write failed")
        return failed(operation, `the simulated ${operation} failed`)
      }
    }
  }

  /** What reached the disk is unknown now: the node must not go on as if nothing had happened. */
  private mustStop(node: SimNode, reason: string): void {
    const { process } = node
    this.world.timeline.after(500, () => {
      if (node.process !== process || process?.isStopped === true) return
      // A node that was asked to end is no longer served by anything that could stop it earlier. It ends when its disk
      // lets it, and until then nothing may be heard of it.
      if (node.isClosing) node.silenced = reason
      demand(
        node.isClosing,
        "a failed write stops the node",
        () => `n${node.id} goes on after: ${reason}`
      )
    })
  }
}
