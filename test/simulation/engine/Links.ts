import type { NodeId } from "../../../src/raft/Types.ts"

/** The links between the members of a world, each of which can be cut in one direction. */
export class Links {
  /** Directions that are cut: `from * 10 + to`. */
  private readonly cuts = new Set<number>()

  isCut(from: NodeId, to: NodeId): boolean {
    return this.cuts.has(from * 10 + to)
  }

  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(from * 10 + to)
  }

  mend(from: NodeId, to: NodeId): void {
    this.cuts.delete(from * 10 + to)
  }

  isolate(node: NodeId, nodes: ReadonlyArray<NodeId>): void {
    for (const other of nodes) {
      if (other === node) continue
      this.cut(node, other)
      this.cut(other, node)
    }
  }

  heal(): void {
    this.cuts.clear()
  }
}
