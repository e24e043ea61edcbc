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

/**
 * Seeds within which a mutant has to be caught, by the simulator that is put on it; or the file of a test that catches it, for
 * one whose history is too rare for a simulator.
 */
export type Budget = { readonly cores: number } | { readonly nodes: number } | { readonly test: string }

export interface Mutant {
  readonly name: string
  readonly within: Budget
  readonly changes: ReadonlyArray<Change>
  /** Caught in a moment, and so in every test run. */
  readonly quick: boolean
}

/** The variable that names the mutant which a run of the tests is to have in its sources. */
export const mutantVariable = "FLAREDB_TEST_MUTANT"

/** A source file with the mutant in it. */
export const mutate = (mutant: Mutant, file: string, text: string): string => {
  let result = text
  for (const { file: changed, find, replace } of mutant.changes) {
    if (changed !== file) continue
    if (result.split(find).length !== 2) {
      throw new Error(`the mutant "${mutant.name}" does not find its place in src/${file}: change it with the code`)
    }
    result = result.replace(find, () => replace)
  }
  return result
}

const one = (name: string, within: Budget, file: string, find: string, replace: string): Mutant => ({
  name,
  within,
  changes: [{ file, find, replace }],
  // A test that catches one is part of every run by itself.
  quick: "cores" in within ? within.cores <= 50 : "nodes" in within && within.nodes <= 20
})

