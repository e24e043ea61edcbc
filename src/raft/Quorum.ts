/** Majorities of a fixed set of voters. */
import type { LogIndex } from "./Types.ts"
import { maxIndex } from "./Types.ts"

/** How many of `voters` make a majority. */
export const majority = (voters: number): number => Math.floor(voters / 2) + 1

/** The highest index that a majority has, given what each voter has. (Raft §5.3: "stored on a majority") */
export const committedIndex = (matches: ReadonlyArray<LogIndex>): LogIndex => {
  // After every step of a leader: counting three makes no garbage, and sorting them did.
  let committed: LogIndex | undefined
  for (const match of matches) {
    let holders = 0
    for (const other of matches) if (other >= match) holders += 1
    if (holders >= majority(matches.length)) committed = committed === undefined ? match : maxIndex(committed, match)
  }
  return committed as LogIndex
}

export type VoteResult = "won" | "lost" | "pending"

/** Where an election stands; `votes` holds the answers so far. (Raft §5.2) */
export const voteResult = (voters: number, votes: Iterable<boolean>): VoteResult => {
  let granted = 0
  let refused = 0
  for (const vote of votes) {
    if (vote) granted += 1
    else refused += 1
  }
  if (granted >= majority(voters)) return "won"
  return voters - refused < majority(voters) ? "lost" : "pending"
}
