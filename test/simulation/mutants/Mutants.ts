/**
 * Bugs that implementations of Raft have had, each as a change of the sources: a simulation that does not find them would not
 * find their like. `npm run mutants` puts them in one at a time.
 */
export interface Change {
  /** Under `src/`. */
  readonly file: string
  /** What stands there once. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  readonly changes: ReadonlyArray<Change>
  /** Seeds within which it has to be caught. */
  readonly within: number
  /** Caught within a few seeds, and so in every test run. */
  readonly quick: boolean
}

const one = (name: string, file: string, find: string, replace: string, within = 100): Mutant => ({
  name,
  changes: [{ file, find, replace }],
  within,
  quick: within <= 20
})

export const mutants: ReadonlyArray<Mutant> = [
  one(
    "commits an entry of an earlier term by counting",
    "raft/Leader.ts",
    "held <= raft.commit || raft.log.termAt(held) !== raft.term",
    "held <= raft.commit",
    300
  ),
  one(
    "sends votes and acknowledgements before they are durable",
    "raft/State.ts",
    "export const promise = (raft: Raft, message: Message): void => {\n  raft.gathered.promises.push(message)",
    "export const promise = (raft: Raft, message: Message): void => {\n  raft.gathered.messages.push(message)"
  ),
  one(
    "forgets its vote in a crash",
    "storage/RocksLogStore.ts",
    "votedFor: votedFor ?? null",
    "votedFor: null"
  ),
  one(
    "votes twice in a term",
    "raft/Follower.ts",
    "const free = raft.votedFor === undefined && raft.leader === undefined",
    "const free = true"
  ),
  one(
    "sorts what followers have as text",
    "raft/Quorum.ts",
    "[...matches].sort((a, b) => compareIndex(b, a))",
    "[...matches].sort().reverse()"
  ),
  one(
    "removes entries that do not conflict",
    "raft/Follower.ts",
    "while (known < entries.length && log.matches(entries[known] as Entry)) known += 1",
    "known = 0"
  ),
  one(
    "commits beyond the last entry that matches",
    "raft/Follower.ts",
    "minIndex(message.commit, lastMatched)",
    "minIndex(message.commit, log.lastIndex)",
    300
  ),
  one(
    "compares logs by their length first",
    "raft/Types.ts",
    "candidate.term !== own.term ? candidate.term > own.term : candidate.index >= own.index",
    "candidate.index !== own.index ? candidate.index > own.index : candidate.term >= own.term",
    300
  ),
  one(
    "counts its own log before it is durable",
    "raft/Leader.ts",
    "const matches: Array<LogIndex> = [raft.stable]",
    "const matches: Array<LogIndex> = [raft.log.lastIndex]"
  ),
  one(
    "reads before anything of its own term is committed",
    "raft/Leader.ts",
    "if (raft.commit < leadership.termStart) return\n  if (!leadership.reads",
    "if (!leadership.reads",
    300
  ),
  one(
    "answers a read with the round before it",
    "raft/ReadIndex.ts",
    "round === undefined || round.answered.size < others",
    "round === undefined"
  ),
  one(
    "believes answers of an earlier term",
    "raft/Raft.ts",
    "if (message.term < raft.term) return answerEarlierTerm(raft, message)",
    "if (message.term < raft.term && !(\"match\" in message)) return answerEarlierTerm(raft, message)",
    300
  ),
  one(
    "trusts a silent leader for ever",
    "raft/State.ts",
    "raft.leader !== undefined && raft.electionElapsed < raft.config.electionTicksMin",
    "raft.leader !== undefined"
  ),
  one(
    "keeps a log that contradicts an installed snapshot",
    "raft/Raft.ts",
    "const keepsTail = raft.log.matches(point)",
    "const keepsTail = raft.log.lastIndex >= point.index",
    300
  ),
  one(
    "forgets that a lagging follower needs what is compacted",
    "raft/Leader.ts",
    "if (raft.log.termAt(addIndex(progress.next, -1)) === undefined) progress.becomeProbe()\n    else ",
    "if (raft.log.termAt(addIndex(progress.next, -1)) !== undefined) ",
    300
  ),
  one(
    "says that entries are applied before they are",
    "raft/Raft.ts",
    "  raft.applying = through\n",
    "  raft.applying = through\n  raft.applied = through\n"
  ),
  one(
    "takes a log whose tail was lost for one that ends there",
    "storage/RecoveredLog.ts",
    "floor !== undefined && floor.index > compacted.index",
    "floor !== undefined && floor.index < 0",
    300
  ),
  one(
    "calls a write failed whose fate is unknown",
    "node/EventLoop.ts",
    "new Indeterminate({ reason: `node ${this.options.nodeId} lost leadership before the write was committed` })",
    "this.notLeader(undefined)"
  ),
  one(
    "ends leases by what a deposed leader remembers",
    "kv/Apply.ts",
    "if (lease !== undefined && lease.deadlineMs <= logTimeMs) yield* revoke(batch, id)",
    "if (lease !== undefined) yield* revoke(batch, id)",
    300
  ),
  one(
    "decides leases by the local clock",
    "node/LogClock.ts",
    "this.estimateMs += Math.min(Math.max(0, monotonicMs - this.lastMs), this.maxStepMs)",
    "this.estimateMs += 3 * Math.max(0, monotonicMs - this.lastMs)",
    300
  ),
  one(
    "carries out a repeated command again",
    "kv/Apply.ts",
    "if (kept !== undefined) return kept\n  if (stamp.sequence <= session.answered) {",
    "if (kept === undefined && stamp.sequence <= session.answered) {"
  ),
  one(
    "goes on after a write that failed",
    "storage/RocksLogStore.ts",
    "const written = Effect.map(database.writeAll(batches(writes)), () => {",
    "const written = Effect.map(Effect.ignore(database.writeAll(batches(writes))), () => {",
    300
  ),
  one(
    "lets a node with an empty disk vote",
    "raft/Follower.ts",
    "const refusal = raft.standing !== \"voter\"\n    ? notVoting(raft)\n    : raft.votedFor",
    "const refusal = raft.votedFor",
    300
  )
]
