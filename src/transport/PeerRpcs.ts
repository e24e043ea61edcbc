/**
 * What travels between nodes: a `Hello` that opens each connection, then `Deliver` calls with batches of messages.
 * Entries travel as one blob of records (`codec/EntryRecord.ts`), encoded once at the leader. A connection may instead
 * carry one snapshot: its offer, then its chunks (`codec/SnapshotChunk.ts`), each answered once it is stored.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { CodecError, decodeEntries, encodeEntries } from "../codec/EntryRecord.ts"
import type { Message } from "../raft/Message.ts"
import type { LogIndex, LogPoint, NodeId, Term } from "../raft/Types.ts"
import { SnapshotRefused } from "./PeerTransport.ts"

/** Raised by an incompatible change of anything in this file. */
export const protocolVersion = 3

/** The other side refuses the connection; trying again without changing the configuration is of no use. */
export class PeerRefused extends Schema.TaggedError<PeerRefused>()("PeerRefused", {
  reason: Schema.Literals(["cluster-id", "node-id", "unknown-peer", "protocol-version", "no-hello", "malformed"]),
  expected: Schema.String,
  found: Schema.String
}) {
  override get message() {
    return `refused (${this.reason}): expected ${this.expected}, got ${this.found}`
  }
}

const Count = Schema.Natural
const Node = Schema.Int.check(Schema.isGreaterThan(0))
const Point = Schema.Struct({ index: Count, term: Count })
const envelope = { from: Node, to: Node, term: Count }

/** `raft/Message.ts` on the wire. */
export const WireMessage = Schema.TaggedUnion({
  PreVoteRequest: { ...envelope, last: Point },
  PreVoteResponse: { ...envelope, granted: Schema.Boolean },
  VoteRequest: { ...envelope, last: Point, transfer: Schema.Boolean },
  VoteResponse: { ...envelope, granted: Schema.Boolean },
  AppendRequest: { ...envelope, prev: Point, entries: Schema.Uint8Array, commit: Count },
  AppendAccepted: { ...envelope, match: Count },
  AppendRejected: { ...envelope, rejected: Count, hint: Point, lastIndex: Count },
  Heartbeat: { ...envelope, commit: Count, readRound: Count },
  HeartbeatResponse: { ...envelope, readRound: Count },
  ReadIndexRequest: { ...envelope, readId: Count },
  ReadIndexResponse: { ...envelope, readId: Count, index: Schema.NullOr(Count) },
  TimeoutNow: envelope,
  JoinRequest: { ...envelope, joinId: Count },
  JoinResponse: { ...envelope, joinId: Count, fresh: Schema.Boolean, learnThrough: Schema.NullOr(Count) }
})
export type WireMessage = typeof WireMessage.Type

export class PeerRpcs extends RpcGroup.make(
  Rpc.make("Hello", {
    payload: { clusterId: Schema.String, from: Node, to: Node, protocolVersion: Count },
    error: PeerRefused
  }),
  Rpc.make("Deliver", {
    payload: { messages: Schema.Array(WireMessage) },
    error: PeerRefused
  }),
  Rpc.make("OfferSnapshot", {
    payload: { term: Count, point: Point, estimatedBytes: Count },
    error: Schema.Union([PeerRefused, SnapshotRefused])
  }),
  Rpc.make("SnapshotChunk", {
    payload: { chunk: Schema.Uint8Array },
    error: Schema.Union([PeerRefused, SnapshotRefused])
  })
).prefix("peer.") {}

/** A message as it travels. */
export const toWire = (message: Message): WireMessage => {
  switch (message._tag) {
    case "AppendRequest":
      return { ...message, entries: encodeEntries(message.entries) }
    case "ReadIndexResponse":
      return { ...message, index: message.index ?? null }
    case "JoinResponse":
      return { ...message, learnThrough: message.learnThrough ?? null }
    default:
      return message
  }
}

/**
 * The highest term that is believed: an election every millisecond for nine thousand years. Terms never go back, so one near the
 * end of the safe integers, taken over once, would leave no term to elect a leader in.
 */
export const maxTerm = 2 ** 48

/** A message that arrived, or what is wrong with it. The schema has checked every number. */
export const fromWire = (wire: WireMessage): Message | CodecError => {
  if (wire.term > maxTerm) return new CodecError(`term ${wire.term} is beyond ${maxTerm}`)
  const from = wire.from as NodeId
  const to = wire.to as NodeId
  const term = wire.term as Term
  switch (wire._tag) {
    case "AppendRequest": {
      const entries = decodeEntries(wire.entries)
      if (entries instanceof CodecError) return entries
      for (let i = 0; i < entries.length; i++) {
        if (entries[i]?.index !== wire.prev.index + 1 + i) return new CodecError("entries are not consecutive")
      }
      return { _tag: "AppendRequest", from, to, term, prev: point(wire.prev), entries, commit: wire.commit as LogIndex }
    }
    case "PreVoteRequest":
      return { _tag: "PreVoteRequest", from, to, term, last: point(wire.last) }
    case "VoteRequest":
      return { _tag: "VoteRequest", from, to, term, last: point(wire.last), transfer: wire.transfer }
    case "PreVoteResponse":
      return { _tag: "PreVoteResponse", from, to, term, granted: wire.granted }
    case "VoteResponse":
      return { _tag: "VoteResponse", from, to, term, granted: wire.granted }
    case "AppendAccepted":
      return { _tag: "AppendAccepted", from, to, term, match: wire.match as LogIndex }
    case "AppendRejected":
      return {
        _tag: "AppendRejected",
        from,
        to,
        term,
        rejected: wire.rejected as LogIndex,
        hint: point(wire.hint),
        lastIndex: wire.lastIndex as LogIndex
      }
    case "Heartbeat":
      return { _tag: "Heartbeat", from, to, term, commit: wire.commit as LogIndex, readRound: wire.readRound }
    case "HeartbeatResponse":
      return { _tag: "HeartbeatResponse", from, to, term, readRound: wire.readRound }
    case "ReadIndexRequest":
      return { _tag: "ReadIndexRequest", from, to, term, readId: wire.readId }
    case "ReadIndexResponse":
      return {
        _tag: "ReadIndexResponse",
        from,
        to,
        term,
        readId: wire.readId,
        index: wire.index === null ? undefined : wire.index as LogIndex
      }
    case "TimeoutNow":
      return { _tag: "TimeoutNow", from, to, term }
    case "JoinRequest":
      return { _tag: "JoinRequest", from, to, term, joinId: wire.joinId }
    case "JoinResponse":
      return {
        _tag: "JoinResponse",
        from,
        to,
        term,
        joinId: wire.joinId,
        fresh: wire.fresh,
        learnThrough: wire.learnThrough === null ? undefined : wire.learnThrough as LogIndex
      }
  }
}

/** A point that arrived. */
export const point = (wire: { readonly index: number; readonly term: number }): LogPoint => ({
  index: wire.index as LogIndex,
  term: wire.term as Term
})
