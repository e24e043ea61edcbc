/** What has to hold of the feature level of a simulated cluster, at every node and at all times. */
import { decodeLevelEntry } from "../../../src/protocol/FeatureLevel.ts"
import type { Event } from "../../../src/raft/Event.ts"
import { demand } from "../engine/Oracle.ts"
import type { Ledger } from "./Ledger.ts"
import type { Probes } from "./Probes.ts"
import type { SimNode } from "./SimNode.ts"

export class LevelCheck {
  private readonly nodes: ReadonlyArray<SimNode>
  private readonly ledger: Ledger
  private readonly probes: Probes

  constructor(nodes: ReadonlyArray<SimNode>, ledger: Ledger, probes: Probes) {
    this.nodes = nodes
    this.ledger = ledger
    this.probes = probes
  }

  /** A leader raises the level once every node is there and knows it. */
  stepped(node: SimNode, event: Event): void {
    if (event._tag !== "Propose") return
    for (const { payload } of event.proposals) {
      const level = decodeLevelEntry(payload)?.level ?? 0
      const behind = this.nodes.find((other) => other.known < level || (level > 0 && other.process === undefined))
      demand(
        behind === undefined,
        "all nodes know the level",
        () => `n${node.id} proposes level ${level}, and n${behind?.id} ${whyNot(behind)}`
      )
    }
  }

  /** A release that is older than its directory does not start. */
  started(node: SimNode): void {
    const { id, known, requiredLevel } = node
    demand(
      // It may have been damaged since the node read it.
      known >= requiredLevel || requiredLevel === Infinity,
      "no node runs below the level",
      () => `n${id} knows level ${known}, and starts on a directory of level ${requiredLevel}`
    )
  }

  /** A node knows and has the level of what it has applied, and its directory says so whatever comes. */
  applied({ id, known, requiredLevel, running }: SimNode, index: number): void {
    const level = this.ledger.levelAt(index)
    demand(
      known >= level,
      "no node runs below the level",
      () => `n${id} knows level ${known}, and has applied entry ${index} of level ${level}`
    )
    const current = running?.level.current().level ?? level
    demand(
      current === level,
      "levels never go back",
      () => `n${id} has level ${current} behind entry ${index}, and the cluster ${level}`
    )
    demand(
      requiredLevel >= level,
      "no node runs below the level",
      () => `n${id} has applied level ${level}, and its directory asks for level ${requiredLevel}`
    )
    if (level > 1) this.probes.hit("the feature level was raised")
  }
}

const whyNot = (node: SimNode | undefined): string =>
  node?.process === undefined ? "is down" : `knows level ${node.known}`
