/** Placeholder of the consensus core's door; the core lands in the next commit. */
import type { Config } from "./Config.ts"
import type { LogIndex, HardState, LogPoint, TermRun } from "./Types.ts"

/** What a node starts from. */
export interface Recovered {
  readonly hardState: HardState
  readonly compacted: LogPoint
  readonly lastIndex: LogIndex
  readonly termRuns: ReadonlyArray<TermRun>
  readonly applied: LogIndex
}
export type RaftConfig = Config
