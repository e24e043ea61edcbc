/**
 * One line each for messages, events, outputs, entries and the state of a node: the same words in logs, in scenario
 * files and on debug pages.
 *
 * A node reads `n1`, a point of the log `index@term` (`7@3`), a range of entries `5..7`, a missing value `-`.
 */
import type { Event } from "./Event.ts"
import type { Message } from "./Message.ts"
import type { Output, RefusedReason } from "./Output.ts"
import type { Raft } from "./State.ts"
import type { Entry, HardState, LogPoint, NodeId } from "./Types.ts"

const node = (id: NodeId | undefined): string => id === undefined ? "-" : `n${id}`

const range = (from: number, through: number): string => from === through ? `${from}` : `${from}..${through}`

/** Bytes of a payload that are worth showing. */
const shownBytes = 24

const payload = (bytes: Uint8Array): string => {
  const printable = bytes.byteLength <= shownBytes && bytes.every((byte) => byte >= 0x20 && byte < 0x7f)
  return printable ? JSON.stringify(String.fromCharCode(...bytes)) : `${bytes.byteLength} bytes`
}

/** `7@3`: index 7, written in term 3. */
const describePoint = ({ index, term }: LogPoint): string => `${index}@${term}`

/** `7@3 "put a"`, or `8@3 noop`; a payload that is long or not text shows its size. */
export const describeEntry = (entry: Entry): string =>
  `${describePoint(entry)} ${entry.kind === "noop" ? "noop" : payload(entry.payload)}`

/** `[7@3 noop, 8@3 "put a"]`; of many, the first and the last. */
export const describeEntries = (entries: ReadonlyArray<Entry>): string => {
  const first = entries[0]
  const last = entries[entries.length - 1]
  if (first === undefined || last === undefined) return "[]"
  if (entries.length <= 4) return `[${entries.map(describeEntry).join(", ")}]`
  return `[${describeEntry(first)} … ${describeEntry(last)}]`
}

const describeHardState = ({ commit, membership, term, votedFor }: HardState): string =>
  `term ${term} vote ${node(votedFor)} commit ${commit}${membership === undefined ? "" : ` ${membership}`}`

/** `n1→n2 Heartbeat term 3 commit 7`. */
export const describeMessage = (message: Message): string =>
  `${node(message.from)}→${node(message.to)} ${message._tag} term ${message.term}${details(message)}`

const details = (message: Message): string => {
  switch (message._tag) {
    case "PreVoteRequest":
      return ` last ${describePoint(message.last)}`
    case "VoteRequest":
      return ` last ${describePoint(message.last)}${message.transfer ? " transfer" : ""}`
    case "PreVoteResponse":
    case "VoteResponse":
      return message.granted ? " granted" : " refused"
    case "AppendRequest":
      return ` prev ${describePoint(message.prev)} commit ${message.commit} ${describeEntries(message.entries)}`
    case "AppendAccepted":
      return ` match ${message.match}${nonVoter(message)}`
    case "AppendRejected":
      return ` rejected ${message.rejected} hint ${describePoint(message.hint)} lastIndex ${message.lastIndex}` +
        nonVoter(message)
    case "Heartbeat":
      return ` match ${describePoint(message.match)} commit ${message.commit}${round(message.readRound)}`
    case "HeartbeatResponse":
      return `${round(message.readRound)}${nonVoter(message)}`
    case "ReadIndexRequest":
      return ` read ${message.readId}`
    case "ReadIndexResponse":
      return ` read ${message.readId} ${message.index === undefined ? "refused" : `index ${message.index}`}`
    case "TimeoutNow":
      return ""
    case "JoinRequest":
      return ""
    case "JoinResponse":
      return message.fresh
        ? " fresh"
        : message.learnThrough === undefined
        ? " not fresh"
        : ` learn through ${message.learnThrough}`
  }
}

const nonVoter = ({ voter }: { readonly voter: boolean }): string => voter ? "" : " non-voter"

const round = (readRound: number): string => readRound === 0 ? "" : ` round ${readRound}`