export const mutants: ReadonlyArray<Mutant> = [
  one(
    "commits an entry of an earlier term by counting",
    { cores: 5_000 },
    "raft/Leader.ts",
    "held <= raft.commit || raft.log.termAt(held) !== raft.term",
    "held <= raft.commit"
  ),
  one(
    "sends votes and acknowledgements before they are durable",
    { cores: 50 },
    "raft/State.ts",
    "export const promise = (raft: Raft, message: Message): void => {\n  raft.gathered.promises.push(message)",
    "export const promise = (raft: Raft, message: Message): void => {\n  raft.gathered.messages.push(message)"
  ),
  one(
    "forgets its vote in a crash",
    { nodes: 20 },
    "storage/Codec.ts",
    "votedFor: votedFor ?? null",
    "votedFor: null"
  ),
  one(
    "votes twice in a term",
    { cores: 50 },
    "raft/Follower.ts",
    "const free = raft.votedFor === undefined && raft.leader === undefined",
    "const free = true"
  ),
  one(
    "sorts what followers have as text",
    { cores: 50 },
    "raft/Quorum.ts",
    "[...matches].sort((a, b) => compareIndex(b, a))",
    "[...matches].sort().reverse()"
  ),
  one(
    "removes entries that do not conflict",
    { cores: 50 },
    "raft/Follower.ts",
    "while (known < entries.length && log.matches(entries[known] as Entry)) known += 1",
    "known = 0"
  ),
  {
    name: "commits beyond the last entry that matches",
    within: { cores: 50 },
    changes: [
      {
        file: "raft/Heartbeats.ts",
        find: "commit: minIndex(raft.commit, match.index),",
        replace: "commit: raft.commit,"
      },
      {
        file: "raft/Follower.ts",
        find: "minIndex(message.commit, match.index)",
        replace: "minIndex(message.commit, raft.log.lastIndex)"
      }
    ],
    quick: true
  },
  one(
    "compares logs by their length first",
    { cores: 500 },
    "raft/Types.ts",
    "candidate.term !== own.term ? candidate.term > own.term : candidate.index >= own.index",
    "candidate.index !== own.index ? candidate.index > own.index : candidate.term >= own.term"
  ),
  one(
    "counts its own log before it is durable",
    { cores: 50 },
    "raft/Leader.ts",
    "committedIndex(heldByVoters(leadership, raft.stable))",
    "committedIndex(heldByVoters(leadership, raft.log.lastIndex))"
  ),
  one(
    "reads before anything of its own term is committed",
    { cores: 50 },
    "raft/Heartbeats.ts",
    "if (raft.commit < leadership.termStart) return\n  if (!leadership.reads",
    "if (!leadership.reads"
  ),
  one(
    "answers a read with the round before it",
    { nodes: 200 },
    "raft/ReadIndex.ts",
    "round === undefined || round.answered.size < others",
    "round === undefined"
  ),
  one(
    "believes answers of an earlier term",
    { cores: 5_000 },
    "raft/Receive.ts",
    "if (message.term < raft.term) return answerEarlierTerm(raft, message)",
    "if (message.term < raft.term && !/Accepted|Response/.test(message._tag)) return answerEarlierTerm(raft, message)"
  ),
  one(
    "gives a leader of an earlier term no answer",
    { cores: 2_000 },
    "raft/Receive.ts",
    "      return answerHeartbeat(raft, to, 0)\n",
    "      return\n"
  ),
  one(
    "keeps a log that contradicts an installed snapshot",
    { cores: 5_000 },
    "raft/Raft.ts",
    "const keepsTail = raft.log.matches(point)",
    "const keepsTail = raft.log.lastIndex >= point.index"
  ),
  one(
    "forgets that a lagging follower needs what is compacted",
    { cores: 10_000 },
    "raft/Heartbeats.ts",
    "if (raft.log.termAt(addIndex(progress.next, -1)) === undefined) progress.becomeProbe()\n    else ",
    "if (raft.log.termAt(addIndex(progress.next, -1)) !== undefined) "
  ),
  one(
    "says that entries are applied before they are",
    { nodes: 50 },
    "raft/Raft.ts",
    "  raft.applying = through\n",
    "  raft.applying = through\n  raft.applied = through\n"
  ),
  one(
    "takes a log whose tail was lost for one that ends there",
    { nodes: 1_000 },
    "storage/RecoveredLog.ts",
    "if (check.last.index < floor.index) {",
    "if (check.last.index < 0) {"
  ),
  one(
    "calls a write failed whose fate is unknown",
    { nodes: 50 },
    "node/EventLoop.ts",
    "new Indeterminate({ reason: `node ${this.options.nodeId} lost leadership before the write was committed` })",
    "this.options.refusals.notLeader(undefined)"
  ),
  one(
    "ends leases by what a deposed leader remembers",
    { test: "test/kv/apply.property.test.ts" },
    "kv/model/Expiry.ts",
    "if (lease !== undefined && lease.deadlineMs <= logTimeMs) yield* revoke(batch, id)",
    "if (lease !== undefined) yield* revoke(batch, id)"
  ),
  one(
    "decides leases by the local clock",
    { nodes: 50 },
    "node/LogClock.ts",
    "this.estimateMs += Math.min(Math.max(0, monotonicMs - this.lastMs), this.maxStepMs)",
    "this.estimateMs += 3 * Math.max(0, monotonicMs - this.lastMs)"
  ),
  one(
    "carries out a repeated command again",
    { nodes: 20 },
    "kv/model/Apply.ts",
    "if (kept !== undefined) return kept\n  if (commandId.sequence <= session.answered) {",
    "if (kept === undefined && commandId.sequence <= session.answered) {"
  ),
  one(
    "goes on after a write that failed",
    { nodes: 50 },
    "storage/rocksdb/RocksLogStore.ts",
    "const written = Effect.map(this.database.writeAll(batches(writes)),",
    "const written = Effect.map(Effect.ignore(this.database.writeAll(batches(writes))),"
  ),
  one(
    "lets a node with an empty disk vote",
    { cores: 5_000 },
    "raft/Follower.ts",
    "const refusal = raft.membership !== \"voter\"\n    ? notVoting(raft)\n    : raft.votedFor",
    "const refusal = raft.votedFor"
  ),
  one(
    "commits alone what its disk has not",
    { cores: 50 },
    "raft/Leader.ts",
    "committedIndex(heldByVoters(leadership, raft.stable))",
    "committedIndex(heldByVoters(leadership, raft.peers.length === 0 ? raft.log.lastIndex : raft.stable))"
  ),
  one(
    "leads on behind a disk that has stopped",
    { cores: 50 },
    "raft/State.ts",
    "raft.outstanding.length > 0 && raft.persistElapsed >= raft.config.maxPersistTicks",
    "raft.outstanding.length < 0"
  ),
  one(
    "steps the core in the middle of a step",
    { nodes: 50 },
    "node/EventLoop.ts",
    "        return this.roleChanged(output)\n",
    "        this.step({ _tag: \"Tick\" })\n        return this.roleChanged(output)\n"
  ),
  one(
    "decides how low its floor goes while it rises",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "Effect.andThen(Effect.suspend(() => this.lowerFloor(writes)), removed)",
    "Effect.andThen(this.lowerFloor(writes), removed)"
  ),
  one(
    "takes a tail for durable whose removal could not be synced",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "Effect.andThen(forgotten, written)",
    "Effect.tap(written, () => forgotten)"
  ),
  one(
    "stops in the middle of removing a tail",
    { test: "test/storage/durable-floor.test.ts" },
    "storage/rocksdb/RocksLogStore.ts",
    "    return Effect.uninterruptible(\n      Semaphore",
    "    return Effect.suspend(() =>\n      Semaphore"
  ),
  one(
    "counts what a non-voter acknowledges",
    { cores: 50 },
    "raft/Leader.ts",
    "if (message.voter) progress.acknowledged =",
    "progress.acknowledged ="
  ),
  one(
    "believes a heartbeat's commit beyond what its leader knows of it",
    { cores: 2_000 },
    "raft/Follower.ts",
    "if (match.index > raft.log.compacted.index && !raft.log.matches(match)) acknowledgedEntriesLost(raft, message)\n" +
      "  else raft.commit = maxIndex(raft.commit, minIndex(message.commit, match.index))",
    "const unknown = match.index > raft.log.compacted.index && !raft.log.matches(match)\n" +
      "  if (unknown && raft.membership === \"voter\") acknowledgedEntriesLost(raft, message)\n" +
      "  else raft.commit = maxIndex(raft.commit, minIndex(message.commit, raft.log.lastIndex))"
  ),
  one(
    "does not notice that its directory was put back",
    { cores: 200 },
    "raft/Join.ts",
    "  if (raft.membership !== \"voter\") return\n  emit(raft, { _tag: \"DirectoryRolledBack\"",
    "  if (raft.term >= 0) return\n  emit(raft, { _tag: \"DirectoryRolledBack\""
  ),
  one(
    "counts a non-voter's answer in a read round",
    { cores: 200 },
    "raft/Heartbeats.ts",
    "  if (message.voter) {\n    leadership.reads.answered",
    "  {\n    leadership.reads.answered"
  ),
  one(
    "is a voter before its log is durable, and forgets its vote",
    { cores: 5_000 },
    "raft/Join.ts",
    "|| raft.commit < through || raft.stable < through) return\n  raft.votedFor ??= raft.leader\n",
    "|| raft.commit < through) return\n"
  ),
  one(
    "gives the durable floor its name before its bytes are synced",
    { test: "test/storage/floor-file.test.ts" },
    "storage/DurableFloor.ts",
    "        await next.sync()\n",
    ""
  ),
  one(
    "does not sync the name of a new durable floor",
    { test: "test/storage/floor-file.test.ts" },
    "storage/DurableFloor.ts",
    "        await folder.sync()\n",
    ""
  ),
  one(
    "syncs only the folder right above a data directory",
    { test: "test/storage/folder.test.ts" },
    "storage/Folder.ts",
    "parent !== child; child = parent, parent = dirname(child)",
    "parent !== child; parent = child"
  ),
  one(
    "does not notice that its directory was removed before it acknowledges",
    { test: "test/storage/failures.test.ts" },
    "storage/rocksdb/WalSync.ts",
    "if (this.rotated || !isAt(this.currentPath, this.currentId))",
    "if (this.rotated)"
  ),
  one(
    "goes on when the durable floor could not be written",
    { test: "test/storage/failures.test.ts" },
    "storage/FirstFailure.ts",
    "if (Cause.hasInterruptsOnly(cause)) return\n",
    "if (Cause.isCause(cause)) return\n"
  ),
  one(
    "keeps to itself that a batch of the state was refused",
    { test: "test/storage/failures.test.ts" },
    "storage/rocksdb/WriteGate.ts",
    "        this.failure.record(error)\n        throw error\n      }\n    })",
    "        throw error\n      }\n    })"
  ),
  one(
    "forgets the vote of a learner",
    { test: "test/raft/non-voters.test.ts" },
    "raft/Join.ts",
    "  raft.votedFor ??= raft.leader\n",
    ""
  ),
  one(
    "lets a learner keep its leader in power",
    { test: "test/raft/non-voters.test.ts" },
    "raft/Progress.ts",
    "if (voter) this.silentTicks = 0",
    "this.silentTicks = 0"
  ),
  one(
    "believes whatever term it is told",
    { cores: 50 },
    "raft/Claims.ts",
    "if (term <= own + claims.allowance && term <= lastTerm) {",
    "if (term >= 0) {"
  ),
  one(
    "takes entries that it cannot apply",
    { test: "test/node/peer-claims.test.ts" },
    "node/IncomingEntries.ts",
    "if (invalid !== undefined) {",
    "if (invalid !== undefined && entry.index < 0) {"
  ),
  one(
    "stops for what a peer claims",
    { test: "test/raft/claims.test.ts" },
    "raft/Claims.ts",
    "return brokenAppend(message) ?? secondLeader(raft, from, term) ?? againstCommitted(raft, message)",
    "return brokenAppend(message)"
  ),
  one(
    "campaigns before its last vote is durable",
    { test: "test/raft/elections-and-disks.test.ts" },
    "raft/Candidate.ts",
    "  if (!termIsDurable(raft) && !diskStalled(raft)) return\n",
    ""
  ),
  one(
    "raises the feature level while a voter is down",
    { test: "test/upgrade/feature-level.test.ts" },
    "node/OwnProposals.ts",
    "peers.get(voter)?.level ?? 0",
    "peers.get(voter)?.level ?? target"
  ),
  one(
    "proposes commands of a level that the cluster does not have",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "return needed <= this.current.level ?",
    "return needed > 0 ?"
  ),
  one(
    "raises the feature level without marking its directory",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "return this.store.requireLevel(level).pipe(\n      Effect.andThen(commit),",
    "return commit.pipe("
  ),
  one(
    "forgets the feature level with its memory",
    { test: "test/upgrade/feature-level.test.ts" },
    "machine/OwnLevel.ts",
    "const row = { _tag: \"Put\", key: levelRowKey, value: encodeLevelRow(level) } as const\n",
    "const row = { _tag: \"Delete\", key: levelRowKey } as const\n"
  ),
  one(
    "lets a peer in that does not know the level of the cluster",
    { test: "test/upgrade/handshakes.test.ts" },
    "transport/rpc/PeerHandshakes.ts",
    "if (required !== undefined && level < required.level) {",
    "if (required !== undefined && level < 1) {"
  ),
  one(
    "opens a directory of a level that it does not know",
    { test: "test/upgrade/formats.test.ts" },
    "storage/DirectoryMarker.ts",
    "if (required === undefined || required.level <= known.level) return undefined",
    "if (required === undefined || required.level > 0) return undefined"
  )
]
