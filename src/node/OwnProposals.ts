/** What a leader proposes by itself, ahead of all clients: the identity of the cluster, and a higher feature level. */
import type { OwnIdentity } from "../machine/OwnIdentity.ts"
import type { OwnLevel } from "../machine/OwnLevel.ts"
import type { Proposal } from "../raft/Event.ts"
import type { Raft } from "../raft/Raft.ts"
import type { NodeId } from "../raft/Types.ts"
import type { PeerTransport } from "../transport/PeerTransport.ts"

/** The ids of these proposals. `Pending` counts its own from 1. */
const identityProposal = 0
const levelProposal = -1

export interface OwnProposalsOptions {
  readonly nodeId: NodeId
  readonly raft: Raft
  readonly identity: OwnIdentity["Service"]
  readonly level: OwnLevel["Service"]
  readonly transport: Pick<PeerTransport["Service"], "peersUnsafe">
}

export class OwnProposals {
  private readonly options: OwnProposalsOptions
  /** Whether the log of this leader holds an identity that it proposed in its term. */
  private identityProposed = false
  /** The level that this leader proposed last in its term; 0 for none. */
  private proposedLevel = 0

  constructor(options: OwnProposalsOptions) {
    this.options = options
  }

  /** The node begins to lead, or leads no more. */
  forget(): void {
    this.identityProposed = false
    this.proposedLevel = 0
  }

  /** Proposals that were not appended are made again. */
  refused(ids: ReadonlyArray<number>): void {
    if (ids.includes(identityProposal)) this.identityProposed = false
    if (ids.includes(levelProposal)) this.proposedLevel = 0
  }

  /** Whether the log of this leader may lack an identity, so that nothing else may be in it yet. */
  get lacksIdentity(): boolean {
    return !this.identityProposed && this.options.identity.current() === undefined
  }

  /**
   * Has the log say which cluster this is, in the turn in which this node becomes leader: no command of a client can be
   * ahead of it. A leader that has not applied an identity yet cannot know whether its log holds one, so there may be
   * several; the first one wins.
   */
  identity(): Proposal | undefined {
    if (!this.lacksIdentity) return undefined
    this.identityProposed = true
    return { id: identityProposal, payload: this.options.identity.proposal }
  }

  /**
   * Raises the feature level of the cluster as far as this node and every other voter know it. A voter that is not
   * connected may be of any release.
   */
  level(): Proposal | undefined {
    const { identity, level, nodeId, raft, transport } = this.options
    const { leadership } = raft
    if (leadership === undefined || level.current().level >= level.known.level) return undefined
    if (this.proposedLevel > level.current().level) return undefined
    // A leader that is behind its own term does not know how far the level was raised.
    if (identity.current() === undefined || raft.applied < leadership.termStart) return undefined
    const peers = transport.peersUnsafe()
    let target = level.known.level
    for (const voter of raft.config.voters) {
      if (voter !== nodeId) target = Math.min(target, peers.get(voter)?.level ?? 0)
    }
    const proposal = level.proposal(target)
    if (proposal === undefined) return undefined
    this.proposedLevel = proposal.level
    return { id: levelProposal, payload: proposal.payload }
  }
}
