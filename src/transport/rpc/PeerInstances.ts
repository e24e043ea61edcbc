/**
 * Which process speaks for each peer. Every process names itself at random in its `Hello`, so that two that run with
 * one node id can be told apart: by mistake both vote, each with a disk of its own, and a promise of one is unknown to
 * the other.
 *
 * A node that restarts has two instances for a short time: what its old connection carried may still arrive. So a
 * conflict is an older instance that speaks beside a connection of a newer one that has stayed for {@link graceMs}. It
 * is logged and never acted upon: without TLS, any process that reaches the port could cause it.
 */
import type { NodeId } from "../../raft/Types.ts"

/** Milliseconds after the `Hello` on a newer instance's connection in which an older one may still speak. */
export const graceMs = 1_000

/** Milliseconds between two lines about the same peer. */
export const againMs = 30_000

/** Milliseconds for which a conflict is shown after the older instance was last heard. */
export const shownMs = 5_000

/** One process at the other end of a connection. */
export interface Instance {
  readonly name: string
  /** Where it connects from. */
  readonly remote: string
}

/** What is known of one peer. Each connection counts for the instance that its `Hello` named. */
class Peer {
  readonly connections = new Map<number, Instance & { readonly sinceMs: number }>()
  /** The instance that came last. */
  newest: string | undefined
  /** Absent before the first conflict. */
  heardMs: number | undefined
  nextLineMs = Number.NEGATIVE_INFINITY
  text = ""
}

export class PeerInstances {
  private readonly nowMs: () => number
  private readonly found: (peer: NodeId, text: string) => void
  private readonly peers = new Map<NodeId, Peer>()

  /** `nowMs` must not go back. `found` is called for a conflict, and again at times while it lasts. */
  constructor(nowMs: () => number, found: (peer: NodeId, text: string) => void) {
    this.nowMs = nowMs
    this.found = found
  }

  /** A connection said a `Hello` that was accepted. */
  hello(connection: number, peer: NodeId, instance: Instance): void {
    const known = this.peers.get(peer) ?? new Peer()
    this.peers.set(peer, known)
    known.newest = instance.name
    // One that says `Hello` once more, because it has learned of its cluster, is no newer for that.
    if (known.connections.get(connection)?.name === instance.name) return
    known.connections.set(connection, { ...instance, sinceMs: this.nowMs() })
  }

  /** A connection that said `Hello` brought messages of its peer. */
  spoke(connection: number, peer: NodeId): void {
    const known = this.peers.get(peer)
    const instance = known?.connections.get(connection)
    if (known === undefined || instance === undefined || instance.name === known.newest) return
    const nowMs = this.nowMs()
    let newer: Instance | undefined
    for (const other of known.connections.values()) {
      if (other.name === known.newest && nowMs - other.sinceMs > graceMs) newer = other
    }
    if (newer === undefined) return
    known.heardMs = nowMs
    known.text = `two processes run as node ${peer}: ${instance.remote} and ${newer.remote}; stop one of them`
    if (nowMs < known.nextLineMs) return
    known.nextLineMs = nowMs + againMs
    this.found(peer, known.text)
  }

  /** The conflict over a peer's id, in words, while it lasts. */
  conflict(peer: NodeId): string | undefined {
    const known = this.peers.get(peer)
    return known?.heardMs === undefined || this.nowMs() - known.heardMs > shownMs ? undefined : known.text
  }

  /** A connection ended. Once a newer instance has none left, the older one is the only one. */
  forget(connection: number, peer: NodeId): void {
    const known = this.peers.get(peer)
    if (known === undefined || !known.connections.delete(connection)) return
    const left = [...known.connections.values()]
    if (left.some(({ name }) => name === known.newest)) return
    known.newest = left.at(-1)?.name
    known.heardMs = undefined
  }
}
