/**
 * What other nodes claim, held against what this node knows, before anything is changed by it. A claim that no node
 * which follows Raft can make says nothing about this node, so it stops no node: the message is dropped, and its
 * sender is named (`PeerViolation`). `docs/divergence.md` says which claims can be told apart, and which cannot.
 *
 * Terms only grow, on every node and forever, so one wrong number near the last term would leave no term to elect a
 * leader in. A term counts elections, and a node knows how many there may have been: its *allowance*. It starts with
 * {@link maxTermJump}, pays for every later term that a message brings, and regains one term a tick, which is far more
 * than elections can use. So a flipped bit or a stranger moves a node by the allowance at most, however often it is
 * repeated.
 *
 * A node that was away for more elections than that cannot believe a single peer. When all its peers claim later terms
 * within the same time, the allowance grows towards the lowest of them, at a bounded pace. The same serves a node with
 * an empty disk, which knows term 0: it joins at once below the allowance, and after its peers agree beyond it.
 */
import { maxTermJump } from "./TermAllowance.ts"
import type { AppendRequest, Message } from "./Message.ts"
import type { Raft } from "./State.ts"
import type { LogIndex, LogPoint, NodeId, Term } from "./Types.ts"

/** No term lies beyond it: an election every millisecond for nine thousand years. */
export const maxTerm = 2 ** 48

/** The last term that a node enters by what others say. It can still campaign, and so can those that follow it. */
export const lastTerm = maxTerm - maxTermJump

/** Terms a tick by which the allowance grows while all peers claim terms beyond it. */
const agreedTermsPerTick = 2 ** 14

/** The most entries that a peer may be ahead by: a hundred thousand a second for five years. */
const maxIndexJump = 2 ** 44

/** One tick: the allowance grows, faster where all peers agree, and what was claimed long ago is forgotten. */
export const tickClaims = ({ claims, config, peers, term }: Raft): void => {
  if (claims.allowance < maxTermJump) claims.allowance += 1
  if (claims.far.size === 0) return
  let lowest: number = lastTerm
  for (const [peer, claim] of claims.far) {
    claim.elapsed += 1
    // A peer says its term in every answer to a campaign, so two election timeouts are enough to hear all of them.
    if (claim.elapsed > 2 * config.electionTicksMax || claim.term <= term) claims.far.delete(peer)
    else lowest = Math.min(lowest, claim.term)
  }
  if (peers.length < 2 || claims.far.size < peers.length) return
  claims.allowance = Math.max(claims.allowance, Math.min(lowest - term, claims.allowance + agreedTermsPerTick))
}

/** Pays for a later term that a message brought. */
export const spendTerms = ({ claims, term }: Raft, later: Term): void => {
  claims.allowance = Math.max(0, claims.allowance - (later - term))
}

/** What no node that follows Raft can say to this one, if the message says such a thing. */
export const implausible = (raft: Raft, message: Message): string | undefined =>
  farTerm(raft, message.from, termOfSender(message)) ?? contradiction(raft, message)

/** The same for a snapshot that a peer asks to send. */
export const implausibleSnapshot = (
  raft: Raft,
  { from, point, term }: { readonly from: NodeId; readonly point: LogPoint; readonly term: Term }
): string | undefined =>
  farTerm(raft, from, term) ?? secondLeader(raft, from, term) ?? farIndex(raft, point.index, "its state ends at") ??
    (point.term > term ? `its state ends in term ${point.term}, after its own term ${term}` : undefined)

/** The term that the sender is in, as far as it says so: a granted pre-vote repeats the term of its question. */
const termOfSender = (message: Message): number | undefined => {
  if (message._tag === "PreVoteResponse" && message.granted) return undefined
  return message._tag === "PreVoteRequest" ? message.term - 1 : message.term
}

const farTerm = ({ claims, term: own }: Raft, from: NodeId, term: number | undefined): string | undefined => {
  if (term === undefined) return undefined
  if (term <= own + claims.allowance && term <= lastTerm) {
    // Its last word counts: a bit that flipped once is no claim that lasts.
    if (claims.far.size > 0) claims.far.delete(from)
    return undefined
  }
  if (term > lastTerm) return `term ${term} is beyond the last term ${lastTerm}`
  claims.far.set(from, { term, elapsed: 0 })
  return `term ${term} is more than ${claims.allowance} terms after the term ${own} of this node`
}

