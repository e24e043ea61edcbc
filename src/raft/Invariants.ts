/**
 * What must hold after every step, on every node, in production too: the local part of Raft's Figure 3. A node that
 * finds one broken stops; going on could only spread the damage.
 */
import type { Raft } from "./State.ts"
import type { LogIndex, Term } from "./Types.ts"
import { minIndex } from "./Types.ts"

export type InvariantName =
  | "ElectionSafety"
  | "LeaderCompleteness"
  | "MonotonicTerm"
  | "MonotonicCommit"
  | "MonotonicApplied"
  | "CommitWithinLog"
  | "AppliedIsDurable"
  | "AppliedIsCommitted"
  | "StableWithinLog"
  | "ProgressAhead"
  | "LeaderIsItself"
  | "VoteIsForVoter"
  | "CompactionOfApplied"
  | "OneStepAtATime"

/**
 * A property of Raft does not hold at this node: a bug here. What peers claim was looked at before (`Claims.ts`). Never
 * to be caught and ignored.
 */
export class InvariantViolation extends Error {
  readonly property: InvariantName

  constructor(property: InvariantName, detail: string) {
    super(`${property} is violated: ${detail}`)
    this.name = "InvariantViolation"
    this.property = property
  }
}

/** Throws {@link InvariantViolation} unless `holds`. The detail is a function, because it is almost never needed. */
export function invariant(holds: boolean, property: InvariantName, detail: () => string): asserts holds {
  if (!holds) throw new InvariantViolation(property, detail())
}

/** What never goes back, as it was before a step. */
export interface Watermarks {
  readonly term: Term
  readonly commit: LogIndex
  readonly applied: LogIndex
}

export const watermarks = (raft: Raft): Watermarks => ({ term: raft.term, commit: raft.commit, applied: raft.applied })

/**
 * Checks one step. Cheap: a dozen comparisons, whatever the length of the log, and no functions for details, which
 * would be a tenth of a leader's garbage.
 */
export const checkInvariants = (raft: Raft, before: Watermarks): void => {
  const { applied, commit, log, stable, term } = raft
  if (term < before.term) throw new InvariantViolation("MonotonicTerm", `from ${before.term} to ${term}`)
  if (commit < before.commit) throw new InvariantViolation("MonotonicCommit", `from ${before.commit} to ${commit}`)
  if (applied < before.applied) throw new InvariantViolation("MonotonicApplied", `from ${before.applied} to ${applied}`)
  if (commit > log.lastIndex) {
    throw new InvariantViolation("CommitWithinLog", `commit ${commit}, log ends at ${log.lastIndex}`)
  }
  if (applied > commit) throw new InvariantViolation("AppliedIsCommitted", `applied ${applied}, commit ${commit}`)
  if (stable > log.lastIndex) {
    throw new InvariantViolation("StableWithinLog", `stable ${stable}, log ends at ${log.lastIndex}`)
  }
  if (applied > stable) throw new InvariantViolation("AppliedIsDurable", `applied ${applied}, durable ${stable}`)
  const applying = raft.applying ?? applied
  if (applying > minIndex(commit, stable)) {
    throw new InvariantViolation("AppliedIsDurable", `applying ${applying}, commit ${commit}, durable ${stable}`)
  }
  if (raft.votedFor !== undefined && !raft.config.voters.includes(raft.votedFor)) {
    throw new InvariantViolation("VoteIsForVoter", `voted for ${raft.votedFor}`)
  }
  const leads = raft.role === "leader"
  if (leads !== (raft.leadership !== undefined) || leads && raft.leader !== raft.config.id) {
    throw new InvariantViolation("LeaderIsItself", `${raft.role} with leader ${raft.leader}`)
  }
  if (raft.leadership === undefined) return
  for (const [peer, { match, next }] of raft.leadership.progress) {
    if (next <= match || match > log.lastIndex) {
      throw new InvariantViolation(
        "ProgressAhead",
        `node ${peer}: match ${match}, next ${next}, log ends at ${log.lastIndex}`
      )
    }
  }
}
