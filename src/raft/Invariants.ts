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

/** Checks one step. Cheap: a dozen comparisons, whatever the length of the log. */
export const checkInvariants = (raft: Raft, before: Watermarks): void => {
  const { applied, commit, log, stable, term } = raft
  invariant(term >= before.term, "MonotonicTerm", () => `from ${before.term} to ${term}`)
  invariant(commit >= before.commit, "MonotonicCommit", () => `from ${before.commit} to ${commit}`)
  invariant(applied >= before.applied, "MonotonicApplied", () => `from ${before.applied} to ${applied}`)
  invariant(commit <= log.lastIndex, "CommitWithinLog", () => `commit ${commit}, log ends at ${log.lastIndex}`)
  invariant(applied <= commit, "AppliedIsCommitted", () => `applied ${applied}, commit ${commit}`)
  invariant(stable <= log.lastIndex, "StableWithinLog", () => `stable ${stable}, log ends at ${log.lastIndex}`)
  invariant(applied <= stable, "AppliedIsDurable", () => `applied ${applied}, durable ${stable}`)
  const applying = raft.applying ?? applied
  invariant(
    applying <= minIndex(commit, stable),
    "AppliedIsDurable",
    () => `applying ${applying}, commit ${commit}, durable ${stable}`
  )
  invariant(
    raft.votedFor === undefined || raft.config.voters.includes(raft.votedFor),
    "VoteIsForVoter",
    () => `voted for ${raft.votedFor}`
  )
  invariant(
    (raft.role === "leader") === (raft.leadership !== undefined) &&
      (raft.role !== "leader" || raft.leader === raft.config.id),
    "LeaderIsItself",
    () => `${raft.role} with leader ${raft.leader}`
  )
  if (raft.leadership === undefined) return
  for (const [peer, progress] of raft.leadership.progress) {
    invariant(
      progress.next > progress.match && progress.match <= log.lastIndex,
      "ProgressAhead",
      () => `node ${peer}: match ${progress.match}, next ${progress.next}, log ends at ${log.lastIndex}`
    )
  }
}