/** `Receive n1→n2 Heartbeat …`, `Persisted #4`. */
export const describeEvent = (event: Event): string => {
  switch (event._tag) {
    case "Tick":
      return event.count === undefined || event.count === 1 ? "Tick" : `${event.count} ticks`
    case "Receive":
      return `Receive ${describeMessage(event.message)}`
    case "Propose":
      return `Propose ${event.proposals.map(({ id, payload: bytes }) => `#${id} ${payload(bytes)}`).join(", ")}`
    case "ReadIndex":
      return `ReadIndex #${event.readId}`
    case "Persisted":
      return `Persisted #${event.persistId}`
    case "Applied":
      return `Applied ${event.index}`
    case "LogRead":
      return `LogRead for ${node(event.peer)} term ${event.term} from ${event.from} ${describeEntries(event.entries)}`
    case "SnapshotReported":
      return `SnapshotReported ${node(event.peer)} ` +
        (event.installed === undefined ? "failed" : `installed ${describePoint(event.installed)}`)
    case "SnapshotInstalled":
      return `SnapshotInstalled ${describePoint(event.point)}`
    case "Compacted":
      return `Compacted through ${event.through}`
    case "TransferLeader":
      return `TransferLeader to ${event.target === undefined ? "the best follower" : node(event.target)}`
    case "PeerUnreachable":
      return `PeerUnreachable ${node(event.peer)}`
  }
}

const ids = (all: ReadonlyArray<number>): string => all.map((id) => `#${id}`).join(" ")

const describeRefusal = (reason: RefusedReason): string => {
  switch (reason._tag) {
    case "NotLeader":
      return reason.leader === undefined ? "no node leads" : `${node(reason.leader)} leads`
    case "Overloaded":
      return `overloaded: ${reason.uncommittedBytes} of ${reason.limitBytes} bytes wait`
    case "Transferring":
      return `transferring to ${node(reason.target)}`
  }
}

/** An output without the messages in it: those have lines of their own, see {@link describeOutputLines}. */
export const describeOutput = (output: Output): string => {
  switch (output._tag) {
    case "Persist": {
      const parts = [`Persist #${output.persistId}`]
      if (output.hardState !== undefined) parts.push(describeHardState(output.hardState))
      if (output.truncateFrom !== undefined) parts.push(`truncate from ${output.truncateFrom}`)
      if (output.entries.length > 0) parts.push(describeEntries(output.entries))
      return parts.join(" · ")
    }
    case "Send":
      return `Send ${output.messages.length}`
    case "Apply":
      return `Apply ${range(output.from, output.through)}` + (output.entries === undefined ? " from disk" : "")
    case "Accepted":
      return `Accepted ${ids(output.ids)} at ${output.firstIndex}@${output.term}`
    case "Refused":
      return `Refused ${ids(output.ids)} ${describeRefusal(output.reason)}`
    case "ReadReady":
      return `ReadReady ${ids(output.readIds)} index ${output.index}`
    case "ReadRefused":
      return `ReadRefused ${ids(output.readIds)} leader ${node(output.leader)}`
    case "RoleChanged":
      return `RoleChanged ${output.role} term ${output.term} leader ${node(output.leader)}: ${output.reason}`
    case "ReadLog":
      return `ReadLog for ${node(output.peer)} ${
        range(output.from, output.through)
      } of ${output.maxBytes} bytes at most`
    case "SendSnapshot":
      return `SendSnapshot to ${node(output.peer)} at least ${describePoint(output.atLeast)}`
    case "RestartLog":
      return `RestartLog after ${describePoint(output.point)}` + (output.keepsTail ? " keeping its tail" : "")
    case "DirectoryRolledBack":
      return `DirectoryRolledBack to ${describePoint(output.last)}: ` +
        `${node(output.leader)} holds an acknowledgement of ${describePoint(output.acknowledged)}`
    case "PeerViolation":
      return `PeerViolation of ${node(output.peer)}: ${output.claim}`
    case "Trace":
      return `${output.level}: ${output.message}`
  }
}

/**
 * An output and, indented below it, its messages: `→` for those that leave now, `then` for those that wait for the
 * disk.
 */
export const describeOutputLines = (output: Output): Array<string> => {
  switch (output._tag) {
    case "Send":
      return output.messages.map((message) => `→ ${describeMessage(message)}`)
    case "Persist":
      return [describeOutput(output), ...output.thenSend.map((message) => `  then ${describeMessage(message)}`)]
    default:
      return [describeOutput(output)]
  }
}

/** `n1 leader term 3 vote n1 leader n1 commit 7 applied 7 stable 8 log 1..8@3 n2:replicate 7/9 n3:probe 0/9`. */
export const describeState = (raft: Raft): string => {
  const { applied, commit, config, leader, leadership, log, role, stable, term, votedFor } = raft
  const parts = [
    `${node(config.id)} ${role} term ${term} vote ${node(votedFor)} leader ${node(leader)}`,
    `commit ${commit} applied ${applied} stable ${stable} log ${log.firstIndex}..${describePoint(log.last)}`
  ]
  // Per follower: match/next.
  for (const [peer, { match, next, state }] of leadership?.progress ?? []) {
    parts.push(`${node(peer)}:${state} ${match}/${next}`)
  }
  return parts.join(" ")
}
