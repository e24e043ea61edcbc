/** Bugs of the core, `src/raft/`. */
import type { Mutant } from "./Mutant.ts"
import { one } from "./Mutant.ts"

export const coreMutants: ReadonlyArray<Mutant> = [
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
    "raft.gathered.promises = added(raft.gathered.promises, message)",
    "raft.gathered.messages = added(raft.gathered.messages, message)"
  ),
  one(
    "votes twice in a term",
    { cores: 50 },
    "raft/Follower.ts",
    "const free = raft.votedFor === undefined && raft.leader === undefined",
    "const free = true"
  ),
  one(
    "compares what followers have as text",
    { cores: 50 },
    "raft/Quorum.ts",
    "if (other >= match) holders += 1",
    "if (String(other) >= String(match)) holders += 1"
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
    { nodes: 500 },
    "raft/Raft.ts",
    "  raft.applying = through\n",
    "  raft.applying = through\n  raft.applied = through\n"
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
    "believes any term that a peer claims",
    { cores: 50 },
    "raft/Claims.ts",
    "if (term <= own + claims.allowance && term <= lastTerm) {",
    "if (term >= 0) {"
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
  )
]
