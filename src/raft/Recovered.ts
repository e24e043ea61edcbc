/** What a node starts from, and whether it makes sense. Nothing that fails here was written by a healthy node. */
import { lastTerm } from "./Claims.ts"
import type { Config } from "./Config.ts"
import type { HardState, LogIndex, LogPoint, TermRun } from "./Types.ts"

/** What a node starts from: what its disk held. */
export interface Recovered {
  readonly hardState: HardState
  /** The last entry that compaction removed; `origin` when none was. */
  readonly compacted: LogPoint
  readonly lastIndex: LogIndex
  /** Where each term begins in the log after `compacted`, ascending. */
  readonly termRuns: ReadonlyArray<TermRun>
  /** The last entry whose effects the state machine holds. */
  readonly applied: LogIndex
}

/** @throws RangeError when the settings contradict each other. */
export const checkConfig = ({ electionTicksMax, electionTicksMin, heartbeatTicks, id, voters }: Config): void => {
  if (voters.length !== 1 && voters.length !== 3) {
    throw new RangeError(`a cluster has 1 or 3 voters, not ${voters.length}`)
  }
  if (new Set(voters).size !== voters.length) throw new RangeError(`voters are listed twice: ${voters.join(", ")}`)
  if (!voters.includes(id)) throw new RangeError(`node ${id} is none of the voters ${voters.join(", ")}`)
  if (!(heartbeatTicks >= 1 && heartbeatTicks < electionTicksMin && electionTicksMin < electionTicksMax)) {
    throw new RangeError(
      `ticks must satisfy 1 ≤ heartbeat (${heartbeatTicks}) < shortest election timeout (${electionTicksMin}) < ` +
        `longest (${electionTicksMax})`
    )
  }
}

/** @throws RangeError when what the disk held cannot be the log of a Raft node. */
export const checkRecovered = ({ applied, compacted, hardState, lastIndex, termRuns }: Recovered): void => {
  if (hardState.term > lastTerm) {
    throw new RangeError(
      `the hard state is in term ${hardState.term}, and no election may follow term ${lastTerm}: an earlier version ` +
        "believed a wrong term. Restore a backup into new data directories (deploy/runbooks/restore.md)"
    )
  }
  if (lastIndex < compacted.index) throw new RangeError(`the log ends at ${lastIndex}, before it begins`)
  if (applied < compacted.index) {
    throw new RangeError(`the log begins after ${compacted.index}, but the state machine ends at ${applied}`)
  }
  if (applied > lastIndex) throw new RangeError(`entry ${applied} was applied, but the log ends at ${lastIndex}`)
  let end = compacted
  for (const run of termRuns) {
    const follows = end === compacted ?
      run.firstIndex === end.index + 1 && run.term >= end.term
      : run.firstIndex > end.index && run.term > end.term
    if (!follows) throw new RangeError(`term ${run.term} cannot begin at ${run.firstIndex}`)
    end = { index: run.firstIndex, term: run.term }
  }
  if (end.index > lastIndex) {
    throw new RangeError(`term ${end.term} begins at ${end.index}, behind the end ${lastIndex}`)
  }
  if (lastIndex > compacted.index && termRuns.length === 0) throw new RangeError("the terms of the log are missing")
}