const farIndex = ({ log }: Raft, index: LogIndex, what: string): string | undefined =>
  index <= log.lastIndex + maxIndexJump
    ? undefined
    : `${what} ${index}, more than ${maxIndexJump} entries after the end ${log.lastIndex} of this node's log`

/** At most one node leads a term. (Raft Figure 3, Election Safety) */
const secondLeader = (raft: Raft, from: NodeId, term: Term): string | undefined =>
  term !== raft.term || raft.leader === undefined || raft.leader === from
    ? undefined
    : `it leads term ${term}, which node ${raft.leader} leads`

const contradiction = (raft: Raft, message: Message): string | undefined => {
  const { from, term } = message
  switch (message._tag) {
    case "PreVoteRequest":
    case "VoteRequest":
      return message.last.term <= term || term < raft.term
        ? undefined
        : `its log ends in term ${message.last.term}, and it campaigns for term ${term}`
    case "AppendRequest":
      return brokenAppend(message) ?? secondLeader(raft, from, term) ?? againstCommitted(raft, message)
    case "Heartbeat": {
      const { match } = message
      return secondLeader(raft, from, term) ?? farIndex(raft, match.index, "this node acknowledged") ??
        (match.term > term ? `this node acknowledged an entry of term ${match.term} in term ${term}` : undefined)
    }
    case "ReadIndexResponse":
      return message.index === undefined ? undefined : farIndex(raft, message.index, "reads wait for")
    case "JoinResponse":
      return message.learnThrough === undefined
        ? undefined
        : farIndex(raft, message.learnThrough, "this node has to learn through")
    default:
      return undefined
  }
}

/**
 * What a leader could not have asked, if an answer speaks of such a thing. The answering node may be right: a stranger
 * that speaks to it in the leader's name is answered to the leader. So the answer is dropped, and no peer is accused.
 */
export const unasked = ({ leadership, log, term }: Raft, message: Message): string | undefined => {
  // In its own term a leader's log never gets shorter.
  if (leadership === undefined || message.term !== term) return undefined
  switch (message._tag) {
    case "AppendAccepted":
      return message.match <= log.lastIndex
        ? undefined
        : `it holds entry ${message.match}, and this leader's log ends at ${log.lastIndex}`
    case "AppendRejected":
      if (message.rejected > log.lastIndex) {
        return `it refused entries after ${message.rejected}, and this leader's log ends at ${log.lastIndex}`
      }
      return message.hint.index <= message.rejected
        ? undefined
        : `it refused entries after ${message.rejected}, and may agree up to ${message.hint.index}`
    case "HeartbeatResponse":
      return message.readRound <= leadership.reads.newest
        ? undefined
        : `it answers round ${message.readRound}, and the newest is ${leadership.reads.newest}`
    default:
      return undefined
  }
}

/** Entries follow each other and `prev`, and none is of a later term than its leader. */
const brokenAppend = ({ entries, prev, term }: AppendRequest): string | undefined => {
  if (prev.term > term) return `an entry of term ${prev.term} precedes those of a leader of term ${term}`
  let last: LogPoint = prev
  for (const entry of entries) {
    if (entry.index !== last.index + 1 || entry.term < last.term || entry.term > term) {
      return `entry ${entry.index} of term ${entry.term} follows entry ${last.index} of term ${last.term} ` +
        `at a leader of term ${term}`
    }
    last = entry
  }
  return undefined
}

/** A leader holds everything that is committed. (Raft Figure 3, Leader Completeness) */
const againstCommitted = (raft: Raft, { entries, prev, term }: AppendRequest): string | undefined => {
  const { commit, log } = raft
  // Claims of a deposed leader are harmless: its message is only answered with the present term.
  if (term < raft.term || prev.index > commit) return undefined
  const wrong = differs(raft, prev) ? prev : entries.find((entry) => entry.index <= commit && differs(raft, entry))
  return wrong === undefined
    ? undefined
    : `entry ${wrong.index} is of term ${wrong.term}, and of term ${log.termAt(wrong.index)} where it is committed`
}

const differs = ({ log }: Raft, point: LogPoint): boolean => point.index >= log.compacted.index && !log.matches(point)
